"""The scaling theorem: larger logits, larger top probability, smaller entropy.

top(t) = max_k softmax(t z)_k is non-decreasing in t >= 0, strictly unless all logits
are equal, and tends to one over the number of tied maxima. The entropy never rises.
Proof: docs/theory.md.
"""

import numpy as np

from calibench.theory.log_softmax import (
    Logits,
    PerExample,
    log_probs,
    require_at_least_zero,
)


def log_top_probability(logits: Logits, scale: float) -> PerExample:
    """Return ln of the largest softmax probability of t z, t >= 0.

    top(t) = 1 / sum_k exp(-t (max z - z_k)).

    Raises:
        ParameterError: The scale is negative; the top class would be another one.

    >>> log_top_probability(np.array([[1.0, 0.0]]), 0.0)  # ln(1/2)
    array([-0.69314718])
    """
    require_at_least_zero("scale", scale)
    return log_probs(logits, scale).max(axis=1)


def log_top_shortfall(logits: Logits, scale: float) -> PerExample:
    """Return how far ln top is below its limit, ln of one over the number of maxima.

    ln(1 + sum exp(-t (max z - z_k)) / m), the sum over all but the m tied maxima: never
    negative, never increasing in t >= 0, and exact where ln top has reached its limit
    in every digit.

    Raises:
        ParameterError: The scale is negative.

    >>> log_top_shortfall(np.array([[1.0, 1.0, 0.0]]), 0.0)  # ln(1/2) - ln(1/3)
    array([0.40546511])
    """
    require_at_least_zero("scale", scale)
    gaps = logits.max(axis=1, keepdims=True) - logits
    rest = np.where(gaps > 0, np.exp(-scale * gaps), 0.0).sum(axis=1)
    return np.log1p(rest / (gaps == 0).sum(axis=1))


def log_top_slope(logits: Logits, scale: float) -> PerExample:
    """Return d ln top / dt = max z - E[z] under softmax(t z), never negative.

    >>> log_top_slope(np.array([[1.0, 0.0]]), 0.0)
    array([0.5])
    """
    gaps = logits.max(axis=1, keepdims=True) - logits
    return (np.exp(log_probs(logits, scale)) * gaps).sum(axis=1)


def entropy(logits: Logits, scale: float = 1.0) -> PerExample:
    """Return the entropy of softmax(t z), in [0, ln K].

    >>> entropy(np.array([[0.0, 0.0]]))  # ln 2
    array([0.69314718])
    """
    log_p = log_probs(logits, scale)
    return -(np.exp(log_p) * log_p).sum(axis=1)


def entropy_slope(logits: Logits, scale: float) -> PerExample:
    """Return dH / dt = -t Var[z] under softmax(t z), never positive.

    >>> entropy_slope(np.array([[1.0, -1.0]]), 0.0)
    array([-0.])
    """
    probs = np.exp(log_probs(logits, scale))
    mean = (probs * logits).sum(axis=1, keepdims=True)
    return -scale * (probs * (logits - mean) ** 2).sum(axis=1)
