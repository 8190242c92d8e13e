"""How large a calibration error is by chance alone: consistency resampling."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from calibench.binning import Binning, lay, summarize
from calibench.metrics.calibration_error import Functional, mean_size
from calibench.metrics.redraw import Drawing, redrawn_bins
from calibench.options import whole_number
from calibench.predictions import Predictions
from calibench.signatures import of_predictions

_MOST_REPLICATES = 1_000_000
# Replicates this close to the observed value count as equal to it.
_TIE = 1e-12


@dataclass(frozen=True)
class NoiseFloor:
    """What a calibrated model with the same confidences would score.

    Attributes:
        mean: The mean over replicates.
        p95: Their 95th percentile: a single value above it is hard to blame on chance.
        p_value: For "this model is calibrated": the probability that a calibrated
            model scores at least as high as this one. Exact, not asymptotic:
            (1 + replicates at least as high) / (1 + replicates).
        replicates: How many data sets were redrawn.
    """

    mean: float
    p95: float
    p_value: float
    replicates: int


@of_predictions
def noise_floor(
    some: Predictions,
    *,
    num_bins: int = 15,
    replicates: int = 1000,
    seed: int = 0,
    scheme: str | Binning = "equal_width",
    functional: Functional = mean_size,
) -> NoiseFloor:
    """Score of a calibrated model with the same confidences, by default its ECE.

    Correctness is redrawn as a_i ~ Bernoulli(c_i), example by example, and scored again
    with the same bins. The result depends on the multiset of confidences and the seed,
    not on the order of the examples. A whole-number weight is so many examples, each
    redrawn by itself.

    Args:
        some: The predictions.
        num_bins: How many bins.
        replicates: How many data sets to redraw; p-values are at least
            1 / (1 + replicates).
        seed: Of the redrawing.
        scheme: "equal_width", "equal_mass", or a binning function.
        functional: What to score of a summary of bins; see `calibration_error`.

    Raises:
        ParameterError: `num_bins` or `replicates` is below 1, or there is no such
            scheme.
        DataError: The weights are not whole numbers.

    Source:
        Brocker and Smith 2007 (consistency resampling); Vaicenavicius et al. 2019 for
        the test.

    Example:
        >>> noise_floor(Predictions.from_probs([[1.0, 0.0]], [0])).mean
        0.0
    """
    check_drawing(replicates, seed)
    some = some.present
    counts = some.counts
    bins = lay(scheme, some.confidence, num_bins, counts)
    stats = summarize(bins, some.confidence, some.correct, counts)
    observed = float(functional(stats))
    redrawn = redrawn_bins(bins, Drawing(some.confidence, replicates, seed, counts))
    return floor_of(functional(redrawn), observed)


def floor_of(
    redrawn: Float64[np.ndarray, " replicates"], observed: float, tie: float = _TIE
) -> NoiseFloor:
    """Sum up the scores of redrawn data sets beside the observed one.

    A score below the observed one by no more than `tie` counts as its equal.
    """
    replicates = len(redrawn)
    as_high = int((redrawn >= observed - tie).sum())
    return NoiseFloor(
        mean=float(redrawn.mean()),
        p95=float(np.quantile(redrawn, 0.95)),
        p_value=(1 + as_high) / (1 + replicates),
        replicates=replicates,
    )


def check_drawing(replicates: int, seed: int) -> None:
    """Refuse to resample no times, or more often than anyone can wait for.

    Raises:
        ParameterError: `replicates` is not in 1..1000000, or `seed` is below 0.
    """
    whole_number(replicates, "replicates", 1, _MOST_REPLICATES)
    whole_number(seed, "seed", 0)
