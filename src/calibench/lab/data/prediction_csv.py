"""Predictions in `.csv`, some lines at a time."""

import csv
import io
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from typing import Any

import numpy as np

from calibench.errors import DataError
from calibench.lab.data.prediction_layout import (
    Layout,
    RawChunk,
    Span,
    Wanted,
    choose_columns,
    rows_at_a_time,
)
from calibench.lab.data.prediction_source import StoredFile


def csv_layout(file: StoredFile, wanted: Wanted) -> Layout:
    """What a header declares: `label` and a column for each class.

    Raises:
        DataError: It is cut, damaged or something else.
    """
    with opened_csv(file) as (_, lines):
        kind, _, columns = choose_columns(next(lines, []), wanted)
        return Layout(kind, len(columns), num_rows=None)


def csv_chunks(file: StoredFile, wanted: Wanted, span: Span) -> Iterator[RawChunk]:
    """Read the lines, always from the first: where one begins, only they can tell.

    Raises:
        DataError: It is cut, damaged or something else; the message names the line.
    """
    start, done = span.start, 0
    with opened_csv(file) as (stream, lines):
        header: list[str] = next(lines, [])
        kind, label, names = choose_columns(header, wanted)
        places = {name: c for c, name in enumerate(header)}
        label_column, columns = places[label], [places[name] for name in names]
        rows = whole_rows(lines, len(header))
        at_a_time = rows_at_a_time(len(columns))
        while True:
            values, labels = array("d"), array("q")
            groups, weights = [], array("d")
            for row in islice(rows, at_a_time):
                line = lines.line_num
                labels.append(_label_in(row[label_column], line))
                values.extend(number_in(row[c], header[c], line) for c in columns)
                if wanted.by is not None:
                    groups.append(row[places[wanted.by]])
                if wanted.weights is not None:
                    cell = row[places[wanted.weights]]
                    weights.append(number_in(cell, wanted.weights, line))
            if not labels:
                return
            read, done = stream.tell() - done, stream.tell()
            yield RawChunk(
                kind,
                np.frombuffer(values, dtype=np.float64).reshape(-1, len(columns)),
                np.frombuffer(labels, dtype=np.int64),
                np.array(groups, dtype=np.str_) if wanted.by is not None else None,
                start,
                read,
                np.frombuffer(weights) if wanted.weights is not None else None,
            )
            start += len(labels)


@contextmanager
def opened_csv(file: StoredFile) -> Iterator[tuple[BufferedReader, Any]]:
    """Open a file whose last line ends, as bytes and as rows of cells."""
    try:
        with file.open() as stream:
            stream.seek(-1, io.SEEK_END)
            if stream.read() not in {b"\n", b"\r"}:
                msg = "the last line has no line end, so it may be cut. Add one if not."
                raise DataError(msg)
            stream.seek(0)
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            yield stream, csv.reader(text, strict=True)
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"not a readable CSV file: {error}. Write it in UTF-8, quotes closed."
        raise DataError(msg) from error


def whole_rows(
    lines: Any,  # noqa: ANN401 - the type of a csv.reader has no name
    width: int,
) -> Iterator[list[str]]:
    """Refuse rows that are shorter or longer than the header."""
    # The reader's own line_num counts physical lines, as an editor does.
    for row in lines:
        if len(row) != width:
            msg = (
                f"line {lines.line_num} has {len(row)} cells, the header {width}. "
                "Give each line one cell per column; quote a cell that has a comma."
            )
            raise DataError(msg)
        yield row


def number_in(cell: str, column: str, line: int) -> float:
    """Read a cell of a column of numbers."""
    # float() also takes underscores and the digits of every script.
    if cell.isascii() and "_" not in cell:
        try:
            return float(cell)
        except ValueError:
            pass
    msg = (
        f"line {line}, {column}: {_short(cell)} is not a number. Write it as 0.25 or "
        "2.5e-1, or drop the line."
    )
    raise DataError(msg)


def _label_in(cell: str, line: int) -> int:
    digits = cell.strip()
    # A class id of 18 digits is out of range, but still fits the array.
    if digits.isascii() and digits.isdigit() and len(digits) <= 18:
        return int(digits)
    msg = (
        f"line {line}, label: {_short(cell)} is no class id. "
        "Write whole numbers from 0, without a decimal point."
    )
    raise DataError(msg)


def _short(cell: str) -> str:
    return repr(cell) if len(cell) <= 40 else f"{cell[:40]!r}..."
