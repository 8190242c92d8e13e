"""Predictions in `.parquet`, some rows of a row group at a time, by pyarrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any

from calibench.errors import DataError
from calibench.lab.data.parquet_footer import column_chunks
from calibench.lab.data.parquet_pages import page_has_checksum
from calibench.lab.data.prediction_arrow import (
    Columns,
    damage,
    one_split,
    width_of_first,
)
from calibench.lab.data.prediction_layout import (
    Layout,
    RawChunk,
    Span,
    Wanted,
    rows_at_a_time,
)
from calibench.lab.data.prediction_source import StoredFile, arrow_module

# A row of many lists, or one long list, is decoded whole; numbers compress a little, so
# a row group that claims to unfold a hundredfold is built to exhaust memory.
_LARGEST_EXPANSION = 100
_UNSUSPICIOUS_BYTES = 2**28
# Read ahead, over all columns together. Columns lie apart, so pyarrow fetches for each.
_BUFFERED = 2**26
_SMALL_BLOCK = 2**14


def parquet_layout(file: StoredFile, wanted: Wanted) -> Layout:
    """What the footer declares: `label` with a column for each class, or with lists.

    A file with a column `split` must be of one split, unless it is grouped by it.

    Raises:
        DataError: It is damaged, or something else.
    """
    with _opened(file) as (stream, table):
        columns = Columns.among(table.schema_arrow, wanted)
        metadata = table.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        if columns.is_list:
            _refuse_unfolding(stream, columns.values[0])
        width = columns.width or _first_width(table, columns, metadata.num_rows)
        splits = (batch.column(0) for batch in table.iter_batches(columns=["split"]))
        one_split(splits, wanted.by, table.schema_arrow.names)
        cuts, row = [], 0
        for group in groups:
            cuts.append(row)
            row += group.num_rows
        if row != metadata.num_rows or any(group.num_rows < 0 for group in groups):
            msg = (
                f"its row groups have {row:,} rows, its footer says "
                f"{metadata.num_rows:,}: damaged. Write or copy it again."
            )
            raise DataError(msg)
        return Layout(
            kind=columns.kind,
            width=width,
            num_rows=row,
            cuts=cuts,
            has_checksums=page_has_checksum(stream, columns.values[0]),
        )


def parquet_chunks(file: StoredFile, wanted: Wanted, span: Span) -> Iterator[RawChunk]:
    """Read some row groups, the sums of their pages checked where there are any.

    Raises:
        DataError: It is damaged, or something else.
    """
    with _opened(file) as (_, table):
        columns = Columns.among(table.schema_arrow, wanted)
        units = span.units or range(table.metadata.num_row_groups)
        batches = table.iter_batches(
            batch_size=rows_at_a_time(span.width),
            row_groups=list(units),
            columns=columns.names,
            use_threads=False,
        )
        yield from columns.chunks(batches, span.width, span.start)


@contextmanager
def _opened(file: StoredFile) -> Iterator[tuple[Any, Any]]:
    pq = arrow_module("pyarrow.parquet")
    with damage("Parquet file"), file.open(_SMALL_BLOCK) as stream:
        metadata = pq.read_metadata(stream)
        share = _BUFFERED // max(metadata.num_columns, 1)
        table = pq.ParquetFile(
            stream,
            metadata=metadata,
            page_checksum_verification=True,
            # Else all row groups stay in memory until the last is read.
            pre_buffer=False,
            buffer_size=min(max(share, _SMALL_BLOCK), 2**21),
        )
        try:
            yield stream, table
        finally:
            # What pyarrow keeps for later would add to what is computed next.
            del table
            arrow_module("pyarrow").default_memory_pool().release_unused()


def _first_width(table: Any, columns: Columns, num_rows: int) -> int:  # noqa: ANN401
    if num_rows == 0:
        return 2
    (name,) = columns.values
    batches = table.iter_batches(batch_size=1, columns=[name], use_threads=False)
    batch = next(batches, None)
    if batch is None:
        msg = f"its footer says {num_rows:,} rows, and there is none"
        raise ValueError(msg)
    return width_of_first(batch.column(0), name)


def _refuse_unfolding(stream: BufferedReader, name: str) -> None:
    for chunk in column_chunks(stream, name):
        size, stored = 8 * chunk.num_values, chunk.stored
        if size > _UNSUSPICIOUS_BYTES and size > _LARGEST_EXPANSION * stored:
            msg = (
                f"{name}: row group {chunk.row_group} would unfold {stored:,} bytes "
                f"into {size:,}. Write row groups of fewer rows."
            )
            raise DataError(msg)
