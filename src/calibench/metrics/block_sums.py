"""What a thread of `one_pass` does: the sums of a metric state, block by block."""

from types import ModuleType
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from calibench.errors import DataError
from calibench.metrics.cells import (
    NUM_CELLS,
    NUM_ODDS,
    ODDS_GRID,
)
from calibench.metrics.float_sums import NUM_EXPONENTS, SMALLEST_EXPONENT
from calibench.metrics.saturation import ROUNDS_TO_ONE
from calibench.metrics.scores import brier_terms
from calibench.metrics.stream import MetricState, class_cells_for
from calibench.metrics.stream_top import TopLabelState
from calibench.predictions import Kind, Predictions
from calibench.validation import largest_probability, sum_tolerance

Labels: TypeAlias = Int64[np.ndarray, " examples"]

# Numbers of a block of derived ones, which stays in the second-level cache.
_NUMBERS = 2**16
_MOST_ROWS, _FEWEST_ROWS = 4096, 16
# Columns that lie a power of two apart would share lines of the cache.
_PADDING = 8
# From here on a row is long enough for vector units, and is not turned. (Up to 128
# numbers the compiled sum has the order of numpy's.)
_MANY_CLASSES = 64
# The same, where nothing is derived of a row but its largest number.
_MANY_TO_SCAN = 32
_BITS = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}


class BlockSums:
    """The sums of one thread, and the buffers of its blocks.

    Args:
        kernel: The module of compiled loops.
        kind: "logits" or "probs".
        like: Values of the shape and dtype to come.
        scope: `MetricState` or `TopLabelState`.
    """

    def __init__(
        self,
        kernel: ModuleType,
        kind: Kind,
        like: np.ndarray,
        scope: type[TopLabelState],
    ) -> None:
        num_classes, name = like.shape[1], like.dtype.name
        self._kernel, self._kind, self._scope = kernel, kind, scope
        self._num_classes = num_classes
        self._only_scans = scope is TopLabelState and kind == "probs"
        rows = min(max(_NUMBERS // num_classes, _FEWEST_ROWS), _MOST_ROWS)
        self.rows = 2 * _MOST_ROWS if self._only_scans else rows
        self._largest = largest_probability(name, num_classes)
        self._tolerance = sum_tolerance(name, num_classes)
        self._top = np.zeros((NUM_CELLS, 8), dtype=np.int64)
        self._odds = np.zeros((NUM_ODDS, 2), dtype=np.int64)
        self._saturated = 0
        longest = max(self.rows, num_classes)
        self._scratch = (*np.empty((2, longest), np.int64), np.empty(longest))
        if self._only_scans:
            self._prepare_scan(like.dtype)
        elif num_classes < _MANY_CLASSES:
            size = self.rows + _PADDING
            floats, ids = np.empty((3, size)), np.empty((2, size), dtype=np.int64)
            block = np.empty((num_classes, size))
            self._buffers = (block, floats[0], *ids, *floats[1:])
        if issubclass(scope, MetricState):
            cells = class_cells_for(num_classes)
            self._classes = np.zeros((num_classes, cells, 4), dtype=np.int64)
            self._class_sums = np.zeros((2, num_classes), dtype=np.int64)
            self._losses = np.zeros((2, 2, NUM_EXPONENTS), dtype=np.int64)
            self._scores = np.zeros((2, 3), dtype=np.int64)
            self._infinite = 0

    def add(self, values: np.ndarray, labels: Labels) -> bool:
        """Add at most `rows` rows, or return False: numpy is to say what is wrong."""
        if self._only_scans:
            return self._add_scanned(values, labels)
        if self._num_classes < _MANY_CLASSES:
            return self._add_turned(values, labels)
        return self._add_rows(values, labels)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of a state of what has been added, by name."""
        arrays = {
            "top": np.ascontiguousarray(self._top.T),
            "odds": np.ascontiguousarray(self._odds.T),
            "saturated": np.asarray(self._saturated, np.int64),
        }
        if issubclass(self._scope, MetricState):
            arrays |= {
                "classes": self._class_cells(),
                "losses": self._losses,
                "scores": self._scores,
                "infinite": np.asarray(self._infinite, np.int64),
            }
        return arrays

    def _add_turned(self, values: np.ndarray, labels: Labels) -> bool:
        kernel, size = self._kernel, len(values)
        block, *vectors = self._buffers
        top, predicted, _, total, of_label = (each[:size] for each in vectors)
        if self._kind == "probs":
            checks = (self._largest, self._tolerance)
            read = kernel.read_probs(values, labels, checks, self._buffers)
            if read < 0:
                return self._add_rows(values, labels)
        else:
            most = float(np.finfo(np.float64).max)
            read = kernel.read_logits(values, labels, (-most, most), self._buffers)
        if read == 0:
            return False
        if self._kind == "logits":
            np.exp(block[:, :size], out=block[:, :size])
            kernel.normalize(size, self._buffers)
        self._add_top(top, predicted == labels)
        if self._scope is TopLabelState:
            return True
        kernel.add_columns_of_classes(
            block, labels, self._classes, self._class_sums, self._scratch
        )
        if self._kind == "probs":
            with np.errstate(divide="ignore"):
                np.log(of_label, out=of_label)
        np.subtract(of_label, np.log(total, out=total), out=of_label)
        kernel.add_up(block, size, total)
        self._add_scores(total, of_label)
        return True

    def _prepare_scan(self, dtype: np.dtype) -> None:
        is_few = self._num_classes < _MANY_TO_SCAN
        kernel = self._kernel
        self._scan = kernel.find_right_of_few if is_few else kernel.find_right_of_many
        self._of_scan = (
            np.empty(self.rows, _BITS[dtype]),
            np.empty(self.rows, np.int64),
            np.ones(1, dtype),
        )
        # Few are summed in their own precision, whose rounding is at most this.
        rounding = self._num_classes * np.finfo(dtype).eps if is_few else 1e-10
        self._certain = self._tolerance - float(rounding)

    def _add_scanned(self, values: np.ndarray, labels: Labels) -> bool:
        top, right, one = self._of_scan
        bits = top.dtype
        # What is near a bound is looked at again.
        largest, joined, off, sound = self._scan(
            values, values.view(bits), labels, top, right
        )
        if not (largest <= one.view(bits)[0] and joined >= 0 and off <= self._certain):
            return self._add_rows(values, labels)
        if not sound:
            return False
        size = len(values)
        self._add_top(top[:size].view(one.dtype).astype(np.float64), right[:size])
        return True

    def _add_rows(self, values: np.ndarray, labels: Labels) -> bool:
        is_logits = self._kind == "logits"
        make = Predictions.from_logits if is_logits else Predictions.from_probs
        try:
            some = make(values, labels)
        except DataError:
            return False
        self._add_top(some.confidence, some.correct)
        if self._scope is TopLabelState:
            return True
        self._kernel.add_rows_of_classes(
            some.probs, some.labels, self._classes, self._class_sums, self._scratch[1]
        )
        self._add_scores(brier_terms(some), some.label_log_probs)
        return True

    def _add_top(self, confidence: np.ndarray, right: np.ndarray) -> None:
        seen = (confidence, right.astype(np.int64, copy=False))
        self._kernel.add_top(seen, ODDS_GRID, self._top, self._odds, self._scratch)
        self._saturated += int(np.count_nonzero(confidence >= ROUNDS_TO_ONE))

    def _add_scores(
        self,
        brier: Float64[np.ndarray, " examples"],
        log_prob: Float64[np.ndarray, " examples"],
    ) -> None:
        self._kernel.add_scores(brier, np.exp(log_prob), self._scores)
        loss = -log_prob
        finite = np.isfinite(loss)
        with np.errstate(over="ignore"):
            square = np.minimum(loss**2, np.finfo(np.float64).max)
        for row, each in enumerate((loss, square)):
            bits = each.view(np.int64)
            self._kernel.add_losses(bits, finite, SMALLEST_EXPONENT, self._losses[row])
        self._infinite += len(loss) - int(np.count_nonzero(finite))

    def _class_cells(self) -> Int64[np.ndarray, "rows=4 classes class_cells"]:
        # What is in no other cell is in the first.
        cells = np.moveaxis(self._classes, 2, 0).copy()
        num_examples = self._top[:, 0].sum()
        cells[0, :, 0] = num_examples - cells[0].sum(axis=1)
        cells[2:, :, 0] = self._class_sums - cells[2:].sum(axis=2)
        return cells
