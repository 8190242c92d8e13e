"""Averages over examples: errors, proper scores, and the mean gap."""

import math

import numpy as np
from jaxtyping import Float64

from calibench.metrics.float_sums import exponent_sums, total_of
from calibench.predictions import Predictions
from calibench.signatures import of_predictions
from calibench.weights import Weights


@of_predictions
def accuracy(some: Predictions) -> float:
    """Share of examples whose predicted class is the label, in [0, 1].

    A tie for the largest value predicts the lowest class id.

    Example:
        >>> accuracy(Predictions.from_probs([[0.8, 0.2], [0.5, 0.5]], [0, 1]))
        0.5
    """
    if some.weights is None:
        return int(some.correct.sum()) / some.num_examples
    return exact_mean(some.correct.astype(np.float64), some.weights)


@of_predictions
def error_rate(some: Predictions) -> float:
    """Share of examples whose predicted class is not the label: 1 - accuracy.

    Example:
        >>> error_rate(Predictions.from_probs([[0.8, 0.2], [0.5, 0.5]], [0, 1]))
        0.5
    """
    if some.weights is None:
        return int((~some.correct).sum()) / some.num_examples
    return exact_mean((~some.correct).astype(np.float64), some.weights)


@of_predictions
def nll(some: Predictions) -> float:
    """Negative log-likelihood: the mean of -ln p(label), in nats.

    At least 0; infinite where a label was given probability 0. Nothing is clipped
    (scikit-learn's log_loss clips at the machine epsilon of the dtype).

    Source:
        Good 1952, the logarithmic score.

    Example:
        >>> round(nll(Predictions.from_probs([[0.5, 0.5]], [1])), 6)
        0.693147
    """
    return exact_mean(-some.label_log_probs, some.weights)


@of_predictions
def brier(some: Predictions) -> float:
    """Brier score: the mean of sum_k (p_k - [k is the label])^2, in [0, 2].

    Some libraries divide by the number of classes, or for two classes take one of the
    two equal terms.

    Source:
        Brier 1950, equation 2.

    Example:
        >>> brier(Predictions.from_probs([[0.5, 0.5], [0.0, 1.0]], [1, 0]))
        1.25
    """
    return exact_mean(brier_terms(some), some.weights)


def brier_terms(some: Predictions) -> Float64[np.ndarray, " examples"]:
    """The Brier score of each example."""
    difference = some.probs.copy()
    difference[np.arange(some.num_examples), some.labels] -= 1
    return np.asarray(np.square(difference).sum(axis=1))


@of_predictions
def mean_confidence(some: Predictions) -> float:
    """Mean probability of the predicted class, in [1 / K, 1].

    Example:
        >>> mean_confidence(Predictions.from_probs([[1.0, 0.0], [0.5, 0.5]], [0, 0]))
        0.75
    """
    return exact_mean(some.confidence, some.weights)


@of_predictions
def confidence_gap(some: Predictions) -> float:
    """Mean confidence minus accuracy, in [-1, 1]; positive is over-confident.

    Equals over-confidence minus under-confidence for every binning. Zero does not mean
    calibrated: errors of both signs cancel.

    Example:
        >>> confidence_gap(Predictions.from_probs([[1.0, 0.0], [0.5, 0.5]], [0, 1]))
        0.25
    """
    return exact_mean(some.confidence - some.correct, some.weights)


def exact_mean(
    values: Float64[np.ndarray, " examples"], weights: Weights | None = None
) -> float:
    """Mean with one rounding of the sum: the same bits in whatever order they come.

    Whole-number weights give the bits of the repeated values.

    Example:
        >>> exact_mean(np.array([0.5, 2.0, np.inf]), np.array([2, 1, 0]))
        1.0
    """
    if weights is None:
        return math.fsum(values.tolist()) / len(values)
    values, weights = values[weights > 0], weights[weights > 0]
    endless = values[np.isinf(values)]
    if len(endless):
        return math.fsum(endless.tolist())
    if weights.dtype.kind == "i":
        return total_of(exponent_sums(values, weights)) / int(weights.sum())
    return math.fsum((values * weights).tolist()) / math.fsum(weights.tolist())
