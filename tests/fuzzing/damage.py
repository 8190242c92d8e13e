"""Changes to bytes that know nothing of their format."""

from random import Random

_SIZES = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1]


def damaged(content: bytes, other: bytes, rng: Random) -> tuple[bytes, str]:
    """One to four changes, and their names; `other` is a file to splice from."""
    names = rng.choices(list(CHANGES), k=rng.choice([1, 1, 2, 4]))
    for name in names:
        content = CHANGES[name](bytearray(content or b"\0"), other, rng)
    return content, " + ".join(sorted(set(names)))


def flipped(content: bytearray, other: bytes, rng: Random) -> bytes:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _byte(content: bytearray, other: bytes, rng: Random) -> bytes:
    content[rng.randrange(len(content))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0x2C])
    return bytes(content)


def _size(content: bytearray, other: bytes, rng: Random) -> bytes:
    width = rng.choice([2, 4, 8])
    start = rng.randrange(len(content))
    size = rng.choice(_SIZES) % 256**width
    content[start : start + width] = size.to_bytes(width, rng.choice(["little", "big"]))
    return bytes(content)


def _cut(content: bytearray, other: bytes, rng: Random) -> bytes:
    return bytes(content[: rng.randrange(len(content))])


def _front_cut(content: bytearray, other: bytes, rng: Random) -> bytes:
    return bytes(content[rng.randrange(len(content)) :])


def _range(content: bytearray, rng: Random) -> slice:
    start = rng.randrange(len(content))
    return slice(start, start + rng.choice([1, 2, 4, 8, 16, 64, 256]))


def _dropped(content: bytearray, other: bytes, rng: Random) -> bytes:
    del content[_range(content, rng)]
    return bytes(content)


def _zeroed(content: bytearray, other: bytes, rng: Random) -> bytes:
    part = _range(content, rng)
    content[part] = bytes(len(content[part]))
    return bytes(content)


def _doubled(content: bytearray, other: bytes, rng: Random) -> bytes:
    part = _range(content, rng)
    return bytes(
        content[: part.stop]
        + content[part] * rng.choice([1, 2, 40])
        + content[part.stop :]
    )


def _spliced(content: bytearray, other: bytes, rng: Random) -> bytes:
    other = other or b"\0"
    start, end = rng.randrange(len(content)), rng.randrange(len(other))
    return bytes(content[:start]) + other[end:]


def _overwritten(content: bytearray, other: bytes, rng: Random) -> bytes:
    part, source = _range(content, rng), _range(bytearray(other or b"\0"), rng)
    content[part.start : part.start + len(other[source])] = other[source]
    return bytes(content)


def _noise(content: bytearray, other: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(content))
    content[start:start] = rng.randbytes(rng.choice([1, 3, 8, 40]))
    return bytes(content)


CHANGES = {
    "flip": flipped,
    "byte": _byte,
    "size": _size,
    "cut": _cut,
    "front cut": _front_cut,
    "drop": _dropped,
    "zero": _zeroed,
    "double": _doubled,
    "splice": _spliced,
    "overwrite": _overwritten,
    "insert": _noise,
}
