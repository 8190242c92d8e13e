"""Predictions of files, folders and globs as one data set, in bounded memory."""

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from calibench.errors import DataError, ParameterError, ResourceError, RowError
from calibench.lab.data.prediction_chunks import (
    RawChunk,
    npy_chunks,
    npz_chunks,
    safetensors_chunks,
)
from calibench.lab.data.prediction_csv import csv_chunks
from calibench.lab.data.prediction_files import KINDS, refuse_absent
from calibench.predictions import Predictions
from calibench.validation import member

Reader: TypeAlias = Callable[[Path, str | None, str | None], Iterator[RawChunk]]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some examples of a data set.

    Attributes:
        predictions: The examples.
        groups: What the column of groups says of each, if one was asked for.
    """

    predictions: Predictions
    groups: np.ndarray | None = None


def stream_predictions(
    given: Sequence[Path | str], *, kind: str | None = None, by: str | None = None
) -> Iterator[Chunk]:
    """Read predictions some at a time, so that memory does not grow with their number.

    Checks are those of `read_predictions`. The sum of an archive is checked at its end:
    use nothing before the stream has ended.

    Args:
        given: Files, folders (their files of known suffix) and globs.
        kind: "logits" or "probs", where a file holds both.
        by: A column, or an array with one number per example, that names groups.

    Raises:
        DataError: A file is missing, damaged or cut, or its contents are no
            predictions, or not of the kind and classes of the others; the message
            names the file and the row.
        ParameterError: There is no such kind, or a file is given twice.
        ResourceError: A file may not be read.
    """
    if kind is not None:
        member(kind, KINDS, "kind")
    first: Predictions | None = None
    for path in files_among(given):
        try:
            for chunk in _checked(path, kind, by):
                first = first or chunk.predictions
                _refuse_another_problem(first, chunk.predictions)
                yield chunk
        except DataError as error:
            msg = f"{path}: {error}"
            raise DataError(msg) from error
        except OSError as error:
            msg = f"{path}: cannot be read: {error.strerror or error}"
            raise ResourceError(msg) from error


def joined(chunks: Sequence[Chunk]) -> Predictions:
    """The examples of all chunks, of which there is at least one, in order."""
    first = chunks[0].predictions
    return Predictions(
        np.concatenate([chunk.predictions.labels for chunk in chunks]),
        first.kind,
        np.concatenate([chunk.predictions.values for chunk in chunks]),
    )


def files_among(given: Sequence[Path | str]) -> list[Path]:
    """The files that are meant by files, folders and globs.

    Raises:
        DataError: There is none.
        ParameterError: A file is given twice.
    """
    found: list[Path] = []
    for each in given:
        path = Path(each)
        if path.is_dir():
            meant = [p for p in sorted(path.iterdir()) if _is_known(p)]
        elif path.exists() or not glob.has_magic(str(each)):
            meant = [path]
        else:
            # Path.glob takes no absolute pattern.
            names = glob.glob(str(each), recursive=True)  # noqa: PTH207
            meant = [Path(name) for name in sorted(names)]
        if not meant:
            msg = f"{each}: no files of predictions there ({', '.join(READERS)})."
            raise DataError(msg)
        found += meant
    resolved = [path.resolve() for path in found]
    for path in found:
        if resolved.count(path.resolve()) > 1:
            msg = f"{path}: given twice; its examples would count twice."
            raise ParameterError(msg)
    return found


def _is_known(path: Path) -> bool:
    # Of arrays that belong together, one stands for all.
    of_kind = path.suffix != ".npy" or path.stem.endswith(KINDS)
    return path.suffix.lower() in READERS and of_kind and path.is_file()


def _checked(path: Path, kind: str | None, by: str | None) -> Iterator[Chunk]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        suffix, known = path.suffix or "no suffix", ", ".join(READERS)
        msg = f"cannot read {suffix!r}; give one of {known}."
        raise DataError(msg)
    refuse_absent(path)
    start = 0
    for raw in reader(path, kind, by):
        is_logits = raw.kind == "logits"
        make = Predictions.from_logits if is_logits else Predictions.from_probs
        try:
            some = make(raw.values, raw.labels)
        except RowError as error:
            raise error.moved(start) from error
        yield Chunk(some, raw.groups)
        start += some.num_examples
    if start == 0:
        msg = "no rows. Give at least one example."
        raise DataError(msg)


def _refuse_another_problem(first: Predictions, some: Predictions) -> None:
    if some.num_classes != first.num_classes:
        msg = (
            f"{some.num_classes} classes, but {first.num_classes} in what came before."
        )
        raise DataError(msg)
    if some.kind != first.kind:
        msg = f"holds {some.kind}, but {first.kind} came before. Say which with --kind."
        raise DataError(msg)


def _parquet_chunks(path: Path, kind: str | None, by: str | None) -> Iterator[RawChunk]:
    # Other formats are read without DuckDB, which is an extra.
    from calibench.lab.data.prediction_parquet import parquet_chunks  # noqa: PLC0415

    return parquet_chunks(path, kind, by)


READERS: dict[str, Reader] = {
    ".npz": npz_chunks,
    ".npy": npy_chunks,
    ".csv": csv_chunks,
    ".parquet": _parquet_chunks,
    ".safetensors": safetensors_chunks,
}
