"""How often each example is there: what is refused, and what counts."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from calibench.errors import DataError
from calibench.validation import Array, as_numpy, read_only, refuse_rows

# Whole numbers, which say how many examples there are, or else any numbers.
Weights: TypeAlias = Int64[np.ndarray, " examples"] | Float64[np.ndarray, " examples"]

# Sums over as many examples of numbers of 30 bits have room in 63.
_MOST_COUNTED = 2**33
_LEAST_SUM, _LARGEST_SUM = 1e-100, 1e100


def weight_numbers(
    weights: Array, num_examples: int
) -> Float64[np.ndarray, " examples"]:
    """Check the weights of examples, some rows of many, which may all be 0.

    Raises:
        DataError: Not one finite number that is at least 0 per row.
    """
    given, _ = as_numpy(weights, "weights")
    if given.shape != (num_examples,):
        msg = (
            f"weights must be one number for each of the {num_examples:,} examples, "
            f"got shape {given.shape}."
        )
        raise DataError(msg)
    wrong = ~(np.isfinite(given) & (given >= 0))
    remedy = "A weight says how often an example is there: finite and at least 0."
    refuse_rows("weights", given[:, None], wrong[:, None], "is no weight", remedy)
    # One layout and dtype, whatever came.
    return np.ascontiguousarray(given, dtype=np.float64)


def weight_vector(weights: Array, num_examples: int) -> Weights | None:
    """Check the weights of examples, which are read as how often each is there.

    Whole numbers come back as int64: sums of them are exact, and they say how many
    examples there are. They do not if they reach 2^33 in all; like fractions those come
    back as float64. Weights that are all 1 say nothing and come back as None.

    Raises:
        DataError: Not one finite number that is at least 0 per row, or all are 0.
    """
    if weights is None:
        return None
    values = weight_numbers(weights, num_examples)
    if not values.any():
        msg = "weights are all 0, so that no example is there. Give one at least."
        raise DataError(msg)
    return counted_or_not(values)


def counted_or_not(weights: Float64[np.ndarray, " examples"]) -> Weights | None:
    """Weights as int64 where they count examples, and None where all are 1.

    Raises:
        DataError: They sum to a number so large or small that products with it are
            none.
    """
    # The largest float sums to infinity.
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    if (weights == 1).all():
        return None
    if total < _MOST_COUNTED and (weights == np.floor(weights)).all():
        return read_only(weights.astype(np.int64))
    if not _LEAST_SUM <= total <= _LARGEST_SUM:
        msg = f"weights sum to {total:.3g}: scale them to a mean of about 1."
        raise DataError(msg)
    return read_only(weights)
