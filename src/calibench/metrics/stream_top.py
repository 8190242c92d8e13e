"""What the metrics of the predicted class need to know, in constant size and mergeable.

A state holds integer sums on one fine grid of cells, so that its bits depend on the
multiset of examples alone: not on their order, sharding, batches or threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from jaxtyping import Float64, Int64

from calibench.binning import BinStats
from calibench.errors import DataError, ParameterError
from calibench.metrics.cells import (
    NUM_CELLS,
    NUM_ODDS,
    TopSums,
    odds_cells,
    top_cells,
)
from calibench.metrics.saturation import ROUNDS_TO_ONE
from calibench.options import whole_number
from calibench.predictions import Predictions
from calibench.signatures import require_predictions
from calibench.sums import counted
from calibench.validation import Array

# A cell adds up numbers of 30 bits in 63.
MOST_EXAMPLES = 2**33 - 1

_TOP_ROWS = 8

State = TypeVar("State", bound="TopLabelState")


@dataclass(frozen=True, eq=False)
class TopLabelState:
    """Sums over examples from which the metrics of the predicted class follow.

    A value: `update` and `merge` return a new state. Numbers: `result`. It takes
    0.5 MB, whatever the number of classes. Confidences and gaps are cut to multiples of
    2^-60 an example, as everywhere in `binning`. Fewer than 2^33 examples, about 8.6e9.

    Attributes:
        num_classes: K.
        top: For each cell of the confidence: examples, right ones, the sum of
            confidences, that of right ones, that of squared gaps (sums as two limbs).
        odds: For each cell of the log-odds of the predicted class: examples, right
            ones.
        saturated: In how many examples the confidence rounds to 1 in float32.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1])
        >>> TopLabelState.of(some).result()["top_label_ece"]
        0.625
    """

    num_classes: int
    top: Int64[np.ndarray, "rows=8 cells"]
    odds: Int64[np.ndarray, "rows=2 odds_cells"]
    saturated: Int64[np.ndarray, ""]

    @classmethod
    def empty(cls: type[State], num_classes: int) -> State:
        """The state of no examples.

        Raises:
            ParameterError: `num_classes` is below 2.
        """
        whole_number(num_classes, "num_classes", 2)
        shapes = cls.shapes(num_classes)
        arrays = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
        return cls(num_classes, **arrays)

    @classmethod
    def of(cls: type[State], some: Predictions) -> State:
        """The state of these examples, each as often as its weight says.

        Raises:
            DataError: The weights are not whole numbers.
            ParameterError: They are an array; for arrays there is `of_arrays`.
        """
        require_predictions(some, cls.__name__)
        return cls(some.num_classes, **cls.sums_of(some))

    @classmethod
    def of_arrays(
        cls: type[State], values: Array, labels: Array, *, kind: str, workers: int = 1
    ) -> State:
        """The state of arrays, without a copy of them in float64.

        It has the bits of `of(Predictions.from_logits(values, labels))` (or
        `from_probs`), and refuses what that refuses. With numba (extra `fast`), native
        float32 or float64 and two columns or more it runs compiled, on as many threads
        as there are workers.

        Args:
            values: Logits or probabilities, one row for each example.
            labels: One class id per row.
            kind: "logits" or "probs".
            workers: How many threads.

        Raises:
            DataError: The numbers are not valid; the first bad row is named.
            ParameterError: There is no such kind, or `workers` is below 1.

        Example:
            >>> probs, labels = np.array([[0.75, 0.25], [1.0, 0.0]]), np.array([0, 1])
            >>> state = TopLabelState.of_arrays(probs, labels, kind="probs")
            >>> state.result()["overconfidence"]
            0.5
        """
        # It fills states, so its module is above this one.
        from calibench.metrics.one_pass import state_of  # noqa: PLC0415

        return state_of(cls, values, labels, kind, workers)

    @classmethod
    def shapes(cls, num_classes: int) -> dict[str, tuple[int, ...]]:
        """The shape of each array, by name."""
        del num_classes
        return {"top": (_TOP_ROWS, NUM_CELLS), "odds": (2, NUM_ODDS), "saturated": ()}

    @classmethod
    def sums_of(cls, some: Predictions) -> dict[str, np.ndarray]:
        """The arrays for these examples, by name."""
        counts = some.counts
        saturated = (some.confidence >= ROUNDS_TO_ONE).astype(np.int64)
        return {
            "top": top_cells(some.confidence, some.correct, counts),
            "odds": odds_cells(some.confidence, some.correct, counts),
            "saturated": np.asarray(counted(saturated, 2, counts)[1]),
        }

    @property
    def num_examples(self) -> int:
        """How many examples it has seen."""
        return int(self.cells.count.sum())

    @property
    def cells(self) -> TopSums:
        """The sums over each cell of the confidence, by name."""
        return TopSums(self.top)

    def update(self: State, some: Predictions) -> State:
        """The state with these examples added.

        Raises:
            DataError: The number of classes differs, there are too many examples, or
                the weights are not whole numbers.
        """
        return self.merge(type(self).of(some))

    def merge(self: State, other: State) -> State:
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
        merged = {
            name: np.asarray(mine + getattr(other, name))
            for name, mine in self._sums().items()
        }
        return type(self)(self.num_classes, **merged)

    def result(self, num_bins: int = 15) -> dict[str, float]:
        """Every number that follows from the state, by name.

        Accuracy, the equal-width family, `classwise_ece` and `nll` have the bits that
        they have in memory, means of confidences and Brier scores agree to 1e-15. The
        others are good to the bounds of `stream_results`.

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
        return stats_of(TopSums(sums), edges)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As arrays by name, for `numpy.savez` or to send to another process."""
        return {"num_classes": np.asarray(self.num_classes, np.int64), **self._sums()}

    @classmethod
    def from_arrays(cls: type[State], arrays: Mapping[str, np.ndarray]) -> State:
        """The state whose `to_arrays` these are.

        Raises:
            DataError: They are of no state.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in arrays]
        if missing:
            msg = f"no metric state: it lacks {', '.join(missing)}."
            raise DataError(msg)
        num_classes = arrays["num_classes"]
        if num_classes.shape != () or num_classes < 2:
            msg = "no metric state: num_classes is not a number from 2."
            raise DataError(msg)
        expected = cls.shapes(int(num_classes))
        for name, shape in expected.items():
            given = arrays[name]
            if given.shape != shape or given.dtype != np.int64:
                msg = (
                    f"no metric state: {name} has shape {given.shape} and dtype "
                    f"{given.dtype}, not {shape} and int64."
                )
                raise DataError(msg)
        return cls(int(num_classes), **{name: arrays[name] for name in expected})

    def _sums(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in self.shapes(self.num_classes)}


def stats_of(sums: TopSums, edges: Float64[np.ndarray, " edges"]) -> BinStats:
    """The averages of the sums of bins, without empty ones."""
    kept, some = sums.count > 0, sums.occupied
    return BinStats(
        count=some.count,
        confidence=some.confidence / some.count,
        accuracy=some.right / some.count,
        squared_gap=some.squared_gap / some.count,
        lo=edges[:-1][kept],
        hi=edges[1:][kept],
    )


def check_bins(state: TopLabelState, num_bins: int, num_cells: int) -> None:
    """Refuse a number of bins whose edges are not among those of the cells.

    Raises:
        ParameterError: There are no examples, or `num_bins` does not divide
            `num_cells`.
    """
    if state.num_examples == 0:
        msg = "a state without examples has no metrics. Update it first."
        raise ParameterError(msg)
    if whole_number(num_bins, "num_bins") < 1 or num_cells % num_bins:
        fitting = [b for b in range(1, 101) if num_cells % b == 0]
        msg = (
            f"num_bins {num_bins} does not divide the {num_cells:,} cells of a stream. "
            f"Choose from {', '.join(map(str, fitting))}."
        )
        raise ParameterError(msg)
