"""How far noise lifts the size of a number."""

import math

import numpy as np
from jaxtyping import Float64

# What is this many standard deviations from 0 is not held for 0.
CLEAR = 2.0


def fold_bias(
    center: Float64[np.ndarray, "*items"], deviation: Float64[np.ndarray, "*items"]
) -> Float64[np.ndarray, "*items"]:
    """E|m + s Z| - |m| for a standard normal Z: how far noise lifts a size.

    Source:
        Leone et al. 1961 (the folded normal distribution).

    Example:
        >>> fold_bias(np.array([0.0, 9.0]), np.array([1.0, 1.0])).round(4).tolist()
        [0.7979, 0.0]
    """
    size = np.abs(center)
    ratio = np.divide(
        size, deviation, out=np.full_like(size, np.inf), where=deviation > 0
    )
    # The upper tail of the normal distribution, which numpy does not have.
    tail = np.array([0.5 * math.erfc(r / math.sqrt(2)) for r in ratio.ravel().tolist()])
    density = np.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi)
    return np.asarray(2 * (deviation * density - size * tail.reshape(size.shape)))


def most_fold_bias(
    found: Float64[np.ndarray, "*items"], deviation: Float64[np.ndarray, "*items"]
) -> Float64[np.ndarray, "*items"]:
    """The most by which noise may have lifted |found|: its center as near 0 as can be.

    Example:
        >>> most_fold_bias(np.array([1.0, 9.0]), np.array([1.0, 1.0])).round(4).tolist()
        [0.7979, 0.0]
    """
    return fold_bias(np.maximum(np.abs(found) - CLEAR * deviation, 0), deviation)
