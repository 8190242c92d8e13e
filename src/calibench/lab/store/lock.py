"""One owner at a time for a run, freed by the system when the owner dies."""

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from calibench.errors import LockedError
from calibench.lab.durable import make_folder, named_refusals

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Fence:
    """The mark that an owner leaves in the lock file, to be told from the next one.

    A lock may end while its owner lives: a node is cut off from the server of its
    files for a while, or its file system locks for that node alone. Whoever finds
    another mark than its own is no longer the owner, and must not write.

    Attributes:
        path: The lock file.
        mark: A number that grows with each owner, its machine and process, and a
            random part in case two owners count alike.
    """

    path: Path
    mark: str

    def check(self) -> None:
        """Refuse to go on where somebody else owns the run.

        Raises:
            LockedError: It is so.
        """
        now = read_mark(self.path)
        if now != self.mark:
            raise LockedError(_taken(self.path, now))


@contextmanager
def owned(path: Path, *, patience: float = 10.0) -> Iterator[Fence]:
    """Hold the lock file `path` exclusively while the block runs.

    `flock` is released by the kernel even on SIGKILL. A killed owner's worker may
    live for a moment longer, so a taken lock is tried again for `patience` seconds.

    Raises:
        LockedError: Another process still owns it after `patience` seconds.
    """
    make_folder(path.parent)
    # Not inherited by children (PEP 446), which would keep the lock alive.
    with path.open("a+") as file:
        _acquire(file.fileno(), path, patience)
        try:
            yield _marked(file.fileno(), path)
        finally:
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def read_mark(path: Path) -> str:
    """Return the mark of the last owner; empty where there was none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _marked(descriptor: int, path: Path) -> Fence:
    number, *_ = (*read_mark(path).split(), "0")
    last = int(number) if number.isascii() and number.isdigit() else 0
    who = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(8)}"
    fence = Fence(path, f"{last + 1} {who}\n")
    with named_refusals(path):
        # In place: a new file under this name would not carry the lock.
        os.ftruncate(descriptor, 0)
        os.write(descriptor, fence.mark.encode())
        os.fsync(descriptor)
    return fence


def _acquire(descriptor: int, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockedError(_taken(path, read_mark(path))) from None
            time.sleep(_POLL_SECONDS)
        else:
            return


def _taken(path: Path, mark: str) -> str:
    words = mark.split()
    who = f" ({words[1]}, process {words[2]})" if len(words) == 4 else ""
    return (
        f"{path.parent}: another process{who} is at work on it. "
        "Wait for it or stop it, then run the same command again."
    )
