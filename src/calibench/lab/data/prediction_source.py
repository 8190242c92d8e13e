"""Files that can be opened: of this machine, or of an object store by its URL."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from calibench.errors import (
    CalibenchError,
    DataError,
    ParameterError,
    ResourceError,
)

# The file systems that pyarrow brings; others are asked of fsspec.
_OF_ARROW = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
# Fetched at a time of a file that is read from end to end, to make up for latency.
_BLOCK = 2**22


@dataclass(frozen=True)
class StoredFile:
    """A file of known size, which another process can open as well.

    Attributes:
        location: Path or URL for a message, without credentials.
        path: Where it is in its file system.
        size: In bytes.
        system: A file system of pyarrow; None for a path of this machine.
        hidden: What a message must not repeat: credentials of the URL.
    """

    location: str
    path: str
    size: int
    system: Any = field(default=None, repr=False, compare=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(urlsplit(self.location).path).name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The end of the name that tells the format, in lower case."""
        return PurePosixPath(self.name).suffix.lower()

    def open(self, block: int | None = None) -> BufferedReader:
        """Open it for reading; every failure later on is a `ResourceError` as well.

        Args:
            block: Bytes fetched at a time over a network; some MB unless given.

        Raises:
            OSError: It may not be read.
        """
        if self.system is None:
            return Path(self.path).open("rb")
        with refusals(self.hidden):
            stream = _Guarded(self.system.open_input_file(self.path), self.hidden)
        return BufferedReader(stream, block or _BLOCK)

    def beside(self, name: str) -> "StoredFile":
        """The file of another name in the same folder.

        Raises:
            DataError: There is none.
        """
        parts = urlsplit(self.path)
        path = parts._replace(path=str(PurePosixPath(parts.path).with_name(name)))
        other = replace(
            self,
            location=self.location.removesuffix(self.name) + name,
            path=urlunsplit(path),
        )
        size = other.stored_size()
        if size is None:
            msg = f"there is no {name} beside it. Store it there, or give an .npz."
            raise DataError(msg)
        return replace(other, size=size)

    def stored_size(self) -> int | None:
        """How many bytes there are now; None where there is no file."""
        if self.system is None:
            path = Path(self.path)
            return path.stat().st_size if path.is_file() else None
        with refusals(self.hidden):
            found = self.system.get_file_info(self.path)
        return found.size if found.is_file else None


def is_url(given: Path | str) -> bool:
    """Whether a URL is meant, not a path."""
    return isinstance(given, str) and "://" in given


def without_credentials(given: Path | str) -> str:
    """A path as it is; a URL without user, password and query.

    >>> without_credentials("s3://key:secret@bucket/a.npz?region=eu-west-1")
    's3://bucket/a.npz'
    """
    if not is_url(given):
        return str(given)
    parts = urlsplit(str(given), allow_fragments=False)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def file_system(url: str) -> tuple[Any, str, tuple[str, ...]]:
    """The file system of a URL, the path in it, and what messages must not repeat.

    Raises:
        ParameterError: It is no URL that a file system understands.
        ResourceError: The file system refuses, or its package is not installed.
    """
    parts = urlsplit(url, allow_fragments=False)
    hidden = _secrets(parts.netloc.rpartition("@")[0], parts.query)
    shown = without_credentials(url)
    fs = arrow_module("pyarrow.fs")
    with refusals(hidden, shown):
        if parts.scheme in _OF_ARROW:
            # Its parser takes no brackets or spaces, which a glob or a name may have.
            safe = urlunsplit(parts._replace(path=quote(parts.path, safe="/%*~")))
            system, path = fs.FileSystem.from_uri(safe)
            return system, path, hidden
        core = _fsspec(parts.scheme)
        system, path = core.url_to_fs(url)
        return fs.PyFileSystem(fs.FSSpecHandler(system)), path, hidden


def arrow_module(name: str) -> Any:  # noqa: ANN401 - a module without type stubs
    """Import a module of pyarrow.

    Raises:
        ResourceError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        msg = (
            "Parquet and Arrow files and URLs need pyarrow, which is not installed. "
            "Install it with: pip install 'calibench[arrow]'"
        )
        raise ResourceError(msg) from error


@contextmanager
def refusals(hidden: tuple[str, ...] = (), what: str = "") -> Iterator[None]:
    """Turn whatever a file system raises into a `ResourceError` without credentials."""
    try:
        yield
    except CalibenchError:
        raise
    except Exception as error:  # noqa: BLE001 - each file system raises its own
        reason = str(error) or type(error).__name__
        for secret in hidden:
            reason = reason.replace(secret, "***")
        before = f"{what}: " if what else ""
        if isinstance(error, ValueError | TypeError):
            msg = f"{before}no file system understands this URL: {reason}"
            raise ParameterError(msg) from None
        msg = (
            f"{before}cannot be read: {reason}. Check the name, the network and the "
            "credentials that the environment gives to this file system."
        )
        # The cause would carry the credentials into a traceback.
        raise ResourceError(msg) from None


def _fsspec(scheme: str) -> Any:  # noqa: ANN401 - a module without type stubs
    try:
        core = import_module("fsspec.core")
    except ModuleNotFoundError as error:
        msg = (
            f"{scheme}:// needs fsspec and its package for that scheme. "
            "Install them with: pip install fsspec aiohttp (for https), or copy the "
            "files to this machine."
        )
        raise ResourceError(msg) from error
    if scheme not in import_module("fsspec").available_protocols():
        msg = f"unknown scheme {scheme}://. Give s3://, gs://, https:// or a path."
        raise ParameterError(msg)
    return core


def _secrets(userinfo: str, query: str) -> tuple[str, ...]:
    """All that a message could repeat of a user, a password and a query."""
    values = [pair.partition("=")[2] for pair in query.split("&")]
    parts = [query, userinfo, *userinfo.split(":"), *values]
    found = {form for part in parts for form in (part, unquote(part))}
    # The longest first: a part must not leave the rest of the whole behind.
    return tuple(sorted((f for f in found if len(f) > 3), key=len, reverse=True))


class _Guarded(io.RawIOBase):
    """A stream of a file system, whose failures say what to do."""

    def __init__(self, stream: Any, hidden: tuple[str, ...]) -> None:  # noqa: ANN401
        self._stream = stream
        self._hidden = hidden
        self._at, self._size = 0, stream.size()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        with refusals(self._hidden):
            count = max(0, min(len(buffer), self._size - self._at))
            content = self._stream.read_at(count, self._at) if count else b""
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            # As a file says it: a damaged archive points to impossible places.
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
