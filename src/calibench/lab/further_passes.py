"""Further passes over files, for what one pass cannot know."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from calibench.errors import DataError
from calibench.lab.data.prediction_fragments import (
    Fragment,
    chunks_of,
    fragments_of,
    named,
)
from calibench.lab.data.prediction_layout import RawChunk, Wanted
from calibench.lab.data.prediction_source import StoredFile
from calibench.lab.data.prediction_stream import checked
from calibench.lab.file_states import Pass, PassCounter, parts_of
from calibench.metrics.further import Further, FurtherPass, FurtherSums
from calibench.metrics.stream import MetricState

# At a time.
_NUMBERS = 2**17

# By the name of the group; None for all examples together.
Passes: TypeAlias = Mapping[str | None, FurtherPass]
Sums: TypeAlias = dict[str | None, FurtherSums]


@dataclass(frozen=True)
class Task:
    """A fragment, and what to collect of each group in it."""

    fragment: Fragment
    passes: Passes


def further_of_files(
    files: Sequence[StoredFile],
    wanted: Wanted,
    states: Mapping[str | None, MetricState],
    how: Pass,
) -> dict[str | None, Further]:
    """Pass over files until all is found of each group, and of all examples.

    All groups share each pass. The outcome has the same bits on every engine.

    Args:
        files: What to read; the same as before.
        wanted: Which of it.
        states: What a first pass found, by group, and of all examples.
        how: Where it runs.

    Raises:
        DataError: The files are not what they were.
        ResourceError: A file may not be read, or the engine fails.
    """
    found = {name: Further.start(state) for name, state in states.items()}
    while passes := _next(found):
        sums = _pass(files, wanted, passes, how)
        for name in passes:
            if name not in sums or sums[name].count != states[name].num_examples:
                msg = "the files changed while they were read. Evaluate them again."
                raise DataError(msg)
            found[name] = found[name].after(sums[name])
    return found


def sums_of_fragment(task: Task) -> tuple[Sums, int, int]:
    """The sums of a fragment, its rows and its bytes: a task for itself anywhere.

    Raises:
        DataError: A row is not valid.
        ResourceError: The file may not be read.
    """
    sums: Sums = {}
    rows = 0
    for raw in chunks_of(task.fragment):
        with named(task.fragment.file):
            _merge(sums, _sums_in(raw, task.passes))
        rows += len(raw.labels)
    return sums, rows, task.fragment.size


def _next(found: Mapping[str | None, Further]) -> dict[str | None, FurtherPass]:
    passes = {name: further.next_pass for name, further in found.items()}
    return {name: each for name, each in passes.items() if each is not None}


def _pass(
    files: Sequence[StoredFile], wanted: Wanted, passes: Passes, how: Pass
) -> Sums:
    counter = PassCounter(sum(file.size for file in files), how.watch)
    tasks = (Task(fragment, passes) for fragment in fragments_of(files, wanted))
    sums: Sums = {}
    for some, rows, size in how.engine.mapped(sums_of_fragment, tasks):
        _merge(sums, some)
        counter.add(rows, size)
    return sums


def _sums_in(raw: RawChunk, passes: Passes) -> Sums:
    sums: Sums = {}
    for part in _parts(raw):
        some = checked(part)
        if None in passes:
            _merge(sums, {None: passes[None].sums_of(some)})
        if part.groups is not None:
            for name, group in parts_of(some, part.groups):
                if name in passes:
                    _merge(sums, {name: passes[name].sums_of(group)})
    return sums


def _parts(raw: RawChunk) -> Iterator[RawChunk]:
    """A chunk in parts whose many intermediate arrays stay small beside it."""
    step = max(1, _NUMBERS // math.prod(raw.values.shape[1:]))
    for start in range(0, len(raw.labels), step):
        rows = slice(start, start + step)
        yield replace(
            raw,
            values=raw.values[rows],
            labels=raw.labels[rows],
            groups=None if raw.groups is None else raw.groups[rows],
            weights=None if raw.weights is None else raw.weights[rows],
            start=raw.start + start,
        )


def _merge(sums: Sums, others: Sums) -> None:
    for name, some in others.items():
        sums[name] = sums[name].merge(some) if name in sums else some
