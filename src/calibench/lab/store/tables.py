"""Columns of numbers to and from Parquet, by DuckDB, with no pandas and no pyarrow."""

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import duckdb
import numpy as np

from calibench.errors import DataError

Columns = dict[str, np.ndarray]


def parquet_bytes(columns: Mapping[str, np.ndarray]) -> bytes:
    """Return a Parquet file; the same columns give the same bytes.

    Text columns must hold few distinct values: they are stored as a dictionary.
    """
    connection = _connection()
    table = {name: _storable(column) for name, column in columns.items()}
    connection.register("columns_to_write", table)
    # DuckDB writes to a path only, and never fsyncs; the caller does both properly.
    with tempfile.TemporaryDirectory(prefix="calibench-") as folder:
        path = Path(folder) / "table.parquet"
        try:
            connection.execute(
                f"COPY columns_to_write TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
            )
        finally:
            connection.unregister("columns_to_write")
        return path.read_bytes()


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
    return duckdb.connect(":memory:", config={"threads": 1})


def _storable(column: np.ndarray) -> np.ndarray:
    is_text = column.dtype.kind in "US"
    return column.astype(object) if is_text else np.ascontiguousarray(column)
