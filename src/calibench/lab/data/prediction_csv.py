"""Predictions in `.csv`, some lines at a time."""

import csv
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from calibench.errors import DataError
from calibench.lab.data.prediction_chunks import CHUNK, RawChunk
from calibench.lab.data.prediction_files import (
    choose_columns,
    label_in,
    number_in,
    refuse_cut_end,
    whole_rows,
)


def csv_chunks(path: Path, kind: str | None, by: str | None) -> Iterator[RawChunk]:
    """Read a header with `label` and a column for each class, and its lines.

    Raises:
        DataError: It is cut, damaged or something else; the message names the line.
    """
    refuse_cut_end(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            lines = csv.reader(text, strict=True)
            header = next(lines)
            chosen, label_column, columns = choose_columns(header, kind)
            if by is not None and by not in header:
                msg = f"no column {by!r} among {', '.join(header)}."
                raise DataError(msg)
            rows = whole_rows(lines, len(header))
            at_a_time = max(1, CHUNK // len(columns))
            while True:
                values, labels, groups = array("d"), array("q"), []
                for row in islice(rows, at_a_time):
                    line = lines.line_num
                    labels.append(label_in(row[label_column], line))
                    values.extend(number_in(row[c], header[c], line) for c in columns)
                    if by is not None:
                        groups.append(row[header.index(by)])
                if not labels:
                    return
                yield RawChunk(
                    chosen,
                    np.frombuffer(values, dtype=np.float64).reshape(-1, len(columns)),
                    np.frombuffer(labels, dtype=np.int64),
                    np.array(groups, dtype=np.str_) if by is not None else None,
                )
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"not a readable CSV file: {error}"
        raise DataError(msg) from error
