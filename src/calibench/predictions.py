"""A classifier's answers on labeled examples, and the views that metrics need."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64

from calibench import validation
from calibench.errors import DataError
from calibench.validation import Array, Split
from calibench.weights import Weights, weight_vector

Matrix: TypeAlias = Float64[np.ndarray, "examples classes"]
Vector: TypeAlias = Float64[np.ndarray, " examples"]
Labels: TypeAlias = Int64[np.ndarray, " examples"]
Correct: TypeAlias = Bool[np.ndarray, " examples"]
Kind: TypeAlias = Literal["logits", "probs"]
Counts: TypeAlias = Int64[np.ndarray, " examples"]

UNCOUNTED = (
    "weights are not whole numbers, so they say nothing about how many independent "
    "examples there are"
)


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row of logits or probabilities, and one label, per example.

    Build it with `from_logits` or `from_probs`: which of the two the numbers are is
    declared by the caller, never guessed from their range. Every view is float64 (a
    float32 softmax rounds confident predictions to exactly 1, a bin edge), derived on
    first use, kept, and read-only. Inputs are never modified; a float64 C-ordered
    input is not copied, so leave it alone while its predictions are in use.

    A weight says how often an example is there. With weights that are whole numbers
    every metric is that of the data set in which each row is repeated as often.

    Attributes:
        labels: Class ids in 0..num_classes - 1.
        kind: What `values` holds, "logits" or "probs".
        values: The validated numbers as given, in float64.
        split: Which split the examples come from, where that is known.
        weights: How often each example is there: int64 if all are whole numbers, else
            float64; None where each is there once.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [0.5, 0.5]], [0, 1])
        >>> some.confidence.tolist(), some.correct.tolist()
        ([0.75, 0.5], [True, False])
    """

    labels: Labels
    kind: Kind
    values: Matrix
    split: Split | None = None
    weights: Weights | None = None

    @classmethod
    def from_logits(
        cls,
        logits: Array,
        labels: Array,
        *,
        weights: Array = None,
        split: str | None = None,
    ) -> "Predictions":
        """Take logits: one column per class, or one column of log-odds of class 1.

        Args:
            logits: Numbers of any real dtype, as a numpy array, a torch tensor or
                nested lists; finite. One-dimensional, or with one column: a binary
                problem, read as the log-odds of class 1.
            labels: One class id per row.
            weights: How often each example is there: one finite number that is at
                least 0 per row, not all 0; or None, once each.
            split: "train", "selection", "calibration", "test", or None.

        Raises:
            DataError: The numbers are not valid; the first bad row is named.
            ParameterError: `split` is none of the four.
        """
        values = validation.logit_matrix(logits)
        checked = validation.label_vector(labels, *values.shape)
        counted = weight_vector(weights, len(values))
        return cls(checked, "logits", values, validation.split_name(split), counted)

    @classmethod
    def from_probs(
        cls,
        probs: Array,
        labels: Array,
        *,
        weights: Array = None,
        split: str | None = None,
    ) -> "Predictions":
        """Take probabilities: one column per class, or one column for class 1.

        Rows must sum to 1 within 1e-9 K for float64, 1e-5 for float32 and 5e-3 for half
        precision; an entry may exceed 1 by 4 eps K of its dtype and is then read as 1.
        Nothing else is repaired, and rows are not renormalized.

        Args:
            probs: As for `from_logits`, in [0, 1].
            labels: One class id per row.
            weights: How often each example is there: one finite number that is at
                least 0 per row, not all 0; or None, once each.
            split: "train", "selection", "calibration", "test", or None.

        Raises:
            DataError: The numbers are not valid; the first bad row is named.
            ParameterError: `split` is none of the four.
        """
        values = validation.prob_matrix(probs)
        checked = validation.label_vector(labels, *values.shape)
        validation.refuse_one_class(probs, checked)
        counted = weight_vector(weights, len(values))
        return cls(checked, "probs", values, validation.split_name(split), counted)

    @property
    def num_examples(self) -> int:
        """How many rows there are, at least 1."""
        return self.values.shape[0]

    @property
    def num_classes(self) -> int:
        """How many classes there are, at least 2."""
        return self.values.shape[1]

    @cached_property
    def total_weight(self) -> int | float:
        """The sum of the weights: how many examples there are, repetitions included."""
        if self.weights is None:
            return self.num_examples
        if self.is_counted:
            return int(self.weights.sum())
        return math.fsum(self.weights.tolist())

    @property
    def is_counted(self) -> bool:
        """Whether the weights are whole numbers: how many examples there are is known.

        They count as independent draws, repetitions included.
        """
        return self.weights is None or self.weights.dtype.kind == "i"

    @property
    def counts(self) -> Counts | None:
        """The weights, for what takes no other than whole numbers.

        Raises:
            DataError: They are not whole numbers.
        """
        if not self.is_counted:
            msg = f"{UNCOUNTED}. Give whole numbers, or ask for values alone."
            raise DataError(msg)
        return self.weights

    @property
    def present(self) -> "Predictions":
        """The same without the examples of weight 0: what a metric looks at."""
        # Kept as its own attribute it would hold on to its arrays until the garbage
        # collector comes, which counts objects and not bytes.
        is_whole = self.weights is None or bool(self.weights.all())
        return self if is_whole else self._without_absent

    @cached_property
    def _without_absent(self) -> "Predictions":
        kept = self.rows(np.flatnonzero(np.asarray(self.weights)))
        is_plain = kept.weights is not None and (kept.weights == 1).all()
        return replace(kept, weights=None) if is_plain else kept

    def rows(self, index: Any) -> "Predictions":  # noqa: ANN401 - what numpy takes
        """Some of the examples, by an index or a mask, with their weights."""
        weights = None if self.weights is None else self.weights[index]
        return replace(
            self,
            labels=self.labels[index],
            values=self.values[index],
            weights=weights,
        )

    @cached_property
    def logits(self) -> Matrix:
        """The logits; for probabilities their logarithms, -inf where they are 0."""
        if self.kind == "logits":
            return self.values
        with np.errstate(divide="ignore"):
            return _frozen(np.log(self.values))

    @cached_property
    def probs(self) -> Matrix:
        """Probability of each class: the softmax of logits, or as given."""
        if self.kind == "probs":
            return self.values
        return self._softmax[0]

    @cached_property
    def log_probs(self) -> Matrix:
        """Log-softmax of `logits`, without a detour over probabilities that underflow.

        For given probabilities it is normalized, though `probs` is as given; the two
        differ by at most the tolerance on the sum of a row.
        """
        if self.kind == "probs":
            return _frozen(self.logits - np.log(self.values.sum(axis=1))[:, None])
        return _frozen(self._shifted - self._softmax[1][:, None])

    @cached_property
    def label_log_probs(self) -> Vector:
        """Log-probability of each example's label, in nats; may be -inf."""
        rows = np.arange(self.num_examples)
        chosen = self.values[rows, self.labels]
        if self.kind == "probs":
            with np.errstate(divide="ignore"):
                return _frozen(np.log(chosen) - np.log(self.values.sum(axis=1)))
        top = self.values[rows, self.predicted]
        with np.errstate(over="ignore"):
            return _frozen(chosen - top - self._softmax[1])

    @cached_property
    def predicted(self) -> Labels:
        """The class with the largest value; of several, the lowest class id."""
        return _frozen(np.argmax(self.values, axis=1).astype(np.int64, copy=False))

    @cached_property
    def confidence(self) -> Vector:
        """Probability of the predicted class, in [1 / K, 1]."""
        return _frozen(self.probs[np.arange(self.num_examples), self.predicted])

    @cached_property
    def correct(self) -> Correct:
        """Whether the predicted class is the label."""
        return _frozen(self.predicted == self.labels)

    @cached_property
    def log_odds(self) -> Vector:
        """Log-odds of the predicted class: its logit minus logsumexp of the others.

        Tells confidences apart that all round to 1. Infinite where every other
        probability is given as 0.
        """
        rows = np.arange(self.num_examples)
        others = self.logits.copy()
        top = others[rows, self.predicted]
        others[rows, self.predicted] = -np.inf
        runner_up = others.max(axis=1)
        shift = np.where(np.isfinite(runner_up), runner_up, 0.0)
        with np.errstate(divide="ignore", over="ignore"):
            rest = np.log(np.exp(others - shift[:, None]).sum(axis=1))
            return _frozen(top - shift - rest)

    @property
    def _shifted(self) -> Matrix:
        # The largest logit of a row is finite: a row of probabilities sums to 1.
        with np.errstate(over="ignore"):
            return self.logits - self.logits.max(axis=1, keepdims=True)

    @cached_property
    def _softmax(self) -> tuple[Matrix, Vector]:
        # Both at once: the exponentials are most of the work.
        exponentials = np.exp(self._shifted)
        total = exponentials.sum(axis=1)
        exponentials /= total[:, None]
        return _frozen(exponentials), np.log(total)


def _frozen(view: np.ndarray) -> np.ndarray:
    view.flags.writeable = False
    return view


def unweighted(some: Predictions, what: str) -> Predictions:
    """Return predictions that have no weights, for what cannot take any.

    Raises:
        DataError: They have weights.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25]], [0])
        >>> unweighted(some, "a metric that knows no weights") is some
        True
    """
    if some.weights is not None:
        msg = (
            f"{what} takes no weights. Repeat the rows, or give predictions without "
            "weights."
        )
        raise DataError(msg)
    return some
