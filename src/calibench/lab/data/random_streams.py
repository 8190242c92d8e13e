"""Random numbers that are the same on every machine and in every version.

NumPy promises that a `SeedSequence` and the raw output of `PCG64` never change;
it promises no such thing of `Generator.normal` or `Generator.permutation`. So
everything here is made of raw 64-bit words, one stream for each purpose.
"""

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from calibench.errors import ParameterError


def stream(purpose: str, seed: int) -> np.random.PCG64:
    """Open the stream of one purpose under one seed; streams are independent.

    Args:
        purpose: Any text; another text is another stream.
        seed: 0 or more.

    Raises:
        ParameterError: The seed is negative.
    """
    if seed < 0:
        message = f"seed: {seed} is negative; it must be 0 or more"
        raise ParameterError(message)
    # The leading length keeps (purpose, seed) pairs from running into each other.
    words = purpose.encode()
    return np.random.PCG64(np.random.SeedSequence([len(words), *words, seed]))


def uniform(bits: np.random.PCG64, size: int) -> Float64[np.ndarray, " {size}"]:
    """Draw from [0, 1) in steps of 2**-53.

    Example:
        >>> bool((uniform(stream("example", 0), 1000) < 1).all())
        True
    """
    return (bits.random_raw(size) >> np.uint64(11)) * 2.0**-53


def random_bytes(bits: np.random.PCG64, size: int) -> UInt8[np.ndarray, " {size}"]:
    """Draw bytes, eight from each raw word, lowest first."""
    words = bits.random_raw((size + 7) // 8).astype("<u8", copy=False)
    return words.view(np.uint8)[:size]


def permutation(bits: np.random.PCG64, size: int) -> Int64[np.ndarray, " {size}"]:
    """Order 0..size-1 at random: the ranks of `size` raw words.

    Example:
        >>> sorted(permutation(stream("example", 0), 4).tolist())
        [0, 1, 2, 3]
    """
    return np.argsort(bits.random_raw(size), kind="stable").astype(np.int64)
