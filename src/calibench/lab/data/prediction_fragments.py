"""Files of predictions in fragments: rows that one task reads, here or elsewhere."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import TypeAlias

import numpy as np

from calibench.errors import DataError, ResourceError
from calibench.lab.data.prediction_arrays import (
    npy_chunks,
    npy_layout,
    npz_chunks,
    npz_layout,
)
from calibench.lab.data.prediction_csv import csv_chunks, csv_layout
from calibench.lab.data.prediction_ipc import ipc_chunks, ipc_layout
from calibench.lab.data.prediction_layout import (
    Layout,
    RawChunk,
    Span,
    Wanted,
)
from calibench.lab.data.prediction_listing import unreadable
from calibench.lab.data.prediction_parquet import parquet_chunks, parquet_layout
from calibench.lab.data.prediction_safetensors import (
    safetensors_chunks,
    safetensors_layout,
)
from calibench.lab.data.prediction_source import StoredFile

# Numbers in a fragment: under a second of work, and a thousand tasks for 1e9 rows.
_NUMBERS = 2**23
_MOST_FRAGMENTS = 2**17
_LONGEST_COMPLAINT = 1000

LayoutOf: TypeAlias = Callable[[StoredFile, Wanted], Layout]
ChunksOf: TypeAlias = Callable[[StoredFile, Wanted, Span], Iterator[RawChunk]]


@dataclass(frozen=True)
class Fragment:
    """Some rows of a file, which another process or machine can read by itself.

    Attributes:
        file: Where they are.
        wanted: What is read, the kind decided.
        num_classes: K.
        span: Which rows.
        size: Bytes of the file that they take, about.
        has_checksums: Whether a flipped bit in them would be seen.
    """

    file: StoredFile
    wanted: Wanted
    num_classes: int
    span: Span
    size: int
    has_checksums: bool


def fragments_of(
    files: Iterable[StoredFile], wanted: Wanted | None = None
) -> Iterator[Fragment]:
    """The fragments of files, in their order.

    Whatever a header or a footer tells is checked here: kind, number of classes and
    declared sizes. A `.parquet` or `.arrow` file is divided between its row groups or
    record batches, a `.npy` or `.safetensors` file between rows; `.npz`, `.csv` and
    Arrow streams are read from their start, so each file is one fragment.

    Raises:
        DataError: A file is damaged, or of another problem than the first.
        ResourceError: A file may not be read, or a package is not installed.
    """
    wanted = wanted or Wanted()
    first: Layout | None = None
    for file in files:
        with named(file):
            layout = FORMATS[file.suffix][0](file, wanted)
            first = first or layout
            _refuse_another_problem(first, layout)
            if layout.num_rows == 0:
                msg = "no rows. Give at least one example."
                raise DataError(msg)
        yield from _divided(file, replace(wanted, kind=layout.kind), layout)


def chunks_of(fragment: Fragment) -> Iterator[RawChunk]:
    """Read a fragment in bounded parts, as stored.

    The sum of an archive is checked at its end: use nothing before the last part.

    Raises:
        DataError: The file is damaged or cut, or holds what is no number.
        ResourceError: It may not be read.
    """
    file, span = fragment.file, fragment.span
    is_empty = True
    with named(file):
        for chunk in FORMATS[file.suffix][1](file, fragment.wanted, span):
            is_empty = False
            if chunk.size or span.stop is None:
                yield chunk
                continue
            size = fragment.size * len(chunk.labels) // (span.stop - span.start)
            yield replace(chunk, size=size)
        if is_empty:
            msg = "no rows. Give at least one example."
            raise DataError(msg)


@contextmanager
def named(file: StoredFile) -> Iterator[None]:
    """Put the name of a file before what is wrong with it."""
    try:
        yield
    except DataError as error:
        raise DataError(_complaint(file, error)) from error
    except ResourceError as error:
        raise ResourceError(_complaint(file, error)) from None
    except OSError as error:
        raise unreadable(file.location, error) from error


def _complaint(file: StoredFile, error: Exception) -> str:
    text = str(error)
    if len(text) > _LONGEST_COMPLAINT:
        # What is wrong comes first, the remedy last; between them is a quoted file.
        text = f"{text[:600]} [...] {text[-300:]}"
    return f"{file.location}: {text}"


def _divided(file: StoredFile, wanted: Wanted, layout: Layout) -> Iterator[Fragment]:
    width, rows = layout.width, layout.num_rows
    if rows is None or len(layout.cuts) == 0:
        spans = [Span(stop=rows, width=width)]
    else:
        spans = _spans(layout.cuts, rows, max(1, _NUMBERS // max(width, 1)), width)
    for span in spans:
        share = 1.0 if rows is None else ((span.stop or rows) - span.start) / rows
        yield Fragment(
            file=file,
            wanted=wanted,
            num_classes=layout.num_classes,
            span=span,
            size=round(file.size * share),
            has_checksums=layout.has_checksums,
        )


def _spans(cuts: Sequence[int], num_rows: int, most: int, width: int) -> list[Span]:
    """Divide rows evenly, at cuts, into parts of at most so many where cuts allow."""
    # A damaged file may declare any number of rows.
    count = min(ceil(num_rows / most), _MOST_FRAGMENTS)
    # The last cut at or before each even division.
    even = [k * num_rows // count for k in range(count)]
    first = np.unique(np.searchsorted(np.asarray(cuts), even, side="right") - 1)
    starts = [cuts[i] for i in first]
    ends = [*first[1:], len(cuts)]
    return [
        Span(start, stop, range(int(a), int(b)), width)
        for start, stop, a, b in zip(
            starts, [*starts[1:], num_rows], first, ends, strict=True
        )
    ]


def _refuse_another_problem(first: Layout, layout: Layout) -> None:
    if layout.num_classes != first.num_classes:
        msg = (
            f"{layout.num_classes} classes, but {first.num_classes} in what came "
            "before. Evaluate each problem for itself."
        )
        raise DataError(msg)
    if layout.kind != first.kind:
        msg = (
            f"holds {layout.kind}, but {first.kind} came before. Say which with --kind."
        )
        raise DataError(msg)


FORMATS: dict[str, tuple[LayoutOf, ChunksOf]] = {
    ".npz": (npz_layout, npz_chunks),
    ".npy": (npy_layout, npy_chunks),
    ".csv": (csv_layout, csv_chunks),
    ".parquet": (parquet_layout, parquet_chunks),
    ".arrow": (ipc_layout, ipc_chunks),
    ".feather": (ipc_layout, ipc_chunks),
    ".safetensors": (safetensors_layout, safetensors_chunks),
}
