"""Read predictions from files: strict, bounded by declared sizes, never unpickling."""

import csv
import errno
import io
import tokenize
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from calibench.errors import DataError, ResourceError
from calibench.predictions import Predictions
from calibench.validation import member

# What `open` returns, and what a zip archive does.
Stream: TypeAlias = IO[bytes] | io.BufferedIOBase

KINDS = ("logits", "probs")
_COLUMN_PREFIX = {"logits": "logit_", "probs": "prob_"}

# Numbers compress a little; a file that claims to unfold a hundredfold, and to more
# than this, is built to exhaust memory.
_LARGEST_EXPANSION = 100
_UNSUSPICIOUS_BYTES = 2**28

# What zipfile, zlib and numpy's header parser raise on damaged input.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    SyntaxError,
    EOFError,
    RuntimeError,
    ValueError,
    KeyError,
)


def read_predictions(path: Path | str, *, kind: str | None = None) -> Predictions:
    """Read predictions and labels from a `.npz` or `.csv` file.

    `.npz`: an array `logits` or `probs`, one row per example, and an array `labels`;
    other arrays are left alone. `.csv`: a header with `label` and `logit_0`,
    `logit_1`, ... or `prob_0`, `prob_1`, ..., in any order, other columns left alone;
    `logit_1` or `prob_1` by itself is a binary problem.

    Args:
        path: The file.
        kind: "logits" or "probs". Needed only where a file holds both: which of the
            two the numbers are is told by names, never guessed from values.

    Raises:
        DataError: The file is missing, damaged or cut, or its contents are no
            predictions; the message names the file and the row.
        ParameterError: There is no such kind.
        ResourceError: The file may not be read.
    """
    path = Path(path)
    if kind is not None:
        member(kind, KINDS, "kind")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        suffix, known = path.suffix or "no suffix", ", ".join(READERS)
        msg = f"{path}: cannot read {suffix!r}; give one of {known}."
        raise DataError(msg)
    try:
        refuse_absent(path)
        return reader(path, kind)
    except DataError as error:
        msg = f"{path}: {error}"
        raise DataError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise ResourceError(msg) from error


def refuse_absent(path: Path) -> None:
    """Refuse a path at which there is no file with contents."""
    if path.is_dir():
        msg = "is a folder, not a file."
        raise DataError(msg)
    if not path.exists():
        msg = "does not exist."
        raise DataError(msg)
    if path.stat().st_size == 0:
        msg = "the file is empty."
        raise DataError(msg)


def _read_npz(path: Path, kind: str | None) -> Predictions:
    try:
        with zipfile.ZipFile(path) as archive:
            chosen = choose_array(archive.namelist(), kind)
            values = _read_array(archive, chosen)
            labels = _read_array(archive, "labels")
    except DataError:
        raise
    except (*DAMAGE, OSError) as error:
        # A damaged directory of the archive sends the reader to impossible places.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        msg = f"not a readable .npz archive ({error}). Write it again with numpy.savez."
        raise DataError(msg) from error
    return _build(chosen, values, labels)


def choose_array(names: list[str], kind: str | None) -> str:
    """Choose the array of predictions among the names of an archive."""
    if len(set(names)) < len(names):
        msg = "two arrays have the same name."
        raise DataError(msg)
    keys = [name.removesuffix(".npy") for name in names]
    chosen = choose_kind([k for k in KINDS if k in keys], kind, keys)
    if "labels" not in keys:
        msg = f"no array 'labels' among {', '.join(keys)}."
        raise DataError(msg)
    return chosen


def _read_array(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    info = archive.getinfo(f"{key}.npy")
    with archive.open(info) as stream:
        shape, is_fortran, dtype = npy_header(stream, key, info.file_size)
        start = stream.tell()
    size = prod(shape) * dtype.itemsize
    expanded = size > _LARGEST_EXPANSION * max(info.compress_size, 1)
    if expanded and size > _UNSUSPICIOUS_BYTES:
        msg = (
            f"{key} would unfold {info.compress_size:,} bytes into {size:,}. Store it "
            "uncompressed if that is meant."
        )
        raise DataError(msg)
    # Reading a member whole checks its CRC.
    flat = np.frombuffer(archive.read(info), dtype=dtype, offset=start)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def npy_header(
    stream: Stream, key: str, stored: int
) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of an array, which declares as many bytes as are stored."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        msg = f"{key}.npy has .npy version {version}, not 1.0 or 2.0."
        raise DataError(msg)
    shape, is_fortran, dtype = readers[version](stream)
    if dtype.kind not in "biuf":
        msg = f"{key}.npy must hold real numbers, got dtype {dtype}."
        raise DataError(msg)
    size = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or stream.tell() + size != stored:
        msg = (
            f"{key} declares {size:,} bytes but {stored:,} are stored: the file is cut "
            "or damaged."
        )
        raise DataError(msg)
    return shape, is_fortran, dtype


def refuse_cut_end(path: Path) -> None:
    """Refuse a text file whose last line does not end."""
    with path.open("rb") as stream:
        stream.seek(-1, 2)
        if stream.read() not in {b"\n", b"\r"}:
            msg = "the last line has no line end, so it may be cut. Add one if not."
            raise DataError(msg)


def _read_csv(path: Path, kind: str | None) -> Predictions:
    refuse_cut_end(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            lines = csv.reader(text, strict=True)
            header = next(lines)
            chosen, label_column, columns = choose_columns(header, kind)
            values, labels = array("d"), array("q")
            for row in whole_rows(lines, len(header)):
                line = lines.line_num
                labels.append(label_in(row[label_column], line))
                values.extend(number_in(row[c], header[c], line) for c in columns)
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"not a readable CSV file: {error}"
        raise DataError(msg) from error
    matrix = np.frombuffer(values, dtype=np.float64).reshape(-1, len(columns))
    return _build(chosen, matrix, np.frombuffer(labels, dtype=np.int64))


def choose_columns(header: list[str], kind: str | None) -> tuple[str, int, list[int]]:
    """Find the kind, the label's column and those of the classes in a header."""
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        msg = f"the header repeats {', '.join(repeated)}."
        raise DataError(msg)
    present = [
        k for k in KINDS if any(name.startswith(_COLUMN_PREFIX[k]) for name in header)
    ]
    chosen = choose_kind(present, kind, header)
    if "label" not in header:
        msg = f"no column 'label' among {', '.join(header)}."
        raise DataError(msg)
    prefix = _COLUMN_PREFIX[chosen]
    count = sum(name.startswith(prefix) for name in header)
    expected = [f"{prefix}{k}" for k in range(count)]
    if count == 1 and f"{prefix}1" in header:
        expected = [f"{prefix}1"]
    elif count == 1:
        msg = f"one class column, {prefix}0: give {prefix}1 for a binary problem."
        raise DataError(msg)
    missing = [name for name in expected if name not in header]
    if missing:
        msg = f"{count} columns {prefix}..., but no {missing[0]}: number them from 0."
        raise DataError(msg)
    return chosen, header.index("label"), [header.index(name) for name in expected]


def choose_kind(present: list[str], kind: str | None, found: list[str]) -> str:
    """Choose among the kinds that a file holds."""
    if kind is None and len(present) == 1:
        return present[0]
    if kind in present:
        return kind
    if kind is None and present:
        msg = "holds both logits and probs. Say which with kind (--kind)."
        raise DataError(msg)
    wanted = kind or "neither logits nor probs"
    msg = f"{'no ' if kind else ''}{wanted} among {', '.join(found) or 'nothing'}."
    raise DataError(msg)


def whole_rows(lines: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    """Refuse rows that are shorter or longer than the header."""
    # The reader's own line_num counts physical lines, as an editor does.
    for row in lines:
        if len(row) != width:
            number = getattr(lines, "line_num", "?")
            msg = f"line {number} has {len(row)} cells, the header {width}."
            raise DataError(msg)
        yield row


def number_in(cell: str, column: str, line: int) -> float:
    """Read a cell of a class column."""
    # float() also takes underscores and the digits of every script.
    if cell.isascii() and "_" not in cell:
        try:
            return float(cell)
        except ValueError:
            pass
    msg = f"line {line}, {column}: {cell!r} is not a number."
    raise DataError(msg)


def label_in(cell: str, line: int) -> int:
    """Read a cell of the label's column."""
    digits = cell.strip()
    # A class id of 18 digits is out of range, but still fits the array.
    if digits.isascii() and digits.isdigit() and len(digits) <= 18:
        return int(digits)
    msg = f"line {line}, label: {cell!r} is no class id (a whole number from 0)."
    raise DataError(msg)


def _build(kind: str, values: np.ndarray, labels: np.ndarray) -> Predictions:
    if kind == "logits":
        return Predictions.from_logits(values, labels)
    return Predictions.from_probs(values, labels)


Reader: TypeAlias = Callable[[Path, str | None], Predictions]
READERS: dict[str, Reader] = {".npz": _read_npz, ".csv": _read_csv}
