"""Fetch a file of known size and hash over HTTP: resumed, retried, from mirrors."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from calibench.errors import LockedError, ParameterError, ResourceError
from calibench.lab.data.http_stream import BrokenError, RefusedError, open_rest
from calibench.lab.durable import named_refusals, sync_folder


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that is known before it is fetched.

    Attributes:
        name: Of the file on disk.
        size: In bytes.
        sha256: In hexadecimal.
        urls: Where it can be had, best first.
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a download is.

    Attributes:
        done: Bytes on disk.
        total: Bytes of the whole file.
        url: Where they come from now.
        trouble: What just went wrong, where something did.
    """

    done: int
    total: int
    url: str
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to keep trying.

    Attributes:
        rounds: Times that every mirror is tried, 1 or more.
        stall: Seconds within which 64 KiB must arrive.
        pause: Seconds before the second round; doubled before each one after.
    """

    rounds: int = 3
    stall: float = 30.0
    pause: float = 2.0


PATIENCE = Patience()


def download(
    remote: RemoteFile,
    folder: Path,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    patience: Patience = PATIENCE,
) -> Path:
    """Fetch a file into a folder, unless it is there; return its path.

    What arrives is kept as `<name>.part` until it has the right size and SHA-256;
    only then does it get its name. A part left by a cut line, a kill or an earlier
    attempt is continued where it ends, from whichever mirror answers.

    Raises:
        ParameterError: An address is not http or https.
        ResourceError: No mirror sent the file, or the disk refused; says why.
        LockedError: Another process is fetching the same file.
    """
    for url in remote.urls:
        if not url.startswith(("https://", "http://")):
            message = f"{url}: an address must begin with https:// or http://"
            raise ParameterError(message)
    path = folder / remote.name
    with named_refusals(folder):
        if path.is_file() and _has_content(path, remote):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{remote.name}.part") as part:
            _fill(part, remote, progress, patience)
            os.fsync(part.fileno())
            Path(part.name).replace(path)
        sync_folder(folder)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read and extend, as the only process that does."""
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its owner may have finished and renamed it since it was opened.
            is_ours = path.exists() and os.path.samestat(
                path.stat(), os.fstat(file.fileno())
            )
        except BlockingIOError:
            is_ours = False
        if not is_ours:
            message = f"{path}: another process is fetching it; wait for it to end"
            raise LockedError(message)
        yield file


def _fill(
    part: BinaryIO,
    remote: RemoteFile,
    progress: Callable[[Progress], None],
    patience: Patience,
) -> None:
    urls = list(remote.urls)
    troubles: dict[str, str] = {}
    for turn in range(patience.rounds):
        if turn and urls:
            time.sleep(patience.pause * 2 ** (turn - 1))
        for url in tuple(urls):
            try:
                _receive(part, remote, url, progress, patience.stall)
            except RefusedError as error:
                urls.remove(url)
                trouble = str(error)
            except BrokenError as error:
                trouble = str(error)
            else:
                return
            troubles[url] = trouble
            done = part.seek(0, os.SEEK_END)
            progress(Progress(done=done, total=remote.size, url=url, trouble=trouble))
    reasons = "".join(f"\n  {url}: {trouble}" for url, trouble in troubles.items())
    message = (
        f"{remote.name}: no server sent it.{reasons}\nRun the same command again to "
        "continue, or get the file another way and name it with --from."
    )
    raise ResourceError(message)


def _receive(
    part: BinaryIO,
    remote: RemoteFile,
    url: str,
    progress: Callable[[Progress], None],
    stall: float,
) -> None:
    """Append what is missing, then check the whole."""
    start = part.seek(0, os.SEEK_END)
    if start > remote.size:
        start = 0
    if start < remote.size:
        begin, blocks = open_rest(url, start=start, size=remote.size, stall=stall)
        part.truncate(begin)
        done = part.seek(begin)
        for block in blocks:
            part.write(block)
            done += len(block)
            if done > remote.size:
                part.truncate(0)
                message = f"sent more than the {remote.size:,} bytes of the file"
                raise RefusedError(message)
            progress(Progress(done=done, total=remote.size, url=url))
        part.flush()
        if done < remote.size:
            message = f"the line ended after {done:,} of {remote.size:,} bytes"
            raise BrokenError(message)
        start = begin
    if not _has_content(Path(part.name), remote):
        part.truncate(0)
        # Where an earlier attempt began the file, its bytes may be the wrong ones.
        kind = BrokenError if start else RefusedError
        message = "sent other bytes than the file's (SHA-256 differs)"
        raise kind(message)


def _has_content(path: Path, remote: RemoteFile) -> bool:
    if path.stat().st_size != remote.size:
        return False
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest() == remote.sha256
