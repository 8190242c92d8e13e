"""Arrays of predictions in `.npz`, `.npy` and `.safetensors`, some rows at a time."""

import errno
import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from calibench.errors import DataError
from calibench.lab.data.prediction_files import (
    DAMAGE,
    KINDS,
    Stream,
    choose_array,
    choose_kind,
    npy_header,
)

# Numbers read at a time: few enough that what is derived from them stays in the cache.
CHUNK = 2**17
# The columns of an array in Fortran order lie apart, so it is read whole or not at all.
_LARGEST_WHOLE = 2**28
_LARGEST_HEADER = 2**20
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "|b1", "U8": "|u1", "I8": "|i1",
    "I16": "<i2", "U16": "<u2", "I32": "<i4", "U32": "<u4", "I64": "<i8", "U64": "<u8",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class RawChunk:
    """Some rows as stored, not yet checked.

    Attributes:
        kind: "logits" or "probs".
        values: One row for each example.
        labels: Their class ids.
        groups: What the column of groups says, if one was asked for.
    """

    kind: str
    values: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array in an open file, at whose first number the stream stands."""

    name: str
    stream: Stream
    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        """The array, some rows at a time.

        Raises:
            DataError: It is cut, or in Fortran order and too large to be turned.
        """
        row_shape = self.shape[1:]
        if self.is_fortran and prod(row_shape) > 1:
            whole = self._read(self._whole_size()).reshape(self.shape, order="F")
            yield from (whole[i : i + rows] for i in range(0, len(whole), rows))
            return
        row_size = prod(row_shape)
        for start in range(0, self.shape[0], rows):
            count = min(rows, self.shape[0] - start)
            yield self._read(count * row_size).reshape(count, *row_shape)

    def _read(self, count: int) -> np.ndarray:
        content = self.stream.read(count * self.dtype.itemsize)
        if len(content) < count * self.dtype.itemsize:
            msg = f"{self.name}: the file is cut."
            raise DataError(msg)
        return np.frombuffer(content, dtype=self.dtype)

    def _whole_size(self) -> int:
        size = prod(self.shape)
        if size * self.dtype.itemsize > _LARGEST_WHOLE:
            msg = (
                f"{self.name}: {size * self.dtype.itemsize:,} bytes in Fortran order "
                "cannot be read row by row. Save numpy.ascontiguousarray of it."
            )
            raise DataError(msg)
        return size


def npz_chunks(path: Path, kind: str | None, by: str | None) -> Iterator[RawChunk]:
    """Read an archive of `logits` or `probs`, `labels`, and an array of groups.

    Raises:
        DataError: It is damaged, or something else.
    """
    try:
        with zipfile.ZipFile(path) as archive, ExitStack() as opened:
            chosen = choose_array(archive.namelist(), kind)
            arrays = []
            for name in _wanted(chosen, by, archive.namelist(), suffix=".npy"):
                info = archive.getinfo(f"{name}.npy")
                stream = opened.enter_context(archive.open(info))
                header = npy_header(stream, name, info.file_size)
                arrays.append(StoredArray(name, stream, *header))
            # The read that reaches the end of a member checks its CRC.
            yield from _chunks(chosen, arrays)
    except DataError:
        raise
    except (*DAMAGE, OSError) as error:
        # A damaged directory of the archive sends the reader to impossible places.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        msg = f"not a readable .npz archive ({error}). Write it again with numpy.savez."
        raise DataError(msg) from error


def npy_chunks(path: Path, kind: str | None, by: str | None) -> Iterator[RawChunk]:
    """Read `[NAME_]logits.npy` or `[NAME_]probs.npy`, with `[NAME_]labels.npy` beside.

    Raises:
        DataError: One of them is missing, damaged, or something else.
    """
    chosen = next((k for k in KINDS if path.stem.endswith(k)), None)
    if chosen is None or kind not in {None, chosen}:
        msg = "its name must end in logits.npy or probs.npy, as its kind is."
        raise DataError(msg)
    prefix = path.stem.removesuffix(chosen)
    with ExitStack() as opened:
        arrays = []
        for name in [chosen, "labels", *([by] if by else [])]:
            file = path.with_name(f"{prefix}{name}.npy")
            if not file.exists():
                msg = f"there is no {file.name} beside it."
                raise DataError(msg)
            stream = opened.enter_context(file.open("rb"))
            try:
                header = npy_header(stream, f"{prefix}{name}", file.stat().st_size)
            except DAMAGE as error:
                msg = f"{file.name} is not a readable .npy file ({error})."
                raise DataError(msg) from error
            arrays.append(StoredArray(name, stream, *header))
        yield from _chunks(chosen, arrays)


def safetensors_chunks(
    path: Path, kind: str | None, by: str | None
) -> Iterator[RawChunk]:
    """Read tensors `logits` or `probs`, `labels`, and one of groups.

    The format is 8 bytes of length, a JSON object of that length, then the numbers.

    Raises:
        DataError: It is damaged, or something else.
    """
    entries, start = _safetensors_header(path)
    stored = path.stat().st_size - start
    chosen = choose_kind([k for k in KINDS if k in entries], kind, list(entries))
    with ExitStack() as opened:
        arrays = []
        for name in _wanted(chosen, by, list(entries)):
            dtype, shape, offset = _checked_entry(name, entries[name], stored)
            stream = opened.enter_context(path.open("rb"))
            stream.seek(start + offset)
            arrays.append(
                StoredArray(name, stream, shape, is_fortran=False, dtype=dtype)
            )
        yield from _chunks(chosen, arrays)


def _safetensors_header(path: Path) -> tuple[dict[str, Any], int]:
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(size - 8, _LARGEST_HEADER):
            msg = f"a header of {length:,} bytes is declared in {size:,}: damaged."
            raise DataError(msg)
        content = stream.read(length)
    try:
        entries = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        msg = f"not a readable .safetensors file ({error})."
        raise DataError(msg) from error
    if not isinstance(entries, dict):
        msg = "not a readable .safetensors file (its header is no object)."
        raise DataError(msg)
    entries.pop("__metadata__", None)
    return entries, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        msg = "two entries have the same name"
        raise ValueError(msg)
    return dict(pairs)


def _checked_entry(
    name: str,
    entry: Any,  # noqa: ANN401 - whatever JSON holds
    stored: int,
) -> tuple[np.dtype, tuple[int, ...], int]:
    try:
        dtype_name, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        numbers = [*shape, begin, end]
        sound = all(type(n) is int and n >= 0 for n in numbers) and end <= stored
    except (TypeError, KeyError, ValueError):
        sound, dtype_name, shape, begin, end = False, "", (), 0, 0
    if sound and dtype_name not in _DTYPES:
        msg = f"{name} has dtype {dtype_name!r}. Store float16, 32 or 64, or integers."
        raise DataError(msg)
    if not sound or end - begin != prod(shape) * np.dtype(_DTYPES[dtype_name]).itemsize:
        msg = f"{name}: its header does not fit the file, which is cut or damaged."
        raise DataError(msg)
    return np.dtype(_DTYPES[dtype_name]), shape, begin


def _wanted(
    chosen: str, by: str | None, found: list[str], suffix: str = ""
) -> list[str]:
    wanted = [chosen, "labels", *([by] if by else [])]
    missing = [name for name in wanted if name + suffix not in found]
    if missing:
        names = ", ".join(name.removesuffix(suffix) for name in found)
        msg = f"no array {missing[0]!r} among {names}."
        raise DataError(msg)
    return wanted


def _chunks(kind: str, arrays: list[StoredArray]) -> Iterator[RawChunk]:
    values, labels, *groups = arrays
    if len(values.shape) not in {1, 2}:
        msg = f"{kind} must have one row per example, got shape {values.shape}."
        raise DataError(msg)
    for vector in (labels, *groups):
        if vector.shape != values.shape[:1]:
            msg = (
                f"{values.shape[0]:,} rows of predictions, but {vector.name} of shape "
                f"{vector.shape}: one number per example is needed."
            )
            raise DataError(msg)
    rows = max(1, CHUNK // max(prod(values.shape[1:]), 1))
    for parts in zip(*(array.blocks(rows) for array in arrays), strict=True):
        yield RawChunk(kind, *parts)
