"""Write files so that a reader, a crash or a power loss never leaves half of one."""

import os
from hashlib import sha256
from pathlib import Path

from calibench.errors import IntegrityError
from calibench.lab.durable import (
    make_folder,
    named_refusals,
    replacing,
    sync_folder,
)

_KEPT = "Everything committed before is kept"


def write_bytes(path: Path, content: bytes) -> str:
    """Create or replace `path` in one durable step; return its SHA-256.

    Temporary file in the same folder, fsync, rename, fsync of the folder: without
    the first fsync the new name may hold zeros after a power loss, without the
    second the rename itself may be lost.

    Raises:
        ResourceError: The disk is full, the folder is read-only, ...
    """
    with named_refusals(path, _KEPT):
        make_folder(path.parent)
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
        with path.open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(path.parent)


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
