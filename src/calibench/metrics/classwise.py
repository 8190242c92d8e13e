"""Calibration error of every class, one against the rest."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from calibench.binning import Binning, lay
from calibench.predictions import Predictions
from calibench.signatures import of_predictions
from calibench.sums import counted, exact_sums
from calibench.validation import member
from calibench.weights import Weights

# Class probabilities binned at a time: bounds the memory for many classes.
_BLOCK = 2**20


REDUCTIONS = ("mean", "sum")


@of_predictions
def classwise_ece(
    some: Predictions,
    *,
    num_bins: int = 15,
    scheme: str | Binning = "equal_width",
    reduction: str = "mean",
) -> float:
    """Mean, or sum, over classes of the one-against-rest calibration error.

    For each class, its probability is binned over *all* examples and compared with the
    share of them that bears its label; the K errors are averaged or added up. Both
    occur in the literature under one name, and differ by the factor K.

    Args:
        some: The predictions.
        num_bins: How many bins for each class.
        scheme: "equal_width", "equal_mass" (bins of each class hold equally many
            examples), or a binning function.
        reduction: "mean" over the classes, or "sum".

    Returns:
        For the sum from 0 to 2, because each row of probabilities and each label have
        mass 1; for the mean from 0 to 2 / K.

    Raises:
        ParameterError: `num_bins` is below 1, or there is no such scheme or reduction.

    Source:
        Nixon et al. 2019 (static calibration error, and adaptive with equal mass);
        Kull et al. 2019, equation 4.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [0.75, 0.25]], [0, 1])
        >>> classwise_ece(some), classwise_ece(some, reduction="sum")
        (0.25, 0.5)
    """
    times = (
        some.num_classes if member(reduction, REDUCTIONS, "reduction") == "sum" else 1
    )
    return class_cells(some, num_bins, scheme).mean_size() * times


@dataclass(frozen=True, eq=False)
class ClassCells:
    """Sums over the examples in every bin of every class.

    Attributes:
        count: Examples whose probability of the class is in the bin, or their weight.
        hits: Those of them that bear its label.
        total: The sum of their probabilities.
    """

    count: Int64[np.ndarray, "classes bins"] | Float64[np.ndarray, "classes bins"]
    hits: Int64[np.ndarray, "classes bins"] | Float64[np.ndarray, "classes bins"]
    total: Float64[np.ndarray, "classes bins"]

    @property
    def weight(self) -> float:
        """What one example counts for in one class: the mean is over both."""
        return 1 / float(self.count.sum())

    def mean_size(self) -> float:
        """The mean over classes of the mean over examples of |gap|."""
        return float(np.abs(self.total - self.hits).sum()) * self.weight


def class_cells(some: Predictions, num_bins: int, scheme: str | Binning) -> ClassCells:
    """Sum up every bin of every class, a block of classes at a time."""
    some = some.present
    num_examples, num_classes = some.probs.shape
    per_block = max(1, _BLOCK // num_examples)
    blocks = [
        _cells_of(some, range(low, min(low + per_block, num_classes)), num_bins, scheme)
        for low in range(0, num_classes, per_block)
    ]
    return ClassCells(
        count=np.concatenate([block.count for block in blocks]),
        hits=np.concatenate([block.hits for block in blocks]),
        total=np.concatenate([block.total for block in blocks]),
    )


def cells_by_class(
    columns: Float64[np.ndarray, "classes examples"],
    num_bins: int,
    scheme: str | Binning,
    weights: Weights | None,
) -> Int64[np.ndarray, "classes examples"]:
    """The bin of each example for each class, those of a class after the last's."""
    bins = np.stack([lay(scheme, each, num_bins, weights).index for each in columns])
    return bins + np.arange(len(columns))[:, None] * num_bins


def _cells_of(
    some: Predictions, classes: range, num_bins: int, scheme: str | Binning
) -> ClassCells:
    columns = np.ascontiguousarray(some.probs[:, classes.start : classes.stop].T)
    weights = some.weights
    cells = cells_by_class(columns, num_bins, scheme, weights)
    shape, size = (len(classes), num_bins), len(classes) * num_bins
    member = (some.labels >= classes.start) & (some.labels < classes.stop)
    example = np.flatnonzero(member)
    hits = cells[some.labels[example] - classes.start, example]
    each = None if weights is None else np.tile(weights, len(classes))
    of_hits = None if weights is None else weights[example]
    return ClassCells(
        count=counted(cells.ravel(), size, each).reshape(shape),
        hits=counted(hits, size, of_hits).reshape(shape),
        total=exact_sums(cells.ravel(), columns.ravel(), size, each).reshape(shape),
    )
