"""Read CIFAR record files out of a tar archive or a folder, unpacking nothing."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath

import numpy as np

from calibench.errors import DataError
from calibench.lab.data.cifar_archives import (
    IMAGE_SIDE,
    CifarArchive,
    RecordFile,
)
from calibench.lab.data.foreign_files import reading

GZIP_MAGIC = b"\x1f\x8b"
# What the official archives hold besides records is a page and a list of names.
MAX_MEMBERS = 100
MAX_OTHER_BYTES = 1_000_000


def records_from_tar(path: Path, archive: CifarArchive) -> dict[str, bytes]:
    """Read the record files of a tar archive, by exact name, as a stream.

    Nothing is written to disk. Any member that is a link, a device or a pipe, or
    whose name leads out of the archive, condemns the whole archive.

    Raises:
        DataError: The file is no such archive, or is cut, or holds a hostile member.
    """
    wanted = {f"{archive.folder}/{file.name}": file for file in _files(archive)}
    found: dict[str, bytes] = {}
    with reading(path, f"complete {archive.remote.name}"), _tar(path, archive) as tar:
        for count, member in enumerate(tar):
            _refuse_hostile(path, member, count)
            file = wanted.get(member.name.removeprefix("./"))
            if file is None:
                continue
            if file.name in found:
                message = f"{path}: {member.name!r} is in the archive twice"
                raise DataError(message)
            _check_size(path / file.name, member.size, archive, file)
            found[file.name] = _content(tar, member)
    return _all_found(path, archive, found)


def records_from_folder(path: Path, archive: CifarArchive) -> dict[str, bytes]:
    """Read the record files of a folder, or of the archive's own folder inside it.

    Raises:
        DataError: A file is missing or has the wrong size.
    """
    inner = path / archive.folder
    folder = inner if inner.is_dir() else path
    found = {}
    for file in _files(archive):
        each = folder / file.name
        if each.is_file():
            _check_size(each, each.stat().st_size, archive, file)
            found[file.name] = each.read_bytes()
    return _all_found(folder, archive, found)


def arrays_from_records(
    source: Path, records: Mapping[str, bytes], archive: CifarArchive
) -> dict[str, np.ndarray]:
    """Check record files against their official hashes and divide them into arrays.

    Returns:
        `train_images`, `test_images`: uint8 (examples, 3, 32, 32);
        `train_labels`, `test_labels`: uint8 (examples,).

    Raises:
        DataError: A file is not, byte for byte, the official one.
    """
    arrays = {}
    for split, files in (("train", archive.train_files), ("test", archive.test_files)):
        for file in files:
            if sha256(records[file.name]).hexdigest() != file.sha256:
                message = (
                    f"{source}: {file.name} is not the official file (SHA-256 "
                    f"differs). {_remedy(archive)}, or give images of your own as "
                    'kind = "arrays"'
                )
                raise DataError(message)
        content = b"".join(records[file.name] for file in files)
        rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, archive.record_bytes)
        pixels = np.ascontiguousarray(rows[:, archive.label_bytes :])
        arrays[f"{split}_images"] = pixels.reshape(-1, 3, IMAGE_SIDE, IMAGE_SIDE)
        arrays[f"{split}_labels"] = rows[:, archive.label_bytes - 1].copy()
    return arrays


def _files(archive: CifarArchive) -> tuple[RecordFile, ...]:
    return archive.train_files + archive.test_files


class _Bounded(io.RawIOBase):
    """A stream that refuses to go on forever, as that of a bomb would."""

    def __init__(self, source: Callable[[int], bytes], path: Path, limit: int) -> None:
        self._source = source
        self._path = path
        self._limit = limit

    def read(self, size: int = -1) -> bytes:
        block = self._source(size)
        self._limit -= len(block)
        if self._limit < 0:
            message = f"{self._path}: refused, it unpacks to more than it should"
            raise DataError(message)
        return block


@contextmanager
def _tar(path: Path, archive: CifarArchive) -> Iterator[tarfile.TarFile]:
    expected = sum(file.num_records for file in _files(archive)) * archive.record_bytes
    with path.open("rb") as file:
        is_gzip = file.read(2) == GZIP_MAGIC
        file.seek(0)
        content = gzip.GzipFile(fileobj=file) if is_gzip else file
        bounded = _Bounded(content.read, path, expected + MAX_OTHER_BYTES)
        with tarfile.open(fileobj=bounded, mode="r|") as tar:
            yield tar


def _refuse_hostile(path: Path, member: tarfile.TarInfo, count: int) -> None:
    name = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()) or member.issparse():
        problem = "is neither a plain file nor a folder"
    elif name.is_absolute() or ".." in name.parts:
        problem = "leads out of the archive"
    elif count >= MAX_MEMBERS:
        problem = f"is one of more than {MAX_MEMBERS} members"
    else:
        return
    message = f"{path}: refused, because {member.name!r} {problem}; do not unpack it"
    raise DataError(message)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    # A folder by the name of a record file has no stream; its size is not right.
    return b"" if stream is None else stream.read()


def _check_size(path: Path, size: int, archive: CifarArchive, file: RecordFile) -> None:
    expected = file.num_records * archive.record_bytes
    if size != expected:
        message = (
            f"{path}: {size:,} bytes; expected {expected:,}, which is "
            f"{file.num_records:,} records of {archive.record_bytes:,}. "
            f"{_remedy(archive)}"
        )
        raise DataError(message)


def _all_found(
    path: Path, archive: CifarArchive, found: dict[str, bytes]
) -> dict[str, bytes]:
    missing = [file.name for file in _files(archive) if file.name not in found]
    if missing:
        message = (
            f"{path}: no {', '.join(missing)} in it; expected the content of "
            f"{archive.remote.name}. {_remedy(archive)}"
        )
        raise DataError(message)
    return found


def _remedy(archive: CifarArchive) -> str:
    return f"Get it with `calibench data fetch {archive.name}`"
