"""What the metrics need to know of predictions, in constant size and mergeable.

A state holds integer sums on one fine grid of cells, so that its bits depend on the
multiset of examples alone: not on their order, sharding, batches or threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float64, Int64

from calibench.binning import (
    BinStats,
    equal_width_index,
    from_limbs,
    limb_sums,
)
from calibench.errors import DataError, ParameterError
from calibench.metrics.classwise import ClassCells
from calibench.metrics.float_sums import NUM_EXPONENTS, exponent_sums
from calibench.metrics.scores import brier_terms
from calibench.predictions import Predictions

# Cells of the predicted class. Every number of bins that divides it has its edges among
# the edges of the cells, as the very same float64: 10, 12, 15, 20, 25, 30, 50, 100, ...
NUM_CELLS = 7200
# A cell adds up numbers of 30 bits in 63.
MOST_EXAMPLES = 2**33

# Rows of `MetricState.top`; a sum takes two.
_COUNT, _RIGHT, _CONFIDENCE, _CONFIDENCE_RIGHT, _SQUARE = 0, 1, 2, 4, 6
_TOP_ROWS = 8


def class_cells_for(num_classes: int) -> int:
    """Cells for each class: fewer for many classes, to bound the size of a state."""
    if num_classes <= 200:
        return 600
    return 120 if num_classes <= 2000 else 30


@dataclass(frozen=True, eq=False)
class MetricState:
    """Sums over examples from which the binned metrics follow exactly.

    A value: `update` and `merge` return a new state. Numbers: `result`, and with
    intervals and floors `calibench.metrics.stream_evaluation`.

    A state of 10 classes takes 0.8 MB. Confidences, gaps and Brier scores are cut to
    multiples of 2^-60 an example, as everywhere in `binning`; the NLL is summed
    without any rounding. At most 2^33 examples, about 8.6e9.

    Attributes:
        num_classes: K.
        top: For each cell of the predicted class: examples, right ones, the sum of
            confidences, that of right ones, that of squared gaps (sums as two limbs).
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

    num_classes: int
    top: Int64[np.ndarray, "rows=8 cells"]
    classes: Int64[np.ndarray, "rows=4 classes class_cells"]
    losses: Int64[np.ndarray, "powers=2 halves=2 exponents"]
    scores: Int64[np.ndarray, "limbs=2 scores=3"]
    infinite: Int64[np.ndarray, ""]

    @classmethod
    def empty(cls, num_classes: int) -> "MetricState":
        """The state of no examples.

        Raises:
            ParameterError: `num_classes` is below 2.
        """
        if num_classes < 2:
            msg = f"num_classes must be at least 2, got {num_classes}."
            raise ParameterError(msg)
        cells = class_cells_for(num_classes)
        return cls(
            num_classes=num_classes,
            top=np.zeros((_TOP_ROWS, NUM_CELLS), dtype=np.int64),
            classes=np.zeros((4, num_classes, cells), dtype=np.int64),
            losses=np.zeros((2, 2, NUM_EXPONENTS), dtype=np.int64),
            scores=np.zeros((2, 3), dtype=np.int64),
            infinite=np.zeros((), dtype=np.int64),
        )

    @classmethod
    def of(cls, some: Predictions) -> "MetricState":
        """The state of these examples."""
        losses, infinite = _losses(some)
        return cls(
            num_classes=some.num_classes,
            top=_top_cells(some.confidence, some.correct),
            classes=_class_cells(some),
            losses=losses,
            scores=_scores(some),
            infinite=np.array(infinite, dtype=np.int64),
        )

    @property
    def num_examples(self) -> int:
        """How many examples it has seen."""
        return int(self.top[_COUNT].sum())

    def update(self, some: Predictions) -> "MetricState":
        """The state with these examples added.

        Raises:
            DataError: The number of classes differs, or there are too many examples.
        """
        return self.merge(MetricState.of(some))

    def merge(self, other: "MetricState") -> "MetricState":
        """The state of the examples of both.

        Raises:
            DataError: The number of classes differs, or there are too many examples.
        """
        if other.num_classes != self.num_classes:
            msg = (
                f"{self.num_classes} classes cannot be merged with "
                f"{other.num_classes}. Give predictions of one problem."
            )
            raise DataError(msg)
        if self.num_examples + other.num_examples > MOST_EXAMPLES:
            msg = f"a state has room for {MOST_EXAMPLES:,} examples and no more."
            raise DataError(msg)
        mine, others = self.to_arrays(), other.to_arrays()
        return MetricState.from_arrays(
            {name: np.asarray(mine[name] + others[name]) for name in _SUMS}
        )

    def result(self, num_bins: int = 15) -> dict[str, float]:
        """Every number of `scalars`, by name.

        Accuracy, the equal-width family, `classwise_ece` and `nll` have the bits that
        they have in memory, means of confidences and Brier scores agree to 1e-15. The
        two others are good to the bounds of `stream_results`.

        Raises:
            ParameterError: There are no examples, or `num_bins` does not divide the
                number of cells.
        """
        # The results are read off a state, so their module is above this one.
        from calibench.metrics.stream_results import results  # noqa: PLC0415

        return results(self, num_bins)

    def bins(self, num_bins: int) -> BinStats:
        """What `top_label_bins` returns for these examples, bit for bit.

        Raises:
            ParameterError: There are no examples, or `num_bins` does not divide the
                number of cells.
        """
        check_bins(self, num_bins, NUM_CELLS)
        sums = self.top.reshape(_TOP_ROWS, num_bins, -1).sum(axis=2)
        edges = np.arange(num_bins + 1) / num_bins
        return stats_of(sums, edges)

    def class_bins(self, num_bins: int) -> ClassCells:
        """What `class_cells` returns for these examples, bit for bit.

        Raises:
            ParameterError: There are no examples, or `num_bins` does not divide the
                number of cells.
        """
        check_bins(self, num_bins, self.classes.shape[2])
        sums = self.classes.reshape(4, self.num_classes, num_bins, -1).sum(axis=3)
        return ClassCells(count=sums[0], hits=sums[1], total=from_limbs(sums[2:]))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As arrays by name, for `numpy.savez` or to send to another process."""
        return {name: getattr(self, name) for name in _SUMS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "MetricState":
        """The state whose `to_arrays` these are.

        Raises:
            DataError: They are of no state.
        """
        missing = [name for name in _SUMS if name not in arrays]
        if missing:
            msg = f"no metric state: it lacks {', '.join(missing)}."
            raise DataError(msg)
        shape = arrays["classes"].shape
        expected = cls.empty(shape[1] if len(shape) == 3 and shape[1] > 1 else 2)
        for name, like in expected.to_arrays().items():
            given = arrays[name]
            if given.shape != like.shape or given.dtype != np.int64:
                msg = (
                    f"no metric state: {name} has shape {given.shape} and dtype "
                    f"{given.dtype}, not {like.shape} and int64."
                )
                raise DataError(msg)
        return cls(expected.num_classes, **{name: arrays[name] for name in _SUMS})


_SUMS = tuple(
    field.name for field in fields(MetricState) if field.name != "num_classes"
)


def stats_of(
    sums: Int64[np.ndarray, "rows=8 bins"], edges: Float64[np.ndarray, " edges"]
) -> BinStats:
    """The averages of sums of `MetricState.top`, without empty bins."""
    kept = sums[_COUNT] > 0
    sums = sums[:, kept]
    count = sums[_COUNT]
    return BinStats(
        count=count,
        confidence=from_limbs(sums[_CONFIDENCE : _CONFIDENCE + 2]) / count,
        accuracy=sums[_RIGHT] / count,
        squared_gap=from_limbs(sums[_SQUARE : _SQUARE + 2]) / count,
        lo=edges[:-1][kept],
        hi=edges[1:][kept],
    )


def check_bins(state: MetricState, num_bins: int, num_cells: int) -> None:
    """Refuse a number of bins whose edges are not among those of the cells.

    Raises:
        ParameterError: There are no examples, or `num_bins` does not divide
            `num_cells`.
    """
    if state.num_examples == 0:
        msg = "a state without examples has no metrics. Update it first."
        raise ParameterError(msg)
    if num_bins < 1 or num_cells % num_bins:
        fitting = [b for b in range(1, 101) if num_cells % b == 0]
        msg = (
            f"num_bins {num_bins} does not divide the {num_cells:,} cells of a stream. "
            f"Choose from {', '.join(map(str, fitting))}."
        )
        raise ParameterError(msg)


def _top_cells(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    index = equal_width_index(confidence, NUM_CELLS)
    right = index[correct]
    return np.concatenate(
        [
            np.bincount(index, minlength=NUM_CELLS)[None],
            np.bincount(right, minlength=NUM_CELLS)[None],
            limb_sums(index, confidence, NUM_CELLS),
            limb_sums(right, confidence[correct], NUM_CELLS),
            limb_sums(index, (confidence - correct) ** 2, NUM_CELLS),
        ]
    )


def _class_cells(some: Predictions) -> np.ndarray:
    num_classes = some.num_classes
    num_cells = class_cells_for(num_classes)
    size = num_classes * num_cells
    values = some.probs.ravel()
    cells = equal_width_index(values, num_cells).reshape(-1, num_classes)
    cells += np.arange(num_classes) * num_cells
    hits = cells[np.arange(some.num_examples), some.labels]
    index = cells.ravel()
    rows = [
        np.bincount(index, minlength=size)[None],
        np.bincount(hits, minlength=size)[None],
        limb_sums(index, values, size),
    ]
    return np.concatenate(rows).reshape(4, num_classes, num_cells)


def _losses(some: Predictions) -> tuple[np.ndarray, int]:
    loss = -some.label_log_probs
    finite = loss[np.isfinite(loss)]
    with np.errstate(over="ignore"):
        square = np.minimum(finite**2, np.finfo(np.float64).max)
    sums = np.stack([exponent_sums(finite), exponent_sums(square)])
    return sums, len(loss) - len(finite)


def _scores(some: Predictions) -> np.ndarray:
    # A Brier score may round to a little above 2.
    half = np.minimum(brier_terms(some) / 2, 1.0)
    missing = (1 - np.exp(some.label_log_probs)) ** 2
    zero = np.zeros(some.num_examples, dtype=np.int64)
    columns = [limb_sums(zero, each, 1) for each in (half, half**2, missing)]
    return np.concatenate(columns, axis=1)
