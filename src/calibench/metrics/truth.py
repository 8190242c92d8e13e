"""Errors against the truth: a known posterior, or how often people chose each class.

Counts of finitely many answers are noisy, and a distance from something noisy is biased
upward. Squares are freed of that bias here; the others say so in their docstrings, and
`evaluate_truth` gives them a floor.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64

from calibench.binning import Binning, lay
from calibench.errors import DataError
from calibench.metrics.scores import exact_mean
from calibench.predictions import Matrix, Predictions, Vector
from calibench.signatures import of_predictions
from calibench.sums import exact_sums
from calibench.validation import Array, count_matrix, prob_matrix

TruthKind: TypeAlias = Literal["posterior", "counts"]
Terms: TypeAlias = Float64[np.ndarray, " examples"]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of P(class | x): the posterior itself, or counts of draws from it.

    Build it with `from_posterior` or `from_counts`: which of the two the numbers are is
    declared by the caller. Every function of this module that takes a `truth` also
    takes a plain array, which is a posterior.

    Attributes:
        probs: The posterior, or the share of each class in the counts.
        totals: How many draws each example has; None for a posterior.

    Example:
        >>> Truth.from_counts([[3, 1], [0, 2]]).probs.tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """

    probs: Matrix
    totals: Vector | None

    @classmethod
    def from_posterior(cls, posterior: Array) -> "Truth":
        """Take P(class | x), exactly known, for each example and class.

        Raises:
            DataError: It is not a probability per example and class.
        """
        return cls(prob_matrix(posterior, "posterior"), None)

    @classmethod
    def from_counts(cls, counts: Array) -> "Truth":
        """Take how many of an example's judges chose each class.

        Judges are taken for independent draws from P(class | x). At least two for each
        example: a single one says nothing about its own noise.

        Raises:
            DataError: They are no counts per example and class, or an example has
                fewer than two.
        """
        checked = count_matrix(counts)
        totals = checked.sum(axis=1)
        return cls(checked / totals[:, None], totals)

    @property
    def kind(self) -> TruthKind:
        """Which of the two it was built from."""
        return "posterior" if self.totals is None else "counts"

    @property
    def noise(self) -> Matrix:
        """Variance of each share about P: f (1 - f) / (m - 1), without bias; or 0."""
        if self.totals is None:
            return np.zeros_like(self.probs)
        return self.probs * (1 - self.probs) / (self.totals - 1)[:, None]


@of_predictions
def true_calibration_error(some: Predictions, posterior: Array) -> float:
    """Mean |P(predicted class | x) - confidence| where the posterior is known.

    What ECE approximates with labels in place of the posterior. It can exceed the
    calibration error in the usual sense, which compares averages over examples of
    equal confidence: this one compares example by example. From counts it is biased
    upward.

    Args:
        some: The predictions.
        posterior: P(class | x) for each example and class, or a `Truth`.

    Returns:
        A fraction in [0, 1]; 0 only if every confidence is the truth.

    Raises:
        DataError: `posterior` is not a probability per example and class.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1])
        >>> true_calibration_error(some, [[0.5, 0.5], [0.75, 0.25]])
        0.25
    """
    return exact_mean(top_sizes(some, truth_for(some, posterior)), some.weights)


@of_predictions
def true_squared_calibration_error(some: Predictions, truth: Array) -> float:
    """Mean (P(predicted class | x) - confidence)^2, unbiased also from counts.

    From counts, with f the share of the predicted class among m judges, an example adds
    (f - c)^2 - f (1 - f) / (m - 1): negative where chance brought f close to c.

    Args:
        some: The predictions.
        truth: A posterior, or a `Truth`.

    Returns:
        A squared fraction, at most 1; from counts possibly negative.

    Raises:
        DataError: As for `true_calibration_error`.

    Example:
        >>> some = Predictions.from_probs([[0.5, 0.5]], [0])
        >>> true_squared_calibration_error(some, [[1.0, 0.0]])
        0.25
        >>> true_squared_calibration_error(some, Truth.from_counts([[1, 1]]))
        -0.25
    """
    return exact_mean(squared_top_gaps(some, truth_for(some, truth)), some.weights)


@of_predictions
def true_canonical_l1(some: Predictions, truth: Array) -> float:
    """Mean over examples of sum_k |P(k | x) - p_k|: twice the total variation.

    The error of the whole vector, example by example. From counts it is biased upward.

    Args:
        some: The predictions.
        truth: A posterior, or a `Truth`.

    Returns:
        From 0 to 2.

    Raises:
        DataError: As for `true_calibration_error`.

    Example:
        >>> some = Predictions.from_probs([[0.5, 0.25, 0.25]], [0])
        >>> true_canonical_l1(some, [[0.25, 0.5, 0.25]])
        0.5
    """
    return exact_mean(sizes(some, truth_for(some, truth)), some.weights)


@of_predictions
def true_canonical_l2(some: Predictions, truth: Array) -> float:
    """Mean over examples of the Euclidean distance between P(. | x) and p.

    From counts it is biased upward; `true_canonical_l2_squared` is not.

    Args:
        some: The predictions.
        truth: A posterior, or a `Truth`.

    Returns:
        From 0 to the root of 2.

    Raises:
        DataError: As for `true_calibration_error`.

    Example:
        >>> some = Predictions.from_probs([[0.5, 0.5, 0.0, 0.0]], [0])
        >>> true_canonical_l2(some, [[0.25, 0.25, 0.25, 0.25]])
        0.5
    """
    return exact_mean(lengths(some, truth_for(some, truth)), some.weights)


@of_predictions
def true_canonical_l2_squared(some: Predictions, truth: Array) -> float:
    """Mean over examples of sum_k (P(k | x) - p_k)^2, unbiased also from counts.

    How much of the Brier score of the posterior's labels is the model's fault: the rest
    is the Brier score of the posterior itself. From counts of m judges, an example adds
    sum_k (f_k - p_k)^2 - f_k (1 - f_k) / (m - 1).

    Args:
        some: The predictions.
        truth: A posterior, or a `Truth`.

    Returns:
        From 0 to 2; from counts possibly negative.

    Raises:
        DataError: As for `true_calibration_error`.

    Example:
        >>> some = Predictions.from_probs([[0.5, 0.25, 0.25]], [0])
        >>> true_canonical_l2_squared(some, [[0.25, 0.5, 0.25]])
        0.125
    """
    return exact_mean(squares(some, truth_for(some, truth)), some.weights)


@of_predictions
def soft_label_ece(
    some: Predictions,
    truth: Array,
    *,
    num_bins: int = 15,
    scheme: str | Binning = "equal_width",
) -> float:
    """ECE with P(predicted class | x) in place of right or wrong.

    It estimates what `top_label_ece` does, without the noise of drawing a label: the
    bias by chance that is left comes from the choice of examples, and from counts.

    Args:
        some: The predictions.
        truth: A posterior, or a `Truth`.
        num_bins: How many bins; empty ones do not count.
        scheme: "equal_width", "equal_mass", or a binning function.

    Returns:
        A fraction in [0, 1], never above `true_calibration_error`.

    Raises:
        DataError: As for `true_calibration_error`.
        ParameterError: `num_bins` is below 1, or there is no such scheme.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [0.75, 0.25]], [0, 0])
        >>> soft_label_ece(some, [[1.0, 0.0], [0.75, 0.25]])
        0.125
    """
    share = top_shares(some, truth_for(some, truth))
    if some.weights is not None:
        share, some = share[some.weights > 0], some.present
    weights = some.weights
    bins = lay(scheme, some.confidence, num_bins, weights)
    sums = exact_sums(bins.index, some.confidence, bins.num_bins, weights)
    sums -= exact_sums(bins.index, share, bins.num_bins, weights)
    return float(np.abs(sums).sum()) / some.total_weight


def truth_for(some: Predictions, given: Array) -> Truth:
    """The truth about the examples of some predictions.

    Raises:
        DataError: It is no truth, or about other examples or classes.
    """
    truth = given if isinstance(given, Truth) else Truth.from_posterior(given)
    if truth.probs.shape != some.probs.shape:
        msg = (
            f"{truth.kind} has shape {truth.probs.shape}, the predictions "
            f"{some.probs.shape}. Give one number per example and class, in the order "
            "of the predictions."
        )
        raise DataError(msg)
    return truth


def top_shares(some: Predictions, truth: Truth) -> Terms:
    """P(predicted class | x) of each example."""
    return truth.probs[np.arange(some.num_examples), some.predicted]


def top_sizes(some: Predictions, truth: Truth) -> Terms:
    """|P(predicted class | x) - confidence| of each example."""
    return np.abs(some.confidence - top_shares(some, truth))


def squared_top_gaps(some: Predictions, truth: Truth) -> Terms:
    """The squared gap of each example, less its noise."""
    noise = truth.noise[np.arange(some.num_examples), some.predicted]
    return top_sizes(some, truth) ** 2 - noise


def sizes(some: Predictions, truth: Truth) -> Terms:
    """The l1 distance of each example."""
    return np.asarray(np.abs(truth.probs - some.probs).sum(axis=1))


def lengths(some: Predictions, truth: Truth) -> Terms:
    """The Euclidean distance of each example."""
    return np.sqrt(((truth.probs - some.probs) ** 2).sum(axis=1))


def squares(some: Predictions, truth: Truth) -> Terms:
    """The squared Euclidean distance of each example, less its noise."""
    distance = ((truth.probs - some.probs) ** 2).sum(axis=1)
    return np.asarray(distance - truth.noise.sum(axis=1))
