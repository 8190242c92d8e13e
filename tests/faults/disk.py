"""The storage operations of this process, one by one: to note, to fail or to die at."""

import builtins
import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

CHANGES = ("mkdir", "create", "write", "truncate", "sync", "rename", "unlink", "rmdir")


@dataclass(frozen=True)
class Operation:
    """One request to the system.

    Attributes:
        kind: One of CHANGES, or "open", which changes nothing and may fail like them.
        path: What it is about, below the watched folder; of a rename: from.
        target: Of a rename: to.
        content: Of a write.
        place: Where a write begins, or the size that a truncation leaves.
    """

    kind: str
    path: Path
    target: Path | None = None
    content: bytes = b""
    place: int = 0

    def moved(self, old: Path, new: Path) -> "Operation":
        """The same below another folder."""
        target = self.target and new / self.target.relative_to(old)
        return replace(self, path=new / self.path.relative_to(old), target=target)


# Told of an operation and how to do it (whole, or half of a write); returns its result.
Hook = Callable[[Operation, Callable[[], Any], Callable[[], Any]], Any]


@contextmanager
def watched(root: Path, hook: Hook) -> Iterator[None]:
    """Hand every operation below `root` to `hook` while the block runs.

    Python's own calls alone: what DuckDB writes by itself is a scratch file, which is
    read back and written through here.
    """
    real = _Real()
    eyes = _Eyes(Path(os.path.realpath(root)), hook, real)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "open", eyes.open)
        patch.setattr(builtins, "open", eyes.open)
        for name in ("open", "fsync", "mkdir", "rename", "unlink", "rmdir"):
            patch.setattr(os, name, getattr(eyes, f"os_{name}"))
        patch.setattr(os, "replace", eyes.os_rename)
        patch.setattr(os, "remove", eyes.os_unlink)
        yield


class _Real:
    """The system's functions, taken before anything stands in their place."""

    def __init__(self):
        self.open, self.os_open, self.fsync = io.open, os.open, os.fsync
        self.mkdir, self.rename = os.mkdir, os.replace
        self.unlink, self.rmdir = os.unlink, os.rmdir


class _Eyes:
    def __init__(self, root: Path, hook: Hook, real: _Real) -> None:
        self.root, self.hook, self.real = root, hook, real

    def seen(self, path: Any, *, dir_fd: int | None = None) -> Path | None:
        """Return a path below the watched folder; None elsewhere."""
        if not isinstance(path, str | os.PathLike):
            return None
        whole = Path(path)
        if dir_fd is not None:
            whole = Path(f"/proc/self/fd/{dir_fd}").readlink() / whole
        whole = Path(os.path.realpath(whole.parent)) / whole.name
        return whole if whole.is_relative_to(self.root) else None

    def ask(self, kind: str, path: Path, whole, half=None, **facts: Any) -> Any:
        return self.hook(Operation(kind, path, **facts), whole, half or (lambda: None))

    def open(self, file, mode="r", buffering=-1, *text, **options):
        path = self.seen(file)
        if path is None:
            return self.real.open(file, mode, buffering, *text, **options)
        if not set(mode) & set("wax+"):
            return self.ask(
                "open",
                path,
                lambda: self.real.open(file, mode, buffering, *text, **options),
            )
        raw = _Raw(self, path, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, *text, **options, write_through=True)

    def os_open(self, path, flags, mode=0o777, *, dir_fd=None):
        def whole():
            return self.real.os_open(path, flags, mode, dir_fd=dir_fd)

        found = self.seen(path, dir_fd=dir_fd)
        return whole() if found is None else self.ask("open", found, whole)

    def os_fsync(self, descriptor):
        path = self.seen(Path(f"/proc/self/fd/{_number(descriptor)}").readlink())
        if path is None:
            return self.real.fsync(descriptor)
        return self.ask("sync", path, lambda: self.real.fsync(descriptor))

    def os_mkdir(self, path, mode=0o777, *, dir_fd=None):
        return self._named("mkdir", self.real.mkdir, path, mode, dir_fd=dir_fd)

    def os_unlink(self, path, *, dir_fd=None):
        return self._named("unlink", self.real.unlink, path, dir_fd=dir_fd)

    def os_rmdir(self, path, *, dir_fd=None):
        return self._named("rmdir", self.real.rmdir, path, dir_fd=dir_fd)

    def os_rename(self, source, target, **options):
        def whole():
            return self.real.rename(source, target, **options)

        path = self.seen(source)
        if path is None:
            return whole()
        return self.ask("rename", path, whole, target=self.seen(target))

    def _named(self, kind, call, path, *rest, dir_fd):
        found = self.seen(path, dir_fd=dir_fd)
        if found is None or not (kind == "mkdir" or os.path.lexists(found)):
            return call(path, *rest, dir_fd=dir_fd)
        if kind == "mkdir" and found.exists():
            return call(path, *rest, dir_fd=dir_fd)
        return self.ask(kind, found, lambda: call(path, *rest, dir_fd=dir_fd))


class _Raw(io.FileIO):
    """A file whose every write is asked for first."""

    def __init__(self, eyes: _Eyes, path: Path, mode: str) -> None:
        self.eyes, self.path, self.appends = eyes, path, "a" in mode
        is_new = "w" in mode or not path.exists()
        eyes.ask(
            "create" if is_new else "open",
            path,
            lambda: super(_Raw, self).__init__(str(path), mode),
        )

    def write(self, content):
        given = bytes(content)
        place = os.fstat(self.fileno()).st_size if self.appends else self.tell()
        write = super().write
        return self.eyes.ask(
            "write",
            self.path,
            lambda: write(given),
            lambda: write(given[: len(given) // 2]),
            content=given,
            place=place,
        )

    def truncate(self, size=None):
        wanted = self.tell() if size is None else size
        cut = super().truncate
        return self.eyes.ask("truncate", self.path, lambda: cut(wanted), place=wanted)


def _number(descriptor: Any) -> int:
    return descriptor if isinstance(descriptor, int) else descriptor.fileno()


class Recorder:
    """Notes what changes, in order, and does it; all but what it forgets."""

    def __init__(self, forgets: Callable[[Operation], bool] = lambda _: False) -> None:
        self.operations: list[Operation] = []
        self.marks: list[tuple[int, Any]] = []
        self.forgets = forgets

    def __call__(self, operation: Operation, whole, half) -> Any:
        del half
        result = whole()
        if operation.kind in CHANGES and not self.forgets(operation):
            self.operations.append(operation)
        return result

    def mark(self, what: Any) -> None:
        """Note something that is true once every operation so far is done."""
        self.marks.append((len(self.operations), what))


class Death:
    """SIGKILL at one change: before it, or in the middle of it where it is a write."""

    def __init__(self, number: int, *, torn: bool = False) -> None:
        self.left, self.torn = number, torn

    def __call__(self, operation: Operation, whole, half) -> Any:
        if operation.kind not in CHANGES:
            return whole()
        if self.left == 0:
            if self.torn:
                half()
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return whole()


class Refusal:
    """One operation fails with an error of the system; a write after its first half."""

    def __init__(self, number: int, code: int, *, lasts: bool = False) -> None:
        self.left, self.code, self.lasts = number, code, lasts
        self.refused: list[Operation] = []

    def __call__(self, operation: Operation, whole, half) -> Any:
        self.left -= 1
        if self.left == -1 or (self.lasts and self.left < 0):
            self.refused.append(operation)
            half()
            raise OSError(self.code, os.strerror(self.code), str(operation.path))
        return whole()


class ShortWrites:
    """Every write takes one half of what it is given, as a system may."""

    def __call__(self, operation: Operation, whole, half) -> Any:
        is_long = operation.kind == "write" and len(operation.content) > 1
        return half() if is_long else whole()
