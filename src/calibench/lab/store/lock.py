"""One owner at a time for a run, freed by the system when the owner dies."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calibench.errors import LockedError
from calibench.lab.durable import make_folder

_POLL_SECONDS = 0.1


@contextmanager
def owned(path: Path, *, patience: float = 10.0) -> Iterator[None]:
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
            yield
        finally:
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def _acquire(descriptor: int, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                msg = (
                    f"{path.parent}: another process is at work on it. "
                    "Wait for it or stop it, then run the same command again."
                )
                raise LockedError(msg) from None
            time.sleep(_POLL_SECONDS)
        else:
            return
