"""Sums of proper scores, compiled."""

from numba import int64

from calibench.kernel.compiled import compiled

_TWO_60 = 2.0**60
_LOW = 2**30 - 1
# As in `float_sums`: the mantissa of 53 bits is split 26 and 27.
_LOW_HALF = 2**27 - 1
_IMPLICIT = 2**52


@compiled
def add_scores(brier, label_probs, sums):
    """Add to the sums of half the Brier score, its square, and (1 - p)^2."""
    for row in range(brier.shape[0]):
        half = min(brier[row] / 2, 1.0)
        missing = 1 - label_probs[row]
        for column, value in enumerate((half, half * half, missing * missing)):
            fixed = int64(value * _TWO_60)
            sums[0, column] += fixed >> 30
            sums[1, column] += fixed & _LOW


@compiled
def add_losses(bits, finite, smallest, sums):
    """Add float64 numbers, given as bits, to the sums of `float_sums` by exponent."""
    for row in range(bits.shape[0]):
        if not finite[row]:
            continue
        exponent = (bits[row] >> 52) & 2047
        mantissa = bits[row] & (_IMPLICIT - 1)
        if exponent > 0:
            mantissa += _IMPLICIT
        else:
            if mantissa == 0:
                continue
            exponent = 1
            while mantissa < _IMPLICIT:
                mantissa <<= 1
                exponent -= 1
        if bits[row] < 0:
            mantissa = -mantissa
        # frexp has mantissas in [1/2, 1): 2^(exponent - 1022) of them.
        index = exponent - 1022 - smallest
        sums[0, index] += mantissa >> 27
        sums[1, index] += mantissa & _LOW_HALF
