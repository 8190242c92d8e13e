"""Exact sums of float64 numbers of any size, as integers that can be added."""

import numpy as np
from jaxtyping import Float64, Int64

# A float64 is mantissa * 2^(exponent - 53) with |mantissa| < 2^53, which is split into
# 26 high and 27 low bits. Sums of 2^22 halves stay below 2^53, where float64 is exact,
# and int64 has room for 2^36 of them.
_LOW = 27
_BLOCK = 2**22
SMALLEST_EXPONENT, _LARGEST = -1073, 1024
NUM_EXPONENTS = _LARGEST - SMALLEST_EXPONENT + 1


def exponent_sums(
    values: Float64[np.ndarray, " items"],
    counts: Int64[np.ndarray, " items"] | None = None,
) -> Int64[np.ndarray, "halves=2 exponents"]:
    """Sums of the halves of the mantissas, for each exponent.

    Nothing is rounded, so the sums of parts add up to the sums of the whole.

    Args:
        values: Finite numbers.
        counts: How often each is there, in all less than 2^33 times; None for once.

    Source:
        The idea of one accumulator for each exponent is Malcolm 1971.
    """
    sums = np.zeros((2, NUM_EXPONENTS), dtype=np.int64)
    for start in range(0, len(values), _BLOCK):
        mantissa, exponent = np.frexp(values[start : start + _BLOCK])
        whole = (mantissa * 2.0**53).astype(np.int64)
        index = exponent.astype(np.int64) - SMALLEST_EXPONENT
        high = whole >> _LOW
        for row, half in enumerate((high, whole - (high << _LOW))):
            if counts is not None:
                np.add.at(sums[row], index, half * counts[start : start + _BLOCK])
                continue
            total = np.bincount(index, half.astype(np.float64), NUM_EXPONENTS)
            sums[row] += total.astype(np.int64)
    return sums


def total_of(sums: Int64[np.ndarray, "halves=2 exponents"]) -> float:
    """The sum with one rounding, as of `math.fsum`; infinite if it is too large.

    Example:
        >>> total_of(exponent_sums(np.array([1e300, 0.1, -1e300])))
        0.1
    """
    whole = 0
    for exponent in np.flatnonzero(sums.any(axis=0)).tolist():
        high, low = sums[:, exponent].tolist()
        whole += ((high << _LOW) + low) << exponent
    try:
        # Division of integers rounds once, however long they are.
        return whole / 2 ** (53 - SMALLEST_EXPONENT)
    except OverflowError:
        return np.inf if whole > 0 else -np.inf
