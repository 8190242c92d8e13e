"""Columns of predictions in Arrow's record batches, checked and as matrices."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EINVAL
from typing import Any, TypeAlias

import numpy as np

from calibench.errors import CalibenchError, DataError
from calibench.lab.data.prediction_layout import (
    KINDS,
    RawChunk,
    Wanted,
    blocks_of,
    choose_columns,
    choose_kind,
    listed,
    refuse_repeated,
    require,
)
from calibench.lab.data.prediction_source import arrow_module

# pyarrow has no type stubs.
ArrowBatch: TypeAlias = Any
ArrowSchema: TypeAlias = Any
ArrowArray: TypeAlias = Any
ArrowType: TypeAlias = Any

_LONGEST_NAME = 1000


@dataclass(frozen=True)
class Columns:
    """Where the predictions are among the columns of a table.

    Attributes:
        kind: "logits" or "probs".
        label: The column of class ids.
        values: One column for each class, or a single one of lists.
        width: Numbers in a row; None for lists whose type does not tell.
        wanted: What was asked for beside them.
        is_list: Whether the single column has lists.
    """

    kind: str
    label: str
    values: tuple[str, ...]
    width: int | None
    wanted: Wanted
    is_list: bool = False

    @classmethod
    def among(cls, schema: ArrowSchema, wanted: Wanted) -> "Columns":
        """Find the columns in a schema.

        Raises:
            DataError: They are missing, or have no type of numbers.
        """
        names = list(schema.names)
        refuse_repeated(names)
        if wanted.weights is not None and wanted.weights in names:
            _require_numbers(wanted.weights, schema.field(wanted.weights).type)
        lists = [k for k in KINDS if k in names and _is_list(schema.field(k).type)]
        if not lists:
            kind, label, values = choose_columns(names, wanted)
            for name in (label, *values):
                _require_numbers(name, schema.field(name).type)
            return cls(kind, label, tuple(values), len(values), wanted)
        kind = choose_kind(lists, wanted.kind, names)
        label = "label" if "label" in names and "labels" not in names else "labels"
        require([label, *wanted.vectors()], names, "column")
        _require_numbers(label, schema.field(label).type)
        storage = _storage(schema.field(kind).type)
        _require_numbers(kind, storage.value_type)
        width = getattr(storage, "list_size", None)
        if width is not None:
            refuse_narrow(kind, width)
        return cls(kind, label, (kind,), width, wanted, is_list=True)

    @property
    def names(self) -> list[str]:
        """All columns that are read."""
        others = self.wanted.vectors()
        return list(dict.fromkeys([self.label, *self.values, *others]))

    def chunks(
        self, batches: Iterable[Any], width: int, start: int
    ) -> Iterator[RawChunk]:
        """Record batches as bounded chunks, the first of which begins at a row.

        Raises:
            DataError: A value is missing, or a list has another length than `width`.
        """
        for batch in batches:
            for rows in blocks_of(range(batch.num_rows), width):
                part = batch.slice(rows.start, rows.stop - rows.start)
                yield self._chunk(part, width, start + rows.start)
                del part
            start += batch.num_rows
            # Held while the next is read, it would be twice the memory.
            del batch

    def _chunk(self, batch: ArrowBatch, width: int, start: int) -> RawChunk:
        labels = _numbers(batch.column(self.label), self.label, start)
        if self.is_list:
            (name,) = self.values
            # A copy, or a chunk that somebody still holds would keep its whole batch.
            matrix = _of_lists(batch.column(name), name, width, start).copy()
        else:
            columns = [_numbers(batch.column(n), n, start) for n in self.values]
            matrix = _side_by_side(columns)
        groups = weights = None
        if (by := self.wanted.by) is not None:
            groups = _names(batch.column(by), by, start)
        if (weight := self.wanted.weights) is not None:
            weights = _numbers(batch.column(weight), weight, start).copy()
        return RawChunk(
            kind=self.kind,
            values=matrix,
            labels=labels.copy(),
            groups=groups,
            start=start,
            weights=weights,
        )


@contextmanager
def damage(what: str) -> Iterator[None]:
    """Turn what pyarrow raises on damaged content into a `DataError`."""
    pa = arrow_module("pyarrow")
    try:
        yield
    except CalibenchError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        # pyarrow reports damage as an OSError too, but one without a number, or with
        # that of an impossible place in the file.
        if isinstance(error, OSError) and error.errno not in {None, EINVAL}:
            raise
        reason = " ".join(str(error).split())[:200]
        msg = f"not a readable {what} ({reason}). Write or copy it again."
        raise DataError(msg) from error


def refuse_narrow(name: str, width: int) -> None:
    """Refuse lists that cannot hold a number per class."""
    if width < 2:
        msg = f"{name}: lists of at most {width} numbers; give one per class."
        raise DataError(msg)


def width_of_first(lists: ArrowArray, name: str) -> int:
    """Numbers in the first of some lists.

    Raises:
        DataError: It is missing, or too short.
    """
    _refuse_gaps(lists, name, 0)
    width = len(_stored(lists)[0])
    refuse_narrow(name, width)
    return width


def _is_list(kind: ArrowType) -> bool:
    types = arrow_module("pyarrow").types
    storage = _storage(kind)
    return any(
        check(storage)
        for check in (types.is_list, types.is_large_list, types.is_fixed_size_list)
    )


def _require_numbers(name: str, kind: ArrowType) -> None:
    types = arrow_module("pyarrow").types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return
    msg = (
        f"{name} must hold real numbers, got the type {str(kind)[:80]}. Store float16, "
        "32 or 64 for predictions, and class ids as integers."
    )
    raise DataError(msg)


def _storage(kind: ArrowType) -> ArrowType:
    # A tensor type of another library says how its lists are to be read.
    pa = arrow_module("pyarrow")
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _stored(array: ArrowArray) -> ArrowArray:
    pa = arrow_module("pyarrow")
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _numbers(array: ArrowArray, name: str, start: int) -> np.ndarray:
    _refuse_gaps(array, name, start)
    return np.asarray(array.to_numpy(zero_copy_only=False))


def _side_by_side(columns: list[np.ndarray]) -> np.ndarray:
    matrix = np.empty(
        (len(columns[0]), len(columns)),
        dtype=np.result_type(*{column.dtype for column in columns}),
    )
    for k, column in enumerate(columns):
        matrix[:, k] = column
    return matrix


def _of_lists(array: ArrowArray, name: str, width: int, start: int) -> np.ndarray:
    _refuse_gaps(array, name, start)
    pc = arrow_module("pyarrow.compute")
    lists = _stored(array)
    lengths = np.asarray(pc.list_value_length(lists))
    if (lengths != width).any():
        row = int(np.argmax(lengths != width))
        msg = (
            f"{name}: row {start + row} (counted from 0) has {lengths[row]} numbers, "
            f"others {width}. Give each example one per class."
        )
        raise DataError(msg)
    flat = lists.flatten()
    if flat.null_count:
        gap = int(np.argmax(np.asarray(flat.is_null())))
        msg = (
            f"{name}: the list in row {start + gap // width} (counted from 0) lacks "
            f"number {gap % width}. Drop the row, or repair it."
        )
        raise DataError(msg)
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(-1, width)


def _names(array: ArrowArray, name: str, start: int) -> np.ndarray:
    pa = arrow_module("pyarrow")
    pc = arrow_module("pyarrow.compute")
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        text = array.cast(pa.string())
    except pa.ArrowException as error:
        msg = (
            f"{name}: the type {str(array.type)[:80]} names no groups. Group by a "
            "column of text, whole numbers or dates."
        )
        raise DataError(msg) from error
    longest = pc.max(pc.utf8_length(text)).as_py() or 0
    if longest > _LONGEST_NAME:
        msg = (
            f"{name}: a group's name has {longest:,} characters (rows from {start:,} "
            f"on). Group by a column of at most {_LONGEST_NAME:,}."
        )
        raise DataError(msg)
    filled = pc.fill_null(text, "").to_numpy(zero_copy_only=False)
    return np.asarray(filled, dtype=np.str_)


def _refuse_gaps(array: ArrowArray, name: str, start: int) -> None:
    if array.null_count:
        row = start + int(np.argmax(np.asarray(array.is_null())))
        msg = (
            f"{name}: no value in row {row} (counted from 0). Drop the row, or repair "
            "it."
        )
        raise DataError(msg)


def one_split(values: Iterable[Any], by: str | None, names: list[str]) -> None:
    """Refuse a table whose column `split` names several, unless it is grouped.

    Args:
        values: Arrays of the column, read only if they are needed.
        by: The column of groups, if one was asked for.
        names: All columns.

    Raises:
        DataError: There are several.
    """
    if by is not None or "split" not in names:
        return
    found: set[str] = set()
    for array in values:
        found.update(np.unique(_names(array, "split", 0)).tolist())
        if len(found) > 9:
            break
    if len(found) > 1:
        msg = (
            f"holds {len(found)} splits ({listed(sorted(found))}). Evaluate each for "
            "itself with by='split' (--by split)."
        )
        raise DataError(msg)
