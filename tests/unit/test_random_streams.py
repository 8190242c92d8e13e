from hashlib import sha256

import numpy as np

from calibench.lab.data.random_streams import (
    permutation,
    random_bytes,
    stream,
    uniform,
)


def test_the_numbers_never_change():
    words = stream("golden", 1).random_raw(4)
    assert words.tolist() == GOLDEN_WORDS
    order = permutation(stream("golden", 1), 1000)
    assert sha256(order.astype("<i8").tobytes()).hexdigest() == GOLDEN_ORDER


def test_uniform_numbers_are_the_upper_53_bits():
    words = stream("any", 3).random_raw(5)
    expected = [(int(word) >> 11) / 2**53 for word in words]
    assert uniform(stream("any", 3), 5).tolist() == expected


def test_bytes_are_those_of_the_words_lowest_first():
    word = int(stream("any", 3).random_raw(1)[0])
    drawn = random_bytes(stream("any", 3), 11)
    assert drawn.tolist()[:8] == [(word >> (8 * i)) & 255 for i in range(8)]
    assert len(drawn) == 11


def test_a_permutation_ranks_the_words():
    words = stream("any", 3).random_raw(50).tolist()
    order = permutation(stream("any", 3), 50)
    assert order.tolist() == sorted(range(50), key=lambda i: words[i])


def test_purposes_and_seeds_have_streams_of_their_own():
    # "a" with a seed that looks like a letter must not be "ab" with another.
    pairs = [("a", 0), ("a", 1), ("b", 0), ("ab", 0), ("a", ord("b")), ("", 0)]
    first = {tuple(stream(p, s).random_raw(2).tolist()) for p, s in pairs}
    assert len(first) == len(pairs)
    correlation = np.corrcoef(
        uniform(stream("a", 0), 10_000), uniform(stream("a", 1), 10_000)
    )[0, 1]
    assert abs(correlation) < 0.05


GOLDEN_WORDS = [
    1668747828781589108,
    385549262563235507,
    862060580518071869,
    9965084963666121444,
]
GOLDEN_ORDER = "3277c42e87323cb0ff477b7d91f32ae64b32ca8af25bd8adbb2c0fa868682b79"
