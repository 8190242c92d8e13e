"""A metric state of large arrays in one pass, compiled where numba is installed."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from types import ModuleType
from typing import TypeVar, cast, get_args

import numpy as np
from jaxtyping import Float64

from calibench.errors import DataError
from calibench.metrics.block_sums import BlockSums
from calibench.metrics.stream_top import TopLabelState
from calibench.options import whole_number
from calibench.predictions import Kind, Predictions
from calibench.validation import Array, member

State = TypeVar("State", bound=TopLabelState)

# Numbers at a time in numpy: few enough that what is derived from them stays in the
# cache.
_BLOCK = 2**17
_NATIVE = (np.dtype(np.float32), np.dtype(np.float64))


def state_of(
    scope: type[State], values: Array, labels: Array, kind: str, workers: int
) -> State:
    """What `TopLabelState.of_arrays` does.

    Raises:
        DataError: The numbers are not valid; the first bad row is named.
        ParameterError: There is no such kind, or `workers` is below 1.
    """
    kind = cast("Kind", member(kind, get_args(Kind), "kind"))
    whole_number(workers, "workers", 1)
    kernel = _kernel()
    if kernel is None or not _is_plain(values, labels):
        return _plain(scope, values, labels, kind)
    like = _two_columns(values[:1], kind) if _is_binary(values) else values
    passes = [BlockSums(kernel, kind, like, scope) for _ in range(workers)]
    spans = _spans(len(values), workers)
    with ThreadPoolExecutor(workers) as pool:
        sound = list(pool.map(partial(_add, values, labels, kind), passes, spans))
    if not all(sound):
        # numpy finds the first row that is wrong and says what is.
        return _plain(scope, values, labels, kind)
    state = scope.empty(like.shape[1])
    for each in passes:
        state = state.merge(scope(like.shape[1], **each.arrays()))
    return state


def _spans(size: int, parts: int) -> list[range]:
    ends = [size * part // parts for part in range(parts + 1)]
    return [range(*span) for span in pairwise(ends)]


def _add(
    values: np.ndarray, labels: np.ndarray, kind: Kind, sums: BlockSums, span: range
) -> bool:
    is_binary = _is_binary(values)
    for start in span[:: sums.rows]:
        rows = slice(start, min(start + sums.rows, span.stop))
        some = _two_columns(values[rows], kind) if is_binary else values[rows]
        if not sums.add(some, labels[rows].astype(np.int64, copy=False)):
            return False
    return True


def _is_binary(values: np.ndarray) -> bool:
    return values.ndim == 1 or values.shape[1] == 1


def _two_columns(values: np.ndarray, kind: Kind) -> Float64[np.ndarray, "rows 2"]:
    """The columns that `Predictions` makes of one, or NaN for what it may refuse."""
    column = values.reshape(-1, 1).astype(np.float64)
    if kind == "logits":
        return np.hstack([np.zeros_like(column), column])
    if not (column.min() >= 0 and column.max() <= 1) or (column == 1).all():
        return np.full((len(column), 2), np.nan)
    return np.hstack([1 - column, column])


def _plain(scope: type[State], values: Array, labels: Array, kind: Kind) -> State:
    make = Predictions.from_logits if kind == "logits" else Predictions.from_probs
    if not _is_plain(values, labels) or _is_binary(values):
        return scope.of(make(values, labels))
    try:
        state = scope.empty(values.shape[1])
        step = max(_BLOCK // values.shape[1], 1)
        for start in range(0, len(values), step):
            rows = slice(start, start + step)
            state = state.update(make(values[rows], labels[rows]))
    except DataError:
        # All rows at once, to count those that are wrong.
        return scope.of(make(values, labels))
    return state


def _is_plain(values: Array, labels: Array) -> bool:
    return (
        # Not a masked array, nor another subclass with a will of its own.
        type(values) is type(labels) is np.ndarray
        and values.dtype in _NATIVE
        and labels.dtype.kind in "iu"
        and labels.dtype.isnative
        and values.ndim in {1, 2}
        and values.size > 0
        and values.shape[:1] == labels.shape
    )


@cache
def _kernel() -> ModuleType | None:
    try:
        # numba takes half a second to import, and is an extra; some of its versions
        # refuse some of numpy's.
        from calibench import kernel  # noqa: PLC0415
    except ImportError:
        return None
    return kernel
