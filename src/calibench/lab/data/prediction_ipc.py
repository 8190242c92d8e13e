"""Predictions in `.arrow` and `.feather`: files and streams of record batches."""

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from calibench.errors import DataError
from calibench.lab.data.arrow_messages import FILE_MAGIC, RecordHeader, record_headers
from calibench.lab.data.prediction_arrow import (
    Columns,
    damage,
    one_split,
    width_of_first,
)
from calibench.lab.data.prediction_layout import Layout, RawChunk, Span, Wanted
from calibench.lab.data.prediction_source import StoredFile, arrow_module

# A stream of pyarrow or of Python.
ArrowStream: TypeAlias = Any

# A record batch is decoded whole: 65,536 rows of 1,000 classes in float32, and labels.
_LARGEST_BATCH = 2**28
_FIRST_FEATHER = b"FEA1"
_AROUND_HEADER = 2**13
_STREAM_IN_FILE = 8


def ipc_layout(file: StoredFile, wanted: Wanted) -> Layout:
    """What the schema and the headers of the record batches declare.

    Raises:
        DataError: It is damaged, or something else, or a batch is too large.
    """
    # Headers lie apart, so little is fetched around each.
    with damage("Arrow file"), file.open(block=_AROUND_HEADER) as stream:
        _refuse_first_feather(stream)
        cuts, row = [], 0
        for header in record_headers(stream, file.size):
            _refuse_large(header, row)
            if not header.is_dictionary:
                cuts.append(row)
                row += header.num_rows
        schema, is_file = _schema(stream)
        # A name that is no UTF-8 is found only here.
        columns, names = Columns.among(schema, wanted), list(schema.names)
    width = columns.width
    if width is None:
        filled = (a for a in _column(file, columns.values[0]) if len(a))
        first = next(filled, None)
        width = 2 if first is None else width_of_first(first, columns.values[0])
    one_split(_column(file, "split"), wanted.by, names)
    return Layout(columns.kind, width, row, cuts if is_file else ())


def ipc_chunks(file: StoredFile, wanted: Wanted, span: Span) -> Iterator[RawChunk]:
    """Read some record batches. The format keeps no checksums.

    Raises:
        DataError: It is damaged, or something else.
    """
    with _opened(file) as (stream, mapped):
        columns = Columns.among(_schema(stream)[0], wanted)
        batches = _batches(stream, columns.names, span.units, mapped)
        for chunk in columns.chunks(batches, span.width, span.start):
            yield chunk
            if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
                # What has been counted stays in the system's cache, not in ours.
                mapped.madvise(mmap.MADV_DONTNEED)


def _column(file: StoredFile, name: str) -> Iterator[Any]:
    with _opened(file) as (stream, mapped):
        for batch in _batches(stream, [name], range(0), mapped):
            yield batch.column(0)


@contextmanager
def _opened(file: StoredFile) -> Iterator[tuple[ArrowStream, mmap.mmap | None]]:
    pa = arrow_module("pyarrow")
    with damage("Arrow file"):
        if file.system is None and not _is_packed(file):
            # Batches are then read where they lie, a slice at a time. The map ends with
            # the last array that lies in it.
            with Path(file.path).open("rb") as opened:
                mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            yield pa.BufferReader(pa.py_buffer(mapped)), mapped
            return
        # Through a stream of Python a batch would be in memory twice.
        stored = pa.OSFile(file.path) if file.system is None else file.open()
        with stored as stream:
            yield stream, None


def _is_packed(file: StoredFile) -> bool:
    with file.open(block=_AROUND_HEADER) as stream:
        first = next(record_headers(stream, file.size), None)
    return first is not None and first.is_packed


def _schema(stream: ArrowStream) -> tuple[Any, bool]:
    is_file = _is_file(stream)
    return _reader(stream, is_file=is_file).schema, is_file


def _batches(
    stream: ArrowStream, names: list[str], units: range, mapped: mmap.mmap | None
) -> Iterator[Any]:
    pa = arrow_module("pyarrow")
    schema, is_file = _schema(stream)
    fields = [schema.get_field_index(name) for name in names]
    as_file = is_file and mapped is None
    reader = _reader(stream, fields, is_file=as_file)
    if mapped is not None:
        # A file holds a stream. Its own reader would copy the columns of a batch.
        batches: Iterable[Any] = islice(reader, units.start, units.stop or None)
    elif is_file:
        numbers = units or range(reader.num_record_batches)
        batches = (reader.get_batch(i) for i in numbers)
    else:
        batches = reader
    for batch in batches:
        # Offsets and lengths come from the file, and pyarrow trusts them otherwise.
        batch.validate(full=True)
        try:
            yield batch
        finally:
            # One batch at a time: its memory goes back before another is read.
            del batch
            pa.default_memory_pool().release_unused()


def _reader(
    stream: ArrowStream, fields: list[int] | None = None, *, is_file: bool
) -> Any:  # noqa: ANN401
    ipc = arrow_module("pyarrow.ipc")
    options = ipc.IpcReadOptions(included_fields=fields, use_threads=False)
    # A file is a stream between its marks.
    stream.seek(0 if is_file or not _is_file(stream) else _STREAM_IN_FILE)
    opened = ipc.open_file if is_file else ipc.open_stream
    return opened(stream, options=options)


def _is_file(stream: ArrowStream) -> bool:
    stream.seek(0)
    return stream.read(len(FILE_MAGIC)) == FILE_MAGIC


def _refuse_first_feather(stream: BufferedReader) -> None:
    if stream.read(len(_FIRST_FEATHER)) == _FIRST_FEATHER:
        msg = (
            "the first version of Feather is not read. Write it again with "
            "pyarrow.feather.write_feather."
        )
        raise DataError(msg)
    stream.seek(0)


def _refuse_large(header: RecordHeader, row: int) -> None:
    if header.num_bytes > _LARGEST_BATCH:
        msg = (
            f"the record batch from row {row:,} on unfolds to {header.num_bytes:,} "
            f"bytes, more than {_LARGEST_BATCH:,}. Write batches of fewer rows "
            "(max_chunksize=65536)."
        )
        raise DataError(msg)
