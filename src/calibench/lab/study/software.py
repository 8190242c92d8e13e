"""Which software is here, told without loading it."""

import platform
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

# What a run's files depend on, beside what its fingerprint adds of the hardware.
_PACKAGES = ("torch", "numpy", "duckdb")


@cache
def software() -> dict[str, str]:
    """Return versions by name, and a hash of every source file of calibench."""
    facts = {"calibench": _sources(), "python": platform.python_version()}
    return facts | {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _sources() -> str:
    root = Path(str(files("calibench")))
    whole = sha256()
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        whole.update(f"{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()[:16]
