"""A folder of .npy files, and a manifest that says what must be in them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from calibench.errors import IntegrityError
from calibench.lab.durable import named_refusals, replacing

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the arrays are, kept beside them.

    Attributes:
        name: Of the data set.
        source: Where the bytes came from, in words.
        facts: Numbers known about the data, such as `num_inexact`.
    """

    name: str
    source: str
    facts: Mapping[str, float]


def write_arrays(
    folder: Path, arrays: Mapping[str, np.ndarray], description: Description
) -> None:
    """Store arrays so that a crash at any instant leaves all of them, or none.

    The manifest is removed first and written last; a folder without one is empty.

    Raises:
        ResourceError: The disk is full, a permission is missing, ...
    """
    content = {
        **asdict(description),
        "arrays": {name: _fingerprint(array) for name, array in arrays.items()},
    }
    manifest = {"content": content, "sha256": _digest(content)}
    with named_refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for name, array in arrays.items():
            with replacing(folder / f"{name}.npy") as file:
                np.save(file, array, allow_pickle=False)
        with replacing(folder / MANIFEST) as file:
            file.write(json.dumps(manifest, indent=1).encode())


def has_arrays(folder: Path) -> bool:
    """Whether a complete set of arrays was written to the folder."""
    return (folder / MANIFEST).is_file()


def read_description(folder: Path) -> Description:
    """Read what the arrays of a folder are, without reading the arrays.

    Raises:
        IntegrityError: The manifest is not what was written.
    """
    content = _read_manifest(folder)
    return Description(
        name=content["name"], source=content["source"], facts=content["facts"]
    )


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a folder, and refuse them unless they are those written.

    Raises:
        IntegrityError: A file is missing or differs; it is named.
    """
    arrays = {}
    for name, expected in _read_manifest(folder)["arrays"].items():
        path = folder / f"{name}.npy"
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _damaged(path) from error
        if _fingerprint(array) != expected:
            raise _damaged(path)
        arrays[name] = array
    return arrays


def _fingerprint(array: np.ndarray) -> dict[str, Any]:
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "sha256": sha256(np.ascontiguousarray(array).data).hexdigest(),
    }


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        intact = manifest["sha256"] == _digest(manifest["content"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    if not intact:
        raise _damaged(path)
    return manifest["content"]


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path) -> IntegrityError:
    message = (
        f"{path}: missing, or not the bytes that were written. Fetch the data set "
        f"again (`calibench data fetch {path.parent.name}`)"
    )
    return IntegrityError(message)
