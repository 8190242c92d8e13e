"""Passes over all pairs of examples, some rows of the square at a time.

Examples are sorted first, so that what is computed depends on the multiset of examples
alone. Sorting is by an index: a second copy of the probabilities is never made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int, UInt32

from calibench.predictions import Predictions

# Numbers of a strip of the square of all pairs, and of a block of examples.
_STRIP = 2**20
_BLOCK = 2**19
# Up to here sums by class are products with one-hot labels, beyond they are counted.
_FEW_CLASSES = 16
_MOST_PILOTS = 1000

Rows: TypeAlias = Float64[np.ndarray, "rows classes"]
Strip: TypeAlias = Float64[np.ndarray, "rows examples"]
ManyLabels: TypeAlias = UInt32[np.ndarray, "sets examples"]


@dataclass(frozen=True, eq=False)
class SortedExamples:
    """Examples in an order that depends on what they are, not on how they came."""

    some: Predictions

    @cached_property
    def order(self) -> Int[np.ndarray, " examples"]:
        """Where the examples are in the predictions, in sorted order.

        By what decides probabilities and their logarithms: a constant added to the
        logits of an example does not move it.
        """
        values, order = self.some.values, np.argsort(self.some.labels, kind="stable")
        top = values.max(axis=1) if self.some.kind == "logits" else 0.0
        # Column by column, so that no second matrix is made.
        for column in values.T:
            order = order[np.argsort((column - top)[order], kind="stable")]
        return order

    @property
    def num_examples(self) -> int:
        """How many."""
        return self.some.num_examples

    @cached_property
    def labels(self) -> ManyLabels:
        """The labels as a single set, in sorted order."""
        return self.some.labels[self.order].astype(np.uint32)[None]

    def probs(self, rows: slice | np.ndarray) -> Rows:
        """The probabilities of some examples, by sorted position."""
        return self.some.probs[self.order[rows]]

    def log_probs(self, rows: slice | np.ndarray) -> Rows:
        """Their logarithms; -inf for a probability that was given as 0."""
        at = self.order[rows]
        part = Predictions(self.some.labels[at], self.some.kind, self.some.values[at])
        return part.log_probs

    def strips(self) -> Iterator[slice]:
        """Rows of the square of all pairs, at most 8 MB of them at a time."""
        return _slices(self.num_examples, max(1, _STRIP // self.num_examples))

    def blocks(self) -> Iterator[slice]:
        """Examples, at most 4 MB of probabilities at a time."""
        return _slices(self.num_examples, max(1, _BLOCK // self.some.num_classes))

    def pilots(self) -> Int[np.ndarray, " pilots"]:
        """Positions of at most 1,000 examples, evenly spaced among the sorted."""
        count = min(self.num_examples, _MOST_PILOTS)
        return np.arange(count) * self.num_examples // count

    def strip_of(self, num_rows: int, block: Callable[[slice], np.ndarray]) -> Strip:
        """Put the blocks of a strip side by side."""
        strip = np.empty((num_rows, self.num_examples))
        for columns in self.blocks():
            strip[:, columns] = block(columns)
        return strip

    def redrawn_labels(self, replicates: int, seed: int) -> ManyLabels:
        """Sets of labels drawn from the rows of probabilities, in sorted order."""
        rng = np.random.default_rng(seed)
        drawn = np.empty((replicates, self.num_examples), dtype=np.uint32)
        last = self.some.num_classes - 1
        for rows in self.blocks():
            # The last class takes what rounding leaves of the row.
            cumulative = np.cumsum(self.probs(rows), axis=1)[:, :last]
            for i, row in zip(range(rows.start, rows.stop), cumulative, strict=True):
                uniform = rng.random(replicates)
                drawn[:, i] = np.searchsorted(row, uniform, side="right")
        return drawn


def class_sums(weights: Strip, labels: ManyLabels, num_classes: int) -> Iterator[Rows]:
    """For each set of labels, the sum of each row's weights over each class."""
    if num_classes > _FEW_CLASSES:
        for each in labels:
            index = each.astype(np.int64)
            yield np.stack([np.bincount(index, w, num_classes) for w in weights])
        return
    num_examples = labels.shape[1]
    # One product for several sets: a wide product takes half the time of narrow ones.
    together = max(1, _STRIP // (max(num_examples, 1) * num_classes))
    classes = np.arange(num_classes, dtype=np.uint32)
    for sets in _slices(len(labels), together):
        one_hot = labels[sets].T[:, :, None] == classes
        sums = weights @ one_hot.reshape(num_examples, -1).astype(np.float64)
        yield from np.moveaxis(sums.reshape(len(weights), -1, num_classes), 1, 0)


def _slices(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
