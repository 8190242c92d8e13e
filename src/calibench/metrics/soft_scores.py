"""Proper scores against the truth, in place of one label an example."""

import numpy as np

from calibench.metrics.scores import exact_mean
from calibench.metrics.truth import Terms, Truth, truth_for
from calibench.predictions import Predictions
from calibench.signatures import of_predictions
from calibench.validation import Array


@of_predictions
def soft_label_nll(some: Predictions, truth: Array) -> float:
    """Cross-entropy: the mean of -sum_k P(k | x) ln p_k, in nats.

    The NLL that labels drawn from the truth cost on average; unbiased from counts.
    Infinite where p is 0 and the truth is not.

    Args:
        some: The predictions.
        truth: A posterior, or a `Truth`.

    Raises:
        DataError: It is no posterior, or of other examples or classes.

    Example:
        >>> some = Predictions.from_probs([[0.5, 0.5]], [0])
        >>> round(soft_label_nll(some, [[0.25, 0.75]]), 6)
        0.693147
    """
    return exact_mean(cross_entropies(some, truth_for(some, truth)), some.weights)


@of_predictions
def soft_label_brier(some: Predictions, truth: Array) -> float:
    """Mean Brier score of labels drawn from the truth, 0 to 2; unbiased from counts.

    Each example adds sum_k p_k^2 - 2 p_k P(k | x) + P(k | x).

    Args:
        some: The predictions.
        truth: A posterior, or a `Truth`.

    Raises:
        DataError: It is no posterior, or of other examples or classes.

    Example:
        >>> some = Predictions.from_probs([[0.5, 0.5]], [0])
        >>> soft_label_brier(some, [[0.25, 0.75]])
        0.5
    """
    return exact_mean(brier_scores(some, truth_for(some, truth)), some.weights)


@of_predictions
def true_kl(some: Predictions, truth: Array) -> float:
    """Mean Kullback-Leibler divergence KL(P(. | x) || p), in nats.

    The part of `soft_label_nll` that is the model's fault; the rest is the entropy of
    the truth. From counts of m judges it is biased upward, by at most
    ln(1 + (K - 1) / m) an example.

    Args:
        some: The predictions.
        truth: A posterior, or a `Truth`.

    Returns:
        At least 0, apart from rounding; infinite where p is 0 and the truth is not.

    Raises:
        DataError: It is no posterior, or of other examples or classes.

    Source:
        Kullback and Leibler 1951; the bound of the bias: Paninski 2003, proposition 1.

    Example:
        >>> some = Predictions.from_probs([[0.5, 0.5]], [0])
        >>> round(true_kl(some, [[1.0, 0.0]]), 6)
        0.693147
    """
    return exact_mean(divergences(some, truth_for(some, truth)), some.weights)


def cross_entropies(some: Predictions, truth: Truth) -> Terms:
    """-sum_k P ln p of each example; where P is 0 nothing is added, even for p = 0."""
    with np.errstate(invalid="ignore"):
        cost = np.where(truth.probs > 0, -truth.probs * some.log_probs, 0.0)
    return np.asarray(cost.sum(axis=1))


def brier_scores(some: Predictions, truth: Truth) -> Terms:
    """The expected Brier score of each example."""
    p, known = some.probs, truth.probs
    return np.asarray((p * (p - 2 * known) + known).sum(axis=1))


def divergences(some: Predictions, truth: Truth) -> Terms:
    """KL(P || p) of each example."""
    known = truth.probs
    inside = np.log(known, out=np.zeros_like(known), where=known > 0)
    return cross_entropies(some, truth) + (known * inside).sum(axis=1)
