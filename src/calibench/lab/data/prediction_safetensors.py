"""Tensors of predictions in `.safetensors`, some rows at a time."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from math import prod
from typing import Any

import numpy as np

from calibench.errors import DataError
from calibench.lab.data.prediction_arrays import OpenArrays, StoredArray
from calibench.lab.data.prediction_layout import (
    KINDS,
    Layout,
    RawChunk,
    Span,
    Wanted,
    choose_kind,
    require,
)
from calibench.lab.data.prediction_source import StoredFile

_LARGEST_HEADER = 2**20
_AGAIN = "Write it again with safetensors."
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "|b1", "U8": "|u1", "I8": "|i1",
    "I16": "<i2", "U16": "<u2", "I32": "<i4", "U32": "<u4", "I64": "<i8", "U64": "<u8",
}  # fmt: skip


def safetensors_layout(file: StoredFile, wanted: Wanted) -> Layout:
    """What a header declares: `logits` or `probs`, `labels`, and one of groups.

    Raises:
        DataError: It is damaged, or something else.
    """
    with _opened(file, wanted) as arrays:
        return arrays.layout(is_divisible=True)


def safetensors_chunks(
    file: StoredFile, wanted: Wanted, span: Span
) -> Iterator[RawChunk]:
    """Read tensors `logits` or `probs`, `labels`, and one of groups.

    The format is 8 bytes of length, a JSON object of that length, then the numbers.

    Raises:
        DataError: It is damaged, or something else.
    """
    with _opened(file, wanted) as arrays:
        yield from arrays.chunks(span)


@contextmanager
def _opened(file: StoredFile, wanted: Wanted) -> Iterator[OpenArrays]:
    with file.open() as stream:
        entries, start = _header(stream, file.size)
    found = list(entries)
    chosen = choose_kind([k for k in KINDS if k in entries], wanted.kind, found)
    names = [chosen, "labels", *wanted.vectors()]
    require(names, found, "array")
    with ExitStack() as opened:
        arrays = []
        for name in names:
            dtype, shape, offset = _checked_entry(
                name, entries[name], file.size - start
            )
            stream = opened.enter_context(file.open())
            stream.seek(start + offset)
            arrays.append(
                StoredArray(name, stream, shape, is_fortran=False, dtype=dtype)
            )
        yield OpenArrays(chosen, arrays[0], arrays[1:], wanted)


def _header(stream: BufferedReader, size: int) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(stream.read(8), "little")
    if length > min(size - 8, _LARGEST_HEADER):
        msg = (
            f"a header of {length:,} bytes is declared in {size:,}: damaged, or no "
            f".safetensors file. {_AGAIN}"
        )
        raise DataError(msg)
    content = stream.read(length)
    try:
        entries = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        msg = f"not a readable .safetensors file ({error}). {_AGAIN}"
        raise DataError(msg) from error
    if not isinstance(entries, dict):
        msg = f"not a readable .safetensors file (its header is no object). {_AGAIN}"
        raise DataError(msg)
    entries.pop("__metadata__", None)
    return entries, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        msg = "two entries have the same name"
        raise ValueError(msg)
    return dict(pairs)


def _checked_entry(
    name: str,
    entry: Any,  # noqa: ANN401 - whatever JSON holds
    stored: int,
) -> tuple[np.dtype, tuple[int, ...], int]:
    try:
        dtype_name, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        numbers = [*shape, begin, end]
        sound = all(type(n) is int and n >= 0 for n in numbers) and end <= stored
        known = dtype_name in _DTYPES
    except (TypeError, KeyError, ValueError):
        sound, known, dtype_name, shape, begin, end = False, False, "", (), 0, 0
    if sound and not known:
        msg = f"{name} has dtype {dtype_name!r}. Store float16, 32 or 64, or integers."
        raise DataError(msg)
    if not sound or end - begin != prod(shape) * np.dtype(_DTYPES[dtype_name]).itemsize:
        msg = (
            f"{name}: its header does not fit the file, which is cut or damaged. "
            "Write or copy it again."
        )
        raise DataError(msg)
    return np.dtype(_DTYPES[dtype_name]), shape, begin
