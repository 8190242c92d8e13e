"""What all metrics need to know of predictions, in constant size and mergeable."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from calibench.binning import equal_width_index
from calibench.metrics.classwise import ClassCells
from calibench.metrics.float_sums import NUM_EXPONENTS, exponent_sums
from calibench.metrics.scores import brier_terms
from calibench.metrics.stream_top import TopLabelState, check_bins
from calibench.predictions import Predictions
from calibench.sums import counted, from_limbs, limb_sums


def class_cells_for(num_classes: int) -> int:
    """Cells for each class: fewer for many classes, to bound the size of a state."""
    if num_classes <= 200:
        return 600
    return 120 if num_classes <= 2000 else 30


@dataclass(frozen=True, eq=False)
class MetricState(TopLabelState):
    """Sums over examples from which the metrics follow.

    A value: `update` and `merge` return a new state. Numbers: `result`, and with
    intervals and floors `calibench.metrics.stream_evaluation`.

    A state of 10 classes takes 0.8 MB. Confidences, gaps and Brier scores are cut to
    multiples of 2^-60 an example, as everywhere in `binning`; the NLL is summed
    without any rounding. Fewer than 2^33 examples, about 8.6e9.

    Attributes:
        classes: For each cell of each class: examples, those that bear its label, the
            sum of probabilities (two limbs).
        losses: Exact sums of -ln p(label) and of its square where it is finite.
        scores: The Brier score halved, its square, and (1 - p(label))^2 (two limbs).
        infinite: In how many examples -ln p(label) is infinite.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1])
        >>> MetricState.empty(2).update(some).result()["top_label_ece"]
        0.625
    """

    classes: Int64[np.ndarray, "rows=4 classes class_cells"]
    losses: Int64[np.ndarray, "powers=2 halves=2 exponents"]
    scores: Int64[np.ndarray, "limbs=2 scores=3"]
    infinite: Int64[np.ndarray, ""]

    @classmethod
    def shapes(cls, num_classes: int) -> dict[str, tuple[int, ...]]:
        """The shape of each array, by name."""
        return super().shapes(num_classes) | {
            "classes": (4, num_classes, class_cells_for(num_classes)),
            "losses": (2, 2, NUM_EXPONENTS),
            "scores": (2, 3),
            "infinite": (),
        }

    @classmethod
    def sums_of(cls, some: Predictions) -> dict[str, np.ndarray]:
        """The arrays for these examples, by name."""
        losses, infinite = _losses(some)
        return super().sums_of(some) | {
            "classes": _class_cells(some),
            "losses": losses,
            "scores": _scores(some),
            "infinite": np.array(infinite, dtype=np.int64),
        }

    def class_bins(self, num_bins: int) -> ClassCells:
        """What `class_cells` returns for these examples, bit for bit.

        Raises:
            ParameterError: There are no examples, or `num_bins` does not divide the
                number of cells.
        """
        check_bins(self, num_bins, self.classes.shape[2])
        sums = self.classes.reshape(4, self.num_classes, num_bins, -1).sum(axis=3)
        return ClassCells(count=sums[0], hits=sums[1], total=from_limbs(sums[2:]))


def _class_cells(some: Predictions) -> np.ndarray:
    num_classes = some.num_classes
    num_cells = class_cells_for(num_classes)
    size = num_classes * num_cells
    values = some.probs.ravel()
    cells = equal_width_index(values, num_cells).reshape(-1, num_classes)
    cells += np.arange(num_classes) * num_cells
    hits = cells[np.arange(some.num_examples), some.labels]
    index, counts = cells.ravel(), some.counts
    each = None if counts is None else np.repeat(counts, num_classes)
    rows = [
        counted(index, size, each)[None],
        counted(hits, size, counts)[None],
        limb_sums(index, values, size, each),
    ]
    return np.concatenate(rows).reshape(4, num_classes, num_cells)


def _losses(some: Predictions) -> tuple[np.ndarray, int]:
    loss, counts = -some.label_log_probs, some.counts
    is_finite = np.isfinite(loss)
    finite = loss[is_finite]
    of_finite = None if counts is None else counts[is_finite]
    with np.errstate(over="ignore"):
        square = np.minimum(finite**2, np.finfo(np.float64).max)
    sums = [exponent_sums(each, of_finite) for each in (finite, square)]
    seen = len(finite) if of_finite is None else int(of_finite.sum())
    return np.stack(sums), int(some.total_weight) - seen


def _scores(some: Predictions) -> np.ndarray:
    # A Brier score may round to a little above 2.
    half = np.minimum(brier_terms(some) / 2, 1.0)
    missing = (1 - np.exp(some.label_log_probs)) ** 2
    zero = np.zeros(some.num_examples, dtype=np.int64)
    terms = (half, half**2, missing)
    columns = [limb_sums(zero, each, 1, some.counts) for each in terms]
    return np.concatenate(columns, axis=1)
