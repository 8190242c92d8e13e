"""Write files so that a reader, a crash or a power loss never leaves half of one."""

import os
from contextlib import suppress
from hashlib import sha256
from io import FileIO
from pathlib import Path

from calibench.errors import IntegrityError
from calibench.lab.durable import (
    add_folders,
    make_folder,
    named_refusals,
    replacing,
    sync_folder,
)

_KEPT = "Everything committed before is kept"


def write_bytes(path: Path, content: bytes, *, inside: Path | None = None) -> str:
    """Create or replace `path` in one durable step; return its SHA-256.

    The folders that it lies in are made, but `inside`, which must be there: a run that
    was moved away while it is being written must not begin anew in its old place.

    Temporary file in the same folder, fsync, rename, fsync of the folder: without
    the first fsync the new name may hold zeros after a power loss, without the
    second the rename itself may be lost.

    Raises:
        ResourceError: The disk is full, the folder is read-only, ...
    """
    with named_refusals(path, _KEPT):
        if inside is None:
            make_folder(path.parent)
        else:
            add_folders(path.parent, inside)
        with replacing(path) as file:
            file.write(content)
    return sha256(content).hexdigest()


def append_line(path: Path, line: str) -> None:
    """Append one line durably; the caller repairs a torn last line on reading.

    Raises:
        ResourceError: The disk is full, the folder is read-only, ...
    """
    with named_refusals(path, _KEPT):
        # An empty one may be the leftover of a crash before its folder was synced.
        is_new = not path.exists() or path.stat().st_size == 0
        # Unbuffered: a buffer would try again what failed, on closing.
        with path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                _write_whole(file, line.encode() + b"\n")
                os.fsync(file.fileno())
            except OSError:
                # A line that may not be on disk must not look committed to a reader.
                with suppress(OSError):
                    file.truncate(size)
                raise
        if is_new:
            sync_folder(path.parent)


def settle(path: Path) -> None:
    """Put on disk what a killed process left of a file in the system's memory."""
    if path.exists():
        with named_refusals(path, _KEPT), path.open("ab") as file:
            os.fsync(file.fileno())


def settle_names(folder: Path, above: int) -> None:
    """The same for the names in a folder, in those inside, and in `above` above it.

    A folder that may be passed through and not be read, as where a user's data lies
    on some clusters, holds no name of ours that is new.
    """
    inside = [each for each in folder.iterdir() if each.is_dir()]
    for each in (*inside, folder, *folder.parents[:above]):
        with named_refusals(each, _KEPT), suppress(PermissionError):
            sync_folder(each)


def truncate(path: Path, size: int) -> None:
    """Cut a file to its first `size` bytes, durably."""
    with named_refusals(path, _KEPT), path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())


def read_checked(path: Path, expected_sha256: str) -> bytes:
    """Read a whole file and refuse it unless its bytes are the ones written.

    Raises:
        IntegrityError: The file is missing or its hash differs.
    """
    if not path.is_file():
        msg = (
            f"{path}: missing, though the journal says that it was written. Restore "
            f"it from a copy, or delete the folder {path.parent.parent} to run again."
        )
        raise IntegrityError(msg)
    with named_refusals(path, _KEPT):
        content = path.read_bytes()
    if sha256(content).hexdigest() != expected_sha256:
        msg = (
            f"{path}: its bytes are not the ones that were written (SHA-256 differs). "
            f"Restore it from a copy, or delete the folder {path.parent.parent} "
            "to run again."
        )
        raise IntegrityError(msg)
    return content


def _write_whole(file: FileIO, content: bytes) -> None:
    """Write all of it, though the system may take a part at a time."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]
