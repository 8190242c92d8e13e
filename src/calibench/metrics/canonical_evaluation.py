"""The kernel estimates of canonical calibration, with floors and definitions."""

import numpy as np

from calibench.metrics.canonical import NORMS, DirichletKernel
from calibench.metrics.definitions import Definition
from calibench.metrics.floor import check_drawing, floor_of
from calibench.metrics.kernel_strips import SortedExamples
from calibench.metrics.measurement import Measurement
from calibench.metrics.skce import FEWEST_FOR_PAIRS, PairStatistics
from calibench.predictions import Predictions, unweighted
from calibench.signatures import of_predictions

# Each costs a pass over all pairs; a hundred show a 95th percentile.
MOST_REPLICATES = 100

_NO_DIRECTION = (
    "the kernel smooths, which may lift or lower it; the squared one has one"
)


@of_predictions
def canonical_measurements(
    some: Predictions, *, replicates: int = 100, seed: int = 0, level: float = 0.95
) -> dict[str, Measurement]:
    """`canonical_calibration_error` and `squared_kernel_calibration_error`, measured.

    Labels are redrawn from the rows of probabilities, and every set of them goes
    through the same pass over the kernel, whose bandwidth stays: it depends on the
    probabilities alone.

    Args:
        some: The predictions.
        replicates: How many sets of labels to redraw, of which at most 100 are.
        seed: Of the redrawing.
        level: Of the interval.

    Raises:
        DataError: The predictions have weights.
        ParameterError: `replicates` is below 1, or `seed` is negative.
    """
    check_drawing(replicates, seed)
    examples = SortedExamples(unweighted(some, "a kernel estimate"))
    drawn = examples.redrawn_labels(min(replicates, MOST_REPLICATES), seed)
    return {
        "canonical_calibration_error": _of_dirichlet(examples, drawn),
        "squared_kernel_calibration_error": _of_pairs(examples, drawn, level),
    }


def _of_dirichlet(examples: SortedExamples, drawn: np.ndarray) -> Measurement:
    kernel = DirichletKernel.of(examples)
    every = np.concatenate([examples.labels, drawn])
    value, *redrawn = kernel.errors(every, NORMS["l1"]).tolist()
    definition = Definition(
        quantity=(
            "mean_j sum_k |share of k near p_j - p_jk|, the others weighed by the "
            f"Dirichlet density of parameters p_i / h + 1 at p_j, h = "
            f"{kernel.bandwidth:.6g}, likeliest of 13"
        ),
        probability="every class",
        norm="l1",
        dropped="an example at which every other kernel is 0",
    ).without_interval(_NO_DIRECTION)
    return Measurement(value, None, floor_of(np.array(redrawn), value), definition)


def _of_pairs(examples: SortedExamples, drawn: np.ndarray, level: float) -> Measurement:
    found = PairStatistics.of(examples, redrawn=drawn)
    interval = found.interval(level)
    definition = Definition(
        quantity=(
            "mean over pairs of exp(-|p_i - p_j|^2 / (2 v^2)) <e_i - p_i, e_j - p_j>, "
            f"v = {found.bandwidth:.6g}, the median distance"
        ),
        probability="every class",
        norm="l2 squared",
        debiased=True,
        interval="normal theory of a mean over pairs, its variance at each candidate",
    )
    if interval is None:
        fewest = f"fewer than {FEWEST_FOR_PAIRS} examples"
        definition = definition.without_interval(fewest)
    floor = floor_of(found.redrawn, found.value)
    return Measurement(found.value, interval, floor, definition)
