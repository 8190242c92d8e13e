"""Predictions in `.parquet`, some rows at a time, by DuckDB alone."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np

from calibench.errors import DataError
from calibench.lab.data.prediction_chunks import RawChunk
from calibench.lab.data.prediction_files import KINDS, choose_columns, choose_kind

# DuckDB's own row group; a part of one costs nearly as much as all of it.
_ROW_GROUP = 122_880
_NUMBERS = 2**22
_FILE = "FROM read_parquet($path)"
_ROWS = (
    "FROM read_parquet($path, file_row_number = true) "
    "WHERE file_row_number >= $start AND file_row_number < $stop "
    "ORDER BY file_row_number"
)


def parquet_chunks(path: Path, kind: str | None, by: str | None) -> Iterator[RawChunk]:
    """Read `label` with a column for each class, or with a column of lists.

    A file with a column `split` must be of one split, unless it is grouped by it.

    Raises:
        DataError: It is damaged, or something else.
    """
    try:
        with duckdb.connect(":memory:", config={"threads": 1}) as connection:
            yield from _Table(connection, path).chunks(kind, by)
    except duckdb.Error as error:
        msg = f"not a readable Parquet file ({error})."
        raise DataError(msg) from error


class _Table:
    """A Parquet file under a connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        self.connection = connection
        self.path = str(path)
        described = self._execute(f"DESCRIBE SELECT * {_FILE}").fetchall()
        self.types: dict[str, str] = {name: kind for name, kind, *_ in described}

    def chunks(self, kind: str | None, by: str | None) -> Iterator[RawChunk]:
        if by is not None and by not in self.types:
            msg = f"no column {by!r} among {', '.join(self.types)}."
            raise DataError(msg)
        if by is None and "split" in self.types:
            self._refuse_several_splits()
        chosen, label, columns, width = self._layout(kind)
        step = max(1, min(_ROW_GROUP, _NUMBERS // width))
        # One row more or less than the file says would be seen as a short last part.
        (num_rows,) = self._only_row(f"SELECT count(*) {_FILE}")
        for start in range(0, num_rows, step):
            labels, *values = self._columns([label, *columns], start, start + step)
            groups = None if by is None else self._groups(by, start, start + step)
            matrix = (
                np.stack(values, axis=1)
                if len(values) == width
                else _of_lists(values[0], width, start)
            )
            yield RawChunk(chosen, matrix, labels, groups)

    def _layout(self, kind: str | None) -> tuple[str, str, list[str], int]:
        """The kind, the column of labels, those of the classes, how many classes."""
        names = list(self.types)
        lists = [k for k in KINDS if self.types.get(k, "").endswith("]")]
        if not lists:
            chosen, label, columns = choose_columns(names, kind)
            return chosen, names[label], [names[c] for c in columns], len(columns)
        chosen = choose_kind(lists, kind, names)
        labels = [name for name in ("labels", "label") if name in names]
        if not labels:
            msg = f"no column 'labels' among {', '.join(names)}."
            raise DataError(msg)
        (width,) = self._only_row(f"SELECT coalesce(max(len({chosen})), 0) {_FILE}")
        if width < 2:
            msg = f"{chosen}: lists of at most {width} numbers; give one per class."
            raise DataError(msg)
        return chosen, labels[0], [chosen], width

    def _columns(self, names: list[str], start: int, stop: int) -> list[np.ndarray]:
        listed = ", ".join(f"{_quoted(name)} AS c{i}" for i, name in enumerate(names))
        fetched = self._part(listed, start, stop)
        for i, name in enumerate(names):
            gaps = np.ma.getmaskarray(fetched[f"c{i}"])
            if gaps.any():
                row = start + int(np.argmax(gaps))
                msg = f"{name}: no value in row {row} (counted from 0)."
                raise DataError(msg)
        return [np.asarray(fetched[f"c{i}"]) for i in range(len(names))]

    def _groups(self, by: str, start: int, stop: int) -> np.ndarray:
        listed = f"coalesce(CAST({_quoted(by)} AS VARCHAR), '') AS groups"
        return np.asarray(self._part(listed, start, stop)["groups"]).astype(np.str_)

    def _part(self, listed: str, start: int, stop: int) -> dict[str, np.ndarray]:
        return self._execute(
            f"SELECT {listed} {_ROWS}", start=start, stop=stop
        ).fetchnumpy()

    def _refuse_several_splits(self) -> None:
        (count,) = self._only_row(f"SELECT count(DISTINCT split) {_FILE}")
        if count > 1:
            msg = (
                f"holds {count} splits. Evaluate each for itself with by='split' "
                "(--by split)."
            )
            raise DataError(msg)

    def _only_row(self, query: str) -> tuple[int, ...]:
        return self._execute(query).fetchall()[0]

    def _execute(self, query: str, **values: int) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(query, {"path": self.path} | values)


def _of_lists(lists: np.ndarray, width: int, start: int) -> np.ndarray:
    lengths = np.array([len(each) for each in lists])
    if (lengths != width).any():
        row = int(np.argmax(lengths != width))
        msg = (
            f"row {start + row} (counted from 0) has {lengths[row]} numbers, "
            f"others {width}."
        )
        raise DataError(msg)
    if any(np.ma.is_masked(each) for each in lists):
        msg = f"a list in rows {start} to {start + len(lists) - 1} lacks a number."
        raise DataError(msg)
    return np.stack(list(lists))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
