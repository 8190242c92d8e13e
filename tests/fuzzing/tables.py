"""Prediction files in Parquet and Arrow: valid in many layouts, and of other types."""

import io
import struct
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fuzzing.case import Case, Examples
from fuzzing.examples import drawn, spoiled

_CODECS = ["none", "snappy", "zstd", "gzip", "brotli", "lz4"]
_IPC_CODECS = [None, None, "lz4", "zstd"]


def parquet_bytes(table: pa.Table, rng: Random) -> bytes:
    stream = io.BytesIO()
    pq.write_table(
        table,
        stream,
        row_group_size=rng.choice([1, 2, 3, 100]),
        compression=rng.choice(_CODECS),
        use_dictionary=rng.random() < 0.5,
        data_page_version=rng.choice(["1.0", "2.0"]),
        write_page_checksum=rng.random() < 0.5,
        write_statistics=rng.random() < 0.5,
        store_schema=rng.random() < 0.7,
    )
    return stream.getvalue()


def arrow_bytes(table: pa.Table, rng: Random) -> bytes:
    stream = io.BytesIO()
    new = rng.choice([pa.ipc.new_file, pa.ipc.new_file, pa.ipc.new_stream])
    options = pa.ipc.IpcWriteOptions(compression=rng.choice(_IPC_CODECS))
    with new(stream, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rng.choice([1, 2, 100]))
    return stream.getvalue()


WRITERS = {"parquet": parquet_bytes, "arrow": arrow_bytes}


def valid(some: Examples, rng: Random, suffix: str) -> dict[str, bytes]:
    """A file that says the same: one column a class, or one of lists."""
    return {f"a.{suffix}": WRITERS[suffix](_table(some, rng), rng)}


def structured(rng: Random, suffix: str) -> Case:
    """A file of which one thing is known: that it must be read, or refused."""
    change = rng.choice(["valid", "spoiled", "footer", *_CHANGES])
    if change == "spoiled":
        some, why = spoiled(rng)
        return Case(valid(some, rng, suffix), "refused", why, some)
    some = drawn(rng)
    if change == "valid":
        return Case(valid(some, rng, suffix), "same", change, some)
    table = _table(some, rng)
    if change == "footer":
        content = _other_footer(WRITERS[suffix](table, rng), rng)
        return Case({f"a.{suffix}": content}, "any", change, some)
    expected, table = _CHANGES[change](table, some, rng)
    return Case({f"a.{suffix}": WRITERS[suffix](table, rng)}, expected, change, some)


def _table(some: Examples, rng: Random) -> pa.Table:
    if some.values.shape[1] > 1 and rng.random() < 0.4:
        columns = {"labels": some.labels, some.kind: _lists(some, rng)}
    else:
        prefix = some.kind.removesuffix("s")
        numbers = {f"{prefix}_{k}": c for k, c in enumerate(some.values.T.copy())}
        columns = {"label": some.labels} | numbers
    if rng.random() < 0.3:
        columns["note"] = ["=1+1"] * len(some.labels)
    names = rng.sample(list(columns), len(columns))
    return pa.table({name: columns[name] for name in names})


def _lists(some: Examples, rng: Random) -> pa.Array:
    flat = pa.array(some.values.ravel())
    width = some.values.shape[1]
    if rng.random() < 0.5:
        return pa.FixedSizeListArray.from_arrays(flat, width)
    kind = rng.choice([pa.ListArray, pa.LargeListArray])
    ends = np.arange(len(some.labels) + 1, dtype="i4" if kind is pa.ListArray else "i8")
    return kind.from_arrays(pa.array(ends * width), flat)


def _other_type(table: pa.Table, some: Examples, rng: Random) -> tuple[str, pa.Table]:
    """A column of some other type; only the note may be of any."""
    name = rng.choice(table.column_names)
    rows = table.num_rows
    column = rng.choice(
        [
            pa.array(["0.5"] * rows),
            pa.array([b"\xff"] * rows),
            pa.nulls(rows),
            pa.array([{"a": 0.5}] * rows),
            pa.array([[[0.5, 0.5]]] * rows),
            pa.array([[]] * rows, pa.list_(pa.float64())),
            pa.array([["x", "y"]] * rows),
            pa.array([[None, 0.5]] * rows, pa.list_(pa.float64())),
            pa.array([0] * rows, pa.timestamp("us")),
            pa.array([[("k", 1)]] * rows, pa.map_(pa.string(), pa.int64())),
        ]
    )
    return "any" if name == "note" else "refused", _with(table, name, column)


def _odd_type(table: pa.Table, some: Examples, rng: Random) -> tuple[str, pa.Table]:
    """A column of a type that could be read as numbers, or not."""
    name = rng.choice(table.column_names)
    zeros = [0] * table.num_rows
    types = [pa.float16(), pa.uint64(), pa.int8(), pa.decimal128(5, 2), pa.date32()]
    column = rng.choice(
        [
            pa.array(zeros, rng.choice(types)),
            pa.array([False] * table.num_rows),
            pa.array(zeros, pa.int64()).dictionary_encode(),
        ]
    )
    return "any", _with(table, name, column)


def _missing(table: pa.Table, some: Examples, rng: Random) -> tuple[str, pa.Table]:
    """A cell without a value, which is no NaN and no 0."""
    names = [n for n in table.column_names if n != "note"]
    name = rng.choice(names)
    cells = table.column(name).to_pylist()
    cells[rng.randrange(len(cells))] = None
    column = pa.array(cells, table.schema.field(name).type)
    return "refused", _with(table, name, column)


def _ragged(table: pa.Table, some: Examples, rng: Random) -> tuple[str, pa.Table]:
    """Lists of which one is longer or shorter than the others."""
    lists = some.values.tolist()
    row = rng.randrange(len(lists))
    lists[row] = rng.choice([lists[row][:-1], [*lists[row], 0.0], []])
    if len(lists) == 1:
        lists.append([0.5] * 9)
    labels = np.zeros(len(lists), dtype=np.int64)
    return "refused", pa.table({"labels": labels, some.kind: pa.array(lists)})


def _doubled(table: pa.Table, some: Examples, rng: Random) -> tuple[str, pa.Table]:
    """Two columns of one name."""
    names = [n for n in table.column_names if n != "note"]
    name = rng.choice(names)
    return "refused", table.append_column(name, table.column(name))


def _renamed(table: pa.Table, some: Examples, rng: Random) -> tuple[str, pa.Table]:
    """A column under a name that is no class and no label."""
    names = table.column_names
    i = rng.randrange(len(names))
    names[i] = rng.choice(["", "x", names[i].upper(), '"; --', "\x1b[2J", "a" * 3000])
    return "any", table.rename_columns(names)


def _deep(table: pa.Table, some: Examples, rng: Random) -> tuple[str, pa.Table]:
    """A column of lists of lists of lists."""
    deep = pa.array([0.5] * table.num_rows)
    for _ in range(rng.choice([2, 30])):
        deep = pa.ListArray.from_arrays(
            pa.array(range(table.num_rows + 1), pa.int32()), deep
        )
    name = rng.choice([some.kind, "note"])
    kept = [n for n in table.column_names if n != name]
    return "any", table.select(kept).append_column(name, deep)


def _splits(table: pa.Table, some: Examples, rng: Random) -> tuple[str, pa.Table]:
    """Rows of several splits, which are not to be mixed."""
    splits = [rng.choice(["test", "train", None]) for _ in range(table.num_rows)]
    several = len({split for split in splits if split}) > 1
    column = pa.array(splits, pa.string())
    return "refused" if several else "any", table.append_column("split", column)


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _other_footer(content: bytes, rng: Random) -> bytes:
    """Edit the metadata of a Parquet file, its declared length fixed up."""
    length = struct.unpack("<I", content[-8:-4])[0]
    if content[-4:] != b"PAR1" or length + 12 > len(content):
        return content[: -rng.choice([1, 6, 10])] + rng.randbytes(rng.choice([0, 4]))
    body, footer = content[: -8 - length], bytearray(content[-8 - length : -8])
    at = rng.randrange(len(footer))
    change = rng.choice(["flip", "drop", "insert", "cut"])
    if change == "flip":
        footer[at] ^= 1 << rng.randrange(8)
    elif change == "drop":
        del footer[at : at + rng.choice([1, 2, 8])]
    elif change == "insert":
        footer[at:at] = rng.choice([b"\xff" * 9, b"\x7f", rng.randbytes(5)])
    else:
        footer = footer[:at]
    return body + bytes(footer) + struct.pack("<I", len(footer)) + b"PAR1"


_CHANGES = {
    "other type": _other_type,
    "odd type": _odd_type,
    "missing value": _missing,
    "ragged lists": _ragged,
    "two of one name": _doubled,
    "renamed": _renamed,
    "deep": _deep,
    "splits": _splits,
}
