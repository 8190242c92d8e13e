"""Read the truth about examples from files: a posterior, or counts of judges."""

from array import array
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import TypeAlias, cast
from zipfile import ZipFile

import numpy as np

from calibench.errors import DataError
from calibench.lab.data.prediction_arrays import (
    Stream,
    stored_array,
)
from calibench.lab.data.prediction_arrow import damage
from calibench.lab.data.prediction_csv import number_in, opened_csv, whole_rows
from calibench.lab.data.prediction_damage import DAMAGE, archive_damage
from calibench.lab.data.prediction_fragments import named
from calibench.lab.data.prediction_layout import blocks_of
from calibench.lab.data.prediction_listing import files_among
from calibench.lab.data.prediction_source import StoredFile, arrow_module
from calibench.metrics import Truth
from calibench.validation import member

_PREFIX = {"posterior": "posterior_", "counts": "count_"}
_MAKE = {"posterior": Truth.from_posterior, "counts": Truth.from_counts}
# Half a gigabyte in float64.
_MOST_NUMBERS = 2**26

Read: TypeAlias = tuple[str, np.ndarray]


def read_truth(path: Path | str, *, kind: str | None = None) -> Truth:
    """Read P(class | x), or how many judges chose each class, of the same examples.

    `.npz`: an array `posterior` or `counts`, one row per example, one column per class.
    `.npy`: such an array in a file whose name ends in `posterior.npy` or `counts.npy`,
    or whose kind is given. `.csv` and `.parquet`: columns `posterior_0`,
    `posterior_1`, ... or `count_0`, `count_1`, ...; others are left alone.

    Args:
        path: The file, or its URL.
        kind: "posterior" or "counts", where the file holds both or does not say.

    Raises:
        DataError: The file is missing, damaged or cut, or its contents are no truth;
            the message names the file and the row.
        ParameterError: There is no such kind.
        ResourceError: The file may not be read.
    """
    if kind is not None:
        member(kind, tuple(_PREFIX), "kind of truth")
    files = files_among([path])
    if len(files) > 1 or files[0].suffix not in _READERS:
        msg = f"{path}: a truth is one file; give one of {', '.join(_READERS)}."
        raise DataError(msg)
    with named(files[0]):
        found, values = _READERS[files[0].suffix](files[0], kind)
        return _MAKE[found](values)


def _choose(kind: str | None, present: Sequence[str], found: Sequence[str]) -> str:
    if len(set(found)) < len(found):
        msg = "two columns or arrays have the same name. Write it again."
        raise DataError(msg)
    if kind is None and len(present) == 1:
        return present[0]
    if kind in present:
        return cast("str", kind)
    if len(present) > 1:
        msg = "holds both a posterior and counts. Say which with --truth-kind."
        raise DataError(msg)
    wanted = kind or "neither posterior nor counts"
    msg = f"{'no ' if kind else ''}{wanted} among {', '.join(found) or 'nothing'}."
    raise DataError(msg)


def _of_npz(file: StoredFile, kind: str | None) -> Read:
    with archive_damage(), file.open() as stream, ZipFile(stream) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        chosen = _choose(kind, [k for k in _PREFIX if k in names], names)
        info = archive.getinfo(f"{chosen}.npy")
        with archive.open(info) as inside:
            return chosen, _array(chosen, cast("Stream", inside), info.file_size)


def _of_npy(file: StoredFile, kind: str | None) -> Read:
    declared = next((k for k in _PREFIX if file.stem.endswith(k)), None)
    if declared is None and kind is None:
        msg = (
            "does not say what it holds: name it ..._posterior.npy or ..._counts.npy, "
            "or say so with --truth-kind."
        )
        raise DataError(msg)
    if declared and kind not in {None, declared}:
        msg = f"is named {declared}, and declared as {kind}. Which of the two is it?"
        raise DataError(msg)
    chosen = cast("str", kind or declared)
    try:
        with file.open() as stream:
            return chosen, _array(chosen, stream, file.size)
    except DataError:
        raise
    except DAMAGE as error:
        msg = f"not a readable .npy file ({error}). Write it again with numpy.save."
        raise DataError(msg) from error


def _array(name: str, stream: Stream, stored: int) -> np.ndarray:
    whole = stored_array(stream, name, stored)
    _refuse_large(prod(whole.shape))
    if len(whole.shape) not in {1, 2}:
        msg = f"{name} must have one row per example, got shape {whole.shape}."
        raise DataError(msg)
    parts = whole.blocks(blocks_of(range(whole.shape[0]), whole.width))
    return np.concatenate([np.empty((0, *whole.shape[1:]), whole.dtype), *parts])


def _of_csv(file: StoredFile, kind: str | None) -> Read:
    values = array("d")
    with opened_csv(file) as (_, lines):
        header: list[str] = next(lines, [])
        chosen, columns = _columns(header, kind)
        for row in whole_rows(lines, len(header)):
            line = lines.line_num
            values.extend(number_in(row[c], header[c], line) for c in columns)
            _refuse_large(len(values))
    return chosen, np.frombuffer(values, dtype=np.float64).reshape(-1, len(columns))


def _columns(header: list[str], kind: str | None) -> tuple[str, list[int]]:
    present = [k for k, p in _PREFIX.items() if any(n.startswith(p) for n in header)]
    chosen = _choose(kind, present, header)
    prefix = _PREFIX[chosen]
    count = sum(name.startswith(prefix) for name in header)
    names = [f"{prefix}{k}" for k in range(count)]
    wrong = [name for name in names if header.count(name) != 1]
    if wrong:
        msg = f"{count} columns {prefix}..., of which {wrong[0]} must be one."
        raise DataError(msg)
    return chosen, [header.index(name) for name in names]


def _of_parquet(file: StoredFile, kind: str | None) -> Read:
    pq = arrow_module("pyarrow.parquet")
    with damage("Parquet file"), file.open() as stream:
        table = pq.ParquetFile(stream, page_checksum_verification=True)
        header = list(table.schema_arrow.names)
        chosen, columns = _columns(header, kind)
        _refuse_large(table.metadata.num_rows * len(columns))
        names = [header[c] for c in columns]
        read = table.read(columns=names, use_threads=False)
        gaps = [name for name in names if read.column(name).null_count]
        if gaps:
            row = read.column(gaps[0]).is_null().to_pylist().index(True)
            msg = f"{gaps[0]}: no value in row {row} (counted from 0). Fill or drop it."
            raise DataError(msg)
        return chosen, np.stack([read.column(name).to_numpy() for name in names], 1)


def _refuse_large(count: int) -> None:
    if count > _MOST_NUMBERS:
        msg = f"more than {_MOST_NUMBERS:,} numbers, and all are held in memory."
        raise DataError(msg)


_READERS: dict[str, Callable[[StoredFile, str | None], Read]] = {
    ".npz": _of_npz,
    ".npy": _of_npy,
    ".csv": _of_csv,
    ".parquet": _of_parquet,
}
