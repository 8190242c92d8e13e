"""The metric states of the predictions of files: read, counted and merged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TypeAlias

import numpy as np

from calibench.errors import DataError
from calibench.lab.data.prediction_fragments import (
    Fragment,
    chunks_of,
    fragments_of,
    named,
)
from calibench.lab.data.prediction_layout import RawChunk, Wanted
from calibench.lab.data.prediction_source import StoredFile
from calibench.lab.data.prediction_stream import checked, counted_from
from calibench.lab.engines import Engine
from calibench.metrics.stream import MetricState
from calibench.predictions import Predictions

# By the name of the group; "" where there are none.
States: TypeAlias = dict[str, MetricState]

# Bytes of the states of all groups.
_MOST_STATE = 2**28


@dataclass(frozen=True)
class PassProgress:
    """How far a pass over files is.

    Attributes:
        rows: Examples counted.
        size: Bytes of the files that they took.
        total: Bytes of all files.
    """

    rows: int
    size: int
    total: int


Watch: TypeAlias = Callable[[PassProgress], None]


@dataclass(frozen=True)
class Pass:
    """How a pass over files is made; its outcome does not depend on it.

    Attributes:
        engine: Where it runs.
        watch: Told of its progress, from whichever thread makes some.
    """

    engine: Engine = field(default_factory=Engine)
    watch: Watch | None = None


def states_in(raw: RawChunk) -> Iterator[tuple[str, MetricState]]:
    """The state of each group in some stored rows.

    Here, and nowhere else, stored numbers become a state.

    Raises:
        DataError: A row is not valid, or weights are not whole numbers.
    """
    if raw.groups is None and raw.weights is None:
        with counted_from(raw.start):
            yield "", MetricState.of_arrays(raw.values, raw.labels, kind=raw.kind)
        return
    for name, part in parts_of(checked(raw), raw.groups):
        yield name, MetricState.of(part)


def parts_of(
    some: Predictions, groups: np.ndarray | None
) -> Iterator[tuple[str, Predictions]]:
    """Predictions by group, in the order of the names."""
    if groups is None:
        yield "", some
        return
    names = groups.astype(np.str_)
    for name in np.unique(names).tolist():
        rows = names == name
        yield name, some.rows(rows)


def states_of_fragment(
    fragment: Fragment, watch: "PassCounter | None" = None
) -> States:
    """The states of a fragment: a task of its own, wherever it runs.

    Raises:
        DataError: A row is not valid, or there are too many groups.
        ResourceError: The file may not be read.
    """
    states: States = {}
    for raw in chunks_of(fragment):
        with named(fragment.file):
            _merge(states, dict(states_in(raw)))
        if watch is not None:
            watch.add(len(raw.labels), raw.size)
    return states


def states_of_files(
    files: Sequence[StoredFile],
    wanted: Wanted,
    how: Pass | None = None,
) -> States:
    """The states of all groups in files, from one pass.

    A state's bits do not depend on the order in which examples are counted, so every
    engine gives the same.

    Args:
        files: What to read.
        wanted: Which of it.
        how: Where it runs; here unless given.

    Raises:
        DataError: The contents are no predictions, or of too many groups.
        ResourceError: A file may not be read, or the engine fails.
    """
    how = how or Pass()
    counter = PassCounter(sum(file.size for file in files), how.watch)
    fragments = fragments_of(files, wanted)
    states: States = {}
    if how.engine.shares_memory:
        counted = partial(states_of_fragment, watch=counter)
        for some in how.engine.mapped(counted, fragments):
            _merge(states, some)
        return states
    for some, size in how.engine.mapped(_states_and_size, fragments):
        _merge(states, some)
        counter.add(sum(state.num_examples for state in some.values()), size)
    return states


def _states_and_size(fragment: Fragment) -> tuple[States, int]:
    return states_of_fragment(fragment), fragment.size


def _merge(states: States, others: Mapping[str, MetricState]) -> None:
    for name, state in others.items():
        states[name] = states[name].merge(state) if name in states else state
    arrays = next(iter(states.values())).to_arrays().values()
    most = max(_MOST_STATE // sum(array.nbytes for array in arrays), 1)
    if len(states) > most:
        msg = (
            f"more than {most} groups, the last {list(states)[-1]!r}. Group by a "
            "column of fewer values."
        )
        raise DataError(msg)


@dataclass
class PassCounter:
    """Adds up what threads have done."""

    total: int
    watch: Watch | None
    rows: int = 0
    size: int = 0
    lock: Lock = field(default_factory=Lock)

    def add(self, rows: int, size: int) -> None:
        if self.watch is None:
            return
        with self.lock:
            self.rows += rows
            self.size = min(self.size + size, self.total)
            self.watch(PassProgress(self.rows, self.size, self.total))
