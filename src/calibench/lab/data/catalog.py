"""What `calibench data` offers: data sets by name, where they lie, their state."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from calibench.errors import IntegrityError
from calibench.lab.data.array_cache import has_arrays, read_description
from calibench.lab.data.cifar import fetch_cifar, load_cifar
from calibench.lab.data.cifar_archives import CIFAR10, CIFAR100, IMAGE_SIDE
from calibench.lab.data.download import Progress
from calibench.validation import member

EMBEDDED = {"gratings": "oriented gratings with known posterior, made when asked for"}
FETCHED = {archive.name: archive for archive in (CIFAR10, CIFAR100)}


@dataclass(frozen=True, kw_only=True)
class DatasetState:
    """One data set, and whether it is at hand.

    Attributes:
        name: As a study file calls it.
        state: `embedded` needs no files; `damaged` is to be fetched again.
        source: Where its bytes came from, or what would be fetched.
        facts: Numbers known about it, such as `num_inexact`.
    """

    name: str
    state: Literal["embedded", "ready", "absent", "damaged"]
    source: str
    facts: Mapping[str, float] = field(default_factory=dict)


def default_data_dir() -> Path:
    """Return where data sets lie: $CALIBENCH_DATA, or the user's cache folder."""
    given = os.environ.get("CALIBENCH_DATA")
    return Path(given) if given else user_cache()


def user_cache() -> Path:
    """Return the folder for what can be had again, in the user's cache."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "calibench"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "calibench"


def list_datasets(data_dir: Path) -> tuple[DatasetState, ...]:
    """Return every data set with a name of its own, and whether it is at hand."""
    embedded = (
        DatasetState(name=name, state="embedded", source=source)
        for name, source in EMBEDDED.items()
    )
    return (*embedded, *(_state(name, data_dir) for name in FETCHED))


def fetch(
    name: str,
    data_dir: Path,
    source: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> DatasetState:
    """Get a data set and keep it under `data_dir`; see `fetch_cifar` for `source`.

    Raises:
        ParameterError: There is no such data set, or nothing at the path.
        DataError: What is there is not the data set.
        ResourceError: The network or the disk refused.
        LockedError: Another process is fetching it.
    """
    if _is_embedded(name):
        return DatasetState(name=name, state="embedded", source=EMBEDDED[name])
    fetch_cifar(FETCHED[name], data_dir, source=source, progress=progress)
    return _state(name, data_dir)


def verify(name: str, data_dir: Path) -> DatasetState:
    """Read a whole data set and check it against the hashes kept with it.

    Raises:
        ParameterError: There is no such data set.
        DataError: It was not fetched.
        IntegrityError: A file is not what was written.
    """
    if _is_embedded(name):
        return DatasetState(name=name, state="embedded", source=EMBEDDED[name])
    load_cifar(FETCHED[name], data_dir, IMAGE_SIDE)
    return _state(name, data_dir)


def _state(name: str, data_dir: Path) -> DatasetState:
    folder = data_dir / name
    if not has_arrays(folder):
        remote = FETCHED[name].remote
        source = f"{remote.urls[0]} ({remote.size / 1e6:.0f} MB)"
        return DatasetState(name=name, state="absent", source=source)
    try:
        description = read_description(folder)
    except IntegrityError as error:
        return DatasetState(name=name, state="damaged", source=str(error))
    return DatasetState(
        name=name, state="ready", source=description.source, facts=description.facts
    )


def _is_embedded(name: str) -> bool:
    """Tell the embedded from the fetched; refuse a name that is neither."""
    return member(name, (*EMBEDDED, *FETCHED), "data set") in EMBEDDED
