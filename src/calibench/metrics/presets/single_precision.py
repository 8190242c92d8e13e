"""The arithmetic of torch on a CPU, where numpy's own differs from it."""

from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int


def torch_edges(num_bins: int, dtype: np.dtype) -> Float[np.ndarray, " edges"]:
    """The edges that `torch.linspace(0, 1, num_bins + 1)` lays, bit for bit.

    One rounded step, multiplied up from 0 for the lower half and down from 1 for the
    upper, each edge rounded once (a fused multiply-add). So 0.6 of ten bins is the
    float32 0.6, and not what `numpy.linspace` makes of it.

    Example:
        >>> torch_edges(4, np.dtype(np.float32)).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    step = Fraction(float(dtype.type(1) / dtype.type(num_bins)))
    half = (num_bins + 1) // 2
    below = [float(step * b) for b in range(half)]
    above = [float(1 - step * (num_bins - b)) for b in range(half, num_bins + 1)]
    return np.asarray(below + above, dtype=dtype)


def sums_in_turn(
    index: Int[np.ndarray, " examples"],
    values: Float[np.ndarray, " examples"],
    size: int,
) -> Float[np.ndarray, " size"]:
    """Sums by index as `scatter_add_` takes them: one by one, in the values' dtype."""
    sums = np.zeros(size, dtype=values.dtype)
    np.add.at(sums, index, values)
    return sums


def means(
    sums: Float[np.ndarray, " size"], counts: Float[np.ndarray, " size"]
) -> Float[np.ndarray, " size"]:
    """Sums over counts, 0 where there is nothing."""
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
