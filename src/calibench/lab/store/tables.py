"""Columns of numbers to and from Parquet, by DuckDB, with no pandas and no pyarrow."""

import atexit
import contextlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import duckdb
import numpy as np

from calibench.errors import DataError, ResourceError

Columns = dict[str, np.ndarray]


def parquet_bytes(columns: Mapping[str, np.ndarray], scratch: Path) -> bytes:
    """Return a Parquet file; the same columns give the same bytes.

    DuckDB writes to a path only, and never fsyncs: it writes to a file in the folder
    `scratch`, which is gone afterwards, and the caller puts the bytes on disk properly.

    Raises:
        ResourceError: The disk is full, the folder is read-only, ...
    """
    connection = _connection()
    table = {name: _storable(column) for name, column in columns.items()}
    path = scratch / ".table.unfinished"
    connection.register("columns_to_write", table)
    try:
        connection.execute(
            f"COPY columns_to_write TO '{_quoted(path)}' "
            "(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"
        )
        return path.read_bytes()
    except (duckdb.IOException, OSError) as error:
        msg = f"{scratch}: cannot be written to ({error}). Free the disk, and resume."
        raise ResourceError(msg) from error
    finally:
        connection.unregister("columns_to_write")
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def parquet_columns(path: Path) -> Columns:
    """Read every column of a Parquet file.

    Raises:
        DataError: The file is not Parquet.
    """
    try:
        fetched = (
            _connection()
            .execute("SELECT * FROM read_parquet(?)", [str(path)])
            .fetchnumpy()
        )
    except duckdb.Error as error:
        msg = f"{path}: not a readable Parquet file ({error})."
        raise DataError(msg) from error
    return {name: np.asarray(column) for name, column in fetched.items()}


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    # One thread: the row order, and so the bytes, must not depend on the machine.
    connection = duckdb.connect(":memory:", config={"threads": 1})
    # Left open, it is torn down with the interpreter, which prints leak warnings.
    atexit.register(_close)
    return connection


def _close() -> None:
    _connection().close()
    _connection.cache_clear()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _storable(column: np.ndarray) -> np.ndarray:
    is_text = column.dtype.kind in "US"
    return column.astype(object) if is_text else np.ascontiguousarray(column)
