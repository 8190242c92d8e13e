"""Every way to spoil a stored file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

# Given the content, the same file of another run, and a source of chance; None: gone.
Change = Callable[[bytes, bytes, Random], bytes | None]

CHANGES: Mapping[str, Change] = {
    "truncated": lambda content, _, rng: content[: rng.randrange(len(content))],
    "empty": lambda content, _, rng: b"",
    "a bit flipped": lambda content, _, rng: _flipped(content, rng),
    "a block of zeros": lambda content, _, rng: _zeroed(content, rng),
    "all zeros": lambda content, _, rng: bytes(len(content)),
    "another run's": lambda content, other, rng: other,
    "deleted": lambda content, _, rng: None,
    "appended to": lambda content, _, rng: content + rng.randbytes(9) + b"\n",
    "doubled": lambda content, _, rng: content + content,
}


def spoil(path: Path, name: str, other: bytes, seed: int) -> bool:
    """Change a file; return whether that made a difference."""
    content = path.read_bytes()
    changed = CHANGES[name](content, other, Random(seed))  # noqa: S311 - no secret
    if changed is None:
        path.unlink()
    else:
        path.write_bytes(changed)
    return changed != content


def _flipped(content: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(content))
    changed = bytearray(content)
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _zeroed(content: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(content))
    end = min(len(content), start + 512)
    return content[:start] + bytes(end - start) + content[end:]
