"""Sums by index with the same bits in whatever order the items come.

Values in [0, 1] are summed in fixed point. A whole-number weight repeats an item, to
the bit; products with other weights are added in ascending order.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int, Int64

ItemWeights: TypeAlias = Int64[np.ndarray, " items"] | Float64[np.ndarray, " items"]

# A value in [0, 1] is split into two limbs of 30 bits. Sums of 2**22 limbs stay below
# 2**53, where float64 is exact; what is cut off is below 2**-60 an example.
_LIMB = 2.0**30
_BLOCK = 2**22


def counted(
    index: Int[np.ndarray, " items"], size: int, weights: ItemWeights | None = None
) -> Int64[np.ndarray, " size"] | Float64[np.ndarray, " size"]:
    """How many items have each index, or their total weight.

    Example:
        >>> counted(np.array([1, 0, 1]), 2, np.array([1, 2, 3])).tolist()
        [2, 4]
    """
    if weights is None:
        return np.bincount(index, minlength=size)
    sums = np.zeros(size, dtype=weights.dtype)
    # The order matters to sums of fractions alone.
    order = slice(None) if weights.dtype.kind == "i" else np.lexsort((weights, index))
    np.add.at(sums, index[order], weights[order])
    return sums


def exact_sums(
    index: Int[np.ndarray, " items"],
    values: Float64[np.ndarray, " items"],
    size: int,
    weights: ItemWeights | None = None,
) -> Float64[np.ndarray, " size"]:
    """Sum values in [0, 1] by index, with the same bits in whatever order they come.

    Each value is cut to a multiple of 2^-60; the sum of those is exact before its one
    rounding for up to 2^23 items of an index, and order-free far beyond. Whole-number
    weights repeat an item. Other weights multiply it in float64, and what comes is
    added in ascending order.

    Example:
        >>> exact_sums(np.array([1, 0, 1]), np.array([0.5, 0.1, 0.25]), 2).tolist()
        [0.1, 0.75]
    """
    if weights is not None and weights.dtype.kind == "f":
        return np.asarray(counted(index, size, values * weights))
    return from_limbs(limb_sums(index, values, size, weights))


def limb_sums(
    index: Int[np.ndarray, " items"],
    values: Float64[np.ndarray, " items"],
    size: int,
    counts: Int64[np.ndarray, " items"] | None = None,
) -> Int64[np.ndarray, "limbs=2 size"]:
    """The sums of `exact_sums` as integers: multiples of 2^-30, and of 2^-60.

    They add up exactly, so sums of parts make the sum of the whole. An item is there as
    often as its count says, in all less than 2^33 times.
    """
    sums = np.zeros((2, size), dtype=np.int64)
    for start in range(0, len(values), _BLOCK):
        part = slice(start, start + _BLOCK)
        scaled = values[part] * _LIMB
        high = np.floor(scaled)
        low = np.floor((scaled - high) * _LIMB)
        for limb, each in enumerate((high, low)):
            if counts is None:
                sums[limb] += np.bincount(index[part], each, size).astype(np.int64)
            else:
                many = each.astype(np.int64) * counts[part]
                np.add.at(sums[limb], index[part], many)
    return sums


def from_limbs(
    sums: Int64[np.ndarray, "limbs=2 *cells"],
) -> Float64[np.ndarray, "*cells"]:
    """The sums that `limb_sums` keeps as integers."""
    return np.asarray(sums[0] / _LIMB + sums[1] / _LIMB**2)
