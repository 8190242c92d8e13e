"""Exact logarithms of softmax, and the arrays the theorems speak of."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from calibench.errors import ParameterError

Logits: TypeAlias = Float64[np.ndarray, "examples classes"]
Labels: TypeAlias = Int64[np.ndarray, " examples"]
PerExample: TypeAlias = Float64[np.ndarray, " examples"]


def log_probs(logits: Logits, scale: float = 1.0) -> Logits:
    """Return ln softmax(t z), to full relative precision also where it is near 0.

    >>> np.exp(log_probs(np.array([[0.0, 0.0]])))
    array([[0.5, 0.5]])
    """
    gaps = scale * (logits - logits.max(axis=1, keepdims=True))
    rest = np.exp(gaps)
    np.put_along_axis(rest, gaps.argmax(axis=1)[:, None], 0.0, axis=1)
    # The top term, exactly 1, stays out of the sum, where it would round the rest.
    return gaps - np.log1p(rest.sum(axis=1, keepdims=True))


def require_at_least_zero(name: str, value: float) -> None:
    """Refuse a negative, infinite or undefined parameter of a theorem.

    Raises:
        ParameterError: The value is not in [0, inf).

    >>> require_at_least_zero("gamma", 0.5)
    """
    if not 0 <= value < np.inf:
        msg = f"{name} must be a number in [0, inf), got {value!r}."
        raise ParameterError(msg)
