"""Arrays of predictions in `.npz` and `.npy`, some rows at a time."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias, cast

import numpy as np

from calibench.errors import DataError
from calibench.lab.data.prediction_damage import DAMAGE, archive_damage
from calibench.lab.data.prediction_layout import (
    KINDS,
    Layout,
    RawChunk,
    Span,
    Wanted,
    blocks_of,
    choose_kind,
    require,
)
from calibench.lab.data.prediction_source import StoredFile

# What `open` returns, and what a zip archive does.
Stream: TypeAlias = io.BufferedIOBase

# The columns of an array in Fortran order lie apart, so it is read whole or not at all.
_LARGEST_WHOLE = 2**28
_ROWS_BETWEEN_CUTS = 2**10


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array in an open file, at whose first number the stream stands."""

    name: str
    stream: Stream
    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return prod(self.shape[1:])

    @property
    def is_by_rows(self) -> bool:
        """Whether a row lies in one place."""
        return not self.is_fortran or self.width <= 1

    def blocks(self, slices: Iterator[slice]) -> Iterator[np.ndarray]:
        """The array in slices that follow each other, the first not always from 0.

        Raises:
            DataError: It is cut, or in Fortran order and too large to be turned.
        """
        if not self.is_by_rows:
            whole = self._read(self._whole_size()).reshape(self.shape, order="F")
            yield from (whole[rows] for rows in slices)
            return
        is_first = True
        for rows in slices:
            if is_first and rows.start:
                self.stream.seek(rows.start * self.width * self.dtype.itemsize, 1)
            is_first = False
            count = rows.stop - rows.start
            yield self._read(count * self.width).reshape(count, *self.shape[1:])

    def _read(self, count: int) -> np.ndarray:
        content = self.stream.read(count * self.dtype.itemsize)
        if len(content) < count * self.dtype.itemsize:
            msg = f"{self.name}: the file is cut. Write or copy it again."
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


@dataclass(frozen=True, eq=False)
class OpenArrays:
    """The arrays of predictions in open files.

    Attributes:
        kind: "logits" or "probs".
        values: The predictions.
        vectors: Labels, and what else was asked for, each with a number per example.
        wanted: What was asked for.
    """

    kind: str
    values: StoredArray
    vectors: list[StoredArray]
    wanted: Wanted

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        if len(self.values.shape) not in {1, 2}:
            msg = (
                f"{self.kind} must have one row per example, got shape "
                f"{self.values.shape}. Store an array of examples and classes."
            )
            raise DataError(msg)
        for vector in self.vectors:
            if vector.shape != self.values.shape[:1]:
                found = f"{vector.name} of shape {vector.shape}"
                if len(vector.shape) == 1:
                    found = f"{vector.shape[0]:,} {vector.name}"
                msg = (
                    f"{self.values.shape[0]:,} rows of predictions, but {found}. "
                    "Store one number per example."
                )
                raise DataError(msg)

    def layout(self, *, is_divisible: bool) -> Layout:
        """What the headers declare."""
        num_rows = self.values.shape[0]
        by_rows = all(array.is_by_rows for array in [self.values, *self.vectors])
        cuts = range(0, num_rows, _ROWS_BETWEEN_CUTS)
        return Layout(
            kind=self.kind,
            width=self.values.width,
            num_rows=num_rows,
            cuts=cuts if is_divisible and by_rows else (),
        )

    def chunks(self, span: Span) -> Iterator[RawChunk]:
        """The rows, in bounded parts."""
        stop = self.values.shape[0] if span.stop is None else span.stop
        arrays = [self.values, *self.vectors]
        slices = (blocks_of(range(span.start, stop), self.values.width) for _ in arrays)
        parts = zip(
            *(a.blocks(s) for a, s in zip(arrays, slices, strict=True)), strict=True
        )
        start = span.start
        for values, labels, *others in parts:
            groups, weights = self.wanted.told_apart(others)
            yield RawChunk(self.kind, values, labels, groups, start, weights=weights)
            start += len(values)


def npz_layout(file: StoredFile, wanted: Wanted) -> Layout:
    """What an archive declares: `logits` or `probs`, `labels`, an array of groups.

    Raises:
        DataError: It is damaged, or something else.
    """
    with _npz(file, wanted) as arrays:
        # Read whole, or the sums that the archive keeps would go unchecked.
        return replace(arrays.layout(is_divisible=False), has_checksums=True)


def npz_chunks(file: StoredFile, wanted: Wanted, span: Span) -> Iterator[RawChunk]:
    """Read an archive; the read that reaches the end of a member checks its CRC.

    Raises:
        DataError: It is damaged, or something else.
    """
    with _npz(file, wanted) as arrays:
        yield from arrays.chunks(span)


def npy_layout(file: StoredFile, wanted: Wanted) -> Layout:
    """What `[NAME_]logits.npy` or `[NAME_]probs.npy` declare, and labels beside.

    Raises:
        DataError: One of them is missing, damaged, or something else.
    """
    with _npy(file, wanted) as arrays:
        return arrays.layout(is_divisible=True)


def npy_chunks(file: StoredFile, wanted: Wanted, span: Span) -> Iterator[RawChunk]:
    """Read `[NAME_]logits.npy` or `[NAME_]probs.npy`, with `[NAME_]labels.npy` beside.

    Raises:
        DataError: One of them is missing, damaged, or something else.
    """
    with _npy(file, wanted) as arrays:
        yield from arrays.chunks(span)


@contextmanager
def _npz(file: StoredFile, wanted: Wanted) -> Iterator[OpenArrays]:
    with archive_damage(), ExitStack() as opened:
        chosen = _choose_array(_archive(file, opened).namelist(), wanted)
        arrays = []
        for name in [chosen, "labels", *wanted.vectors()]:
            # A stream for each: two members of one would fetch each other's blocks.
            archive = _archive(file, opened)
            info = archive.getinfo(f"{name}.npy")
            member = cast("Stream", opened.enter_context(archive.open(info)))
            arrays.append(stored_array(member, name, info.file_size))
        yield OpenArrays(chosen, arrays[0], arrays[1:], wanted)


def _archive(file: StoredFile, opened: ExitStack) -> "zipfile.ZipFile":
    return opened.enter_context(zipfile.ZipFile(opened.enter_context(file.open())))


@contextmanager
def _npy(file: StoredFile, wanted: Wanted) -> Iterator[OpenArrays]:
    chosen = next((k for k in KINDS if file.stem.endswith(k)), None)
    if chosen is None or wanted.kind not in {None, chosen}:
        msg = (
            "its name must end in logits.npy or probs.npy, as its kind is. Rename it; "
            "or, if it holds labels, leave it out: they are read from beside."
        )
        raise DataError(msg)
    prefix = file.stem.removesuffix(chosen)
    with ExitStack() as opened:
        arrays = []
        for name in [chosen, "labels", *wanted.vectors()]:
            part = file if name == chosen else file.beside(f"{prefix}{name}.npy")
            stream = opened.enter_context(part.open())
            try:
                arrays.append(stored_array(stream, f"{prefix}{name}", part.size))
            except DAMAGE as error:
                if isinstance(error, DataError):
                    raise
                msg = (
                    f"{part.name} is not a readable .npy file ({error}). Write it "
                    "again with numpy.save."
                )
                raise DataError(msg) from error
        yield OpenArrays(chosen, arrays[0], arrays[1:], wanted)


def stored_array(stream: Stream, name: str, stored: int) -> StoredArray:
    """Read the header of an array, which declares as many bytes as are stored."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        msg = (
            f"{name}.npy has .npy version {version}, not 1.0 or 2.0. Write it again "
            "with numpy.save."
        )
        raise DataError(msg)
    shape, is_fortran, dtype = readers[version](stream)
    if dtype.kind not in "biuf":
        msg = (
            f"{name}.npy must hold real numbers, got dtype {dtype}. Store floats, and "
            "class ids as integers."
        )
        raise DataError(msg)
    size = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or stream.tell() + size != stored:
        msg = (
            f"{name} declares {size:,} bytes but {stored:,} are stored: the file is "
            "cut or damaged. Write or copy it again."
        )
        raise DataError(msg)
    return StoredArray(name, stream, shape, is_fortran, dtype)


def _choose_array(names: list[str], wanted: Wanted) -> str:
    if len(set(names)) < len(names):
        msg = "two arrays have the same name. Write it again with numpy.savez."
        raise DataError(msg)
    keys = [name.removesuffix(".npy") for name in names]
    chosen = choose_kind([k for k in KINDS if k in keys], wanted.kind, keys)
    require(["labels", *wanted.vectors()], keys, "array")
    return chosen
