"""The logarithm of the gamma function for arrays, which numpy does not have."""

import math

import numpy as np
from jaxtyping import Float64

# Stirling's series, B_2k / (2k (2k - 1)), needs arguments of at least about 8.
_STIRLING = (
    1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156,
)  # fmt: skip
_SHIFT = 8


def log_gamma(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Ln Gamma(x) for x >= 1, to about 1e-14, relative where it is large.

    Source:
        Stirling's series after the recurrence Gamma(x + 1) = x Gamma(x).

    Example:
        >>> np.exp(log_gamma(np.array([1.0, 3.0, 5.0]))).round(9).tolist()
        [1.0, 2.0, 24.0]
    """
    product = np.ones_like(x)
    for step in range(_SHIFT):
        product *= x + step
    z = x + _SHIFT
    inverse, series = 1 / z**2, np.zeros_like(x)
    for coefficient in reversed(_STIRLING):
        series = series * inverse + coefficient
    half_log = 0.5 * math.log(2 * math.pi)
    return (z - 0.5) * np.log(z) - z + half_log + series / z - np.log(product)
