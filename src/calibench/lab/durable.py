"""Files that appear under their name whole, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from calibench.errors import ResourceError

_REMEDY = "free the disk or fix the permission, then run the same command again."


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` once it is complete and on disk.

    Where the block raises, `path` is as before and nothing is left beside it. What a
    kill leaves behind is taken over by the next writer, so there must be only one.

    Raises:
        OSError: The disk is full, a permission is missing, ...
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def named_refusals(path: Path, kept: str = "") -> Iterator[None]:
    """Say where the system refused, and what to do.

    Args:
        path: Where.
        kept: What is not lost, as the first half of a sentence.

    Raises:
        ResourceError: It refused; one raised inside passes unchanged.
    """
    try:
        yield
    except ResourceError:
        raise
    except OSError as error:
        remedy = f"{kept}; {_REMEDY}" if kept else _REMEDY.capitalize()
        msg = f"{path}: {error.strerror or error}. {remedy}"
        raise ResourceError(msg) from error


def make_folder(folder: Path) -> None:
    """Create a folder, and what it lies in, so that a power loss keeps them."""
    missing = [folder, *folder.parents]
    missing = [each for each in missing if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def add_folders(folder: Path, inside: Path) -> None:
    """Create a folder, and what it lies in, below `inside`, which must be there."""
    if folder == inside or folder.exists():
        return
    add_folders(folder.parent, inside)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
