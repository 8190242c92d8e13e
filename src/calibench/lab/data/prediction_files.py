"""Read predictions from files: strict, bounded by declared sizes, never unpickling."""

import csv
import errno
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import TypeAlias

import numpy as np

from calibench.errors import DataError, ResourceError
from calibench.predictions import Predictions
from calibench.validation import member

KINDS = ("logits", "probs")
_COLUMN_PREFIX = {"logits": "logit_", "probs": "prob_"}

# Numbers compress a little; a file that claims to unfold a hundredfold, and to more
# than this, is built to exhaust memory.
_LARGEST_EXPANSION = 100
_UNSUSPICIOUS_BYTES = 2**28

# What zipfile, zlib and numpy's header parser raise on damaged input.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, KeyError)


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
        _refuse_absent(path)
        return reader(path, kind)
    except DataError as error:
        msg = f"{path}: {error}"
        raise DataError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise ResourceError(msg) from error


def _refuse_absent(path: Path) -> None:
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
            chosen = _choose_array(archive.namelist(), kind)
            values = _read_array(archive, chosen)
            labels = _read_array(archive, "labels")
    except DataError:
        raise
    except (*_DAMAGE, OSError) as error:
        # A damaged directory of the archive sends the reader to impossible places.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        msg = f"not a readable .npz archive ({error}). Write it again with numpy.savez."
        raise DataError(msg) from error
    return _build(chosen, values, labels)


def _choose_array(names: list[str], kind: str | None) -> str:
    if len(set(names)) < len(names):
        msg = "two arrays have the same name."
        raise DataError(msg)
    keys = [name.removesuffix(".npy") for name in names]
    chosen = _choose_kind([k for k in KINDS if k in keys], kind, keys)
    if "labels" not in keys:
        msg = f"no array 'labels' among {', '.join(keys)}."
        raise DataError(msg)
    return chosen


def _read_array(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    info = archive.getinfo(f"{key}.npy")
    shape, is_fortran, dtype, start = _npy_header(archive, info)
    size = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or start + size != info.file_size:
        msg = (
            f"{key} declares {size:,} bytes but {info.file_size:,} are stored: the "
            "file is cut or damaged."
        )
        raise DataError(msg)
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


def _npy_header(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in readers:
            msg = f"{info.filename} has .npy version {version}, not 1.0 or 2.0."
            raise DataError(msg)
        shape, is_fortran, dtype = readers[version](stream)
        start = stream.tell()
    if dtype.kind not in "biuf":
        msg = f"{info.filename} must hold real numbers, got dtype {dtype}."
        raise DataError(msg)
    return shape, is_fortran, dtype, start


def _read_csv(path: Path, kind: str | None) -> Predictions:
    with path.open("rb") as stream:
        stream.seek(-1, 2)
        if stream.read() not in {b"\n", b"\r"}:
            msg = "the last line has no line end, so it may be cut. Add one if not."
            raise DataError(msg)
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            lines = csv.reader(text, strict=True)
            header = next(lines)
            chosen, label_column, columns = _choose_columns(header, kind)
            values, labels = array("d"), array("q")
            for row in _whole_rows(lines, len(header)):
                line = lines.line_num
                labels.append(_label(row[label_column], line))
                values.extend(_number(row[c], header[c], line) for c in columns)
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"not a readable CSV file: {error}"
        raise DataError(msg) from error
    matrix = np.frombuffer(values, dtype=np.float64).reshape(-1, len(columns))
    return _build(chosen, matrix, np.frombuffer(labels, dtype=np.int64))


def _choose_columns(header: list[str], kind: str | None) -> tuple[str, int, list[int]]:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        msg = f"the header repeats {', '.join(repeated)}."
        raise DataError(msg)
    present = [
        k for k in KINDS if any(name.startswith(_COLUMN_PREFIX[k]) for name in header)
    ]
    chosen = _choose_kind(present, kind, header)
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


def _choose_kind(present: list[str], kind: str | None, found: list[str]) -> str:
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


def _whole_rows(lines: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    # The reader's own line_num counts physical lines, as an editor does.
    for row in lines:
        if len(row) != width:
            number = getattr(lines, "line_num", "?")
            msg = f"line {number} has {len(row)} cells, the header {width}."
            raise DataError(msg)
        yield row


def _number(cell: str, column: str, line: int) -> float:
    # float() also takes underscores and the digits of every script.
    if cell.isascii() and "_" not in cell:
        try:
            return float(cell)
        except ValueError:
            pass
    msg = f"line {line}, {column}: {cell!r} is not a number."
    raise DataError(msg)


def _label(cell: str, line: int) -> int:
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
