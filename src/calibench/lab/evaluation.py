"""Evaluate the predictions of files: in memory where they are few, else in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from calibench import metrics
from calibench.errors import DataError, ParameterError
from calibench.lab.comparison import FileComparison, compare_files
from calibench.lab.data.prediction_stream import Chunk, joined, stream_predictions
from calibench.lab.evaluation_text import evaluation_text
from calibench.lab.text_table import text_table
from calibench.metrics import Evaluation
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_evaluation import evaluate_state
from calibench.predictions import Predictions

# Up to here every floor is redrawn from the examples, in seconds and half a gigabyte.
_MOST_ROWS = 100_000
_MOST_NUMBERS = 2**22
# Bytes of the states of all groups.
_MOST_STATE = 2**28


@dataclass(frozen=True)
class FileEvaluation:
    """What was found in files, and in each group of their examples.

    Attributes:
        overall: Of all examples.
        groups: By what the column of groups says; empty where none was asked for.
    """

    overall: Evaluation
    groups: Mapping[str, Evaluation] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON: that of the overall evaluation, and groups."""
        if not self.groups:
            return self.overall.to_dict()
        groups = {name: each.to_dict() for name, each in self.groups.items()}
        return self.overall.to_dict() | {"groups": groups}

    def text(self) -> str:
        """As lines for a terminal."""
        lines = evaluation_text(self.overall)
        if not self.groups:
            return lines
        rows = [_row(name, each) for name, each in self.groups.items()]
        return f"{lines}\n\n{text_table(rows)}"


def evaluate_or_compare(
    files: Sequence[Path | str],
    against: Path | str | None,
    *,
    kind: str | None = None,
    num_bins: int = 15,
    by: str | None = None,
) -> FileEvaluation | FileComparison:
    """Do what `calibench evaluate` does: `compare_files` if there is another set.

    Raises:
        ParameterError: Groups of a comparison are asked for, or as for either.
    """
    if against is None:
        return evaluate_files(files, kind=kind, num_bins=num_bins, by=by)
    if by is not None:
        msg = "--by and --against do not go together. Compare the files of one group."
        raise ParameterError(msg)
    return compare_files(files, against, kind=kind, num_bins=num_bins)


def evaluate_files(
    files: Sequence[Path | str],
    *,
    kind: str | None = None,
    num_bins: int = 15,
    by: str | None = None,
) -> FileEvaluation:
    """Measure the calibration of the predictions of files, folders and globs.

    Up to 100,000 examples (fewer of many classes) are held in memory, for `evaluate`;
    more go through a `MetricState`, one for each group, for `evaluate_state`.

    Args:
        files: Files, folders and globs: one data set.
        kind: "logits" or "probs", where a file holds both.
        num_bins: How many bins for the binned metrics.
        by: A column that names the group of each example.

    Raises:
        DataError: The contents are no predictions, or of too many groups.
        ParameterError: `kind` or `num_bins` is not valid, or a file is given twice.
        ResourceError: A file may not be read.
    """
    chunks = stream_predictions(files, kind=kind, by=by)
    held: list[Chunk] = []
    rows = 0
    for chunk in chunks:
        held.append(chunk)
        rows += chunk.predictions.num_examples
        numbers = rows * chunk.predictions.num_classes
        if rows > _MOST_ROWS or numbers > _MOST_NUMBERS:
            return _in_one_pass(_chained(held, chunks), num_bins)
    return _in_memory(held, num_bins)


def _in_memory(held: list[Chunk], num_bins: int) -> FileEvaluation:
    some = joined(held)
    groups = [
        chunk.groups.astype(np.str_) for chunk in held if chunk.groups is not None
    ]
    overall = metrics.evaluate(some, num_bins=num_bins)
    if not groups:
        return FileEvaluation(overall)
    parts = _parts(Chunk(some, np.concatenate(groups)))
    return FileEvaluation(
        overall,
        {name: metrics.evaluate(part, num_bins=num_bins) for name, part in parts},
    )


def _in_one_pass(chunks: Iterator[Chunk], num_bins: int) -> FileEvaluation:
    states: dict[str, MetricState] = {}
    for chunk in chunks:
        for name, part in _parts(chunk):
            if name in states:
                states[name] = states[name].update(part)
                continue
            states[name] = MetricState.of(part)
            # Impossible bins are refused now, not at the end of a long pass.
            states[name].class_bins(num_bins)
            _refuse_too_many(states)
    overall = MetricState.empty(next(iter(states.values())).num_classes)
    for state in states.values():
        overall = overall.merge(state)
    groups = {} if list(states) == [""] else dict(sorted(states.items()))
    return FileEvaluation(
        evaluate_state(overall, num_bins=num_bins),
        {
            name: evaluate_state(state, num_bins=num_bins)
            for name, state in groups.items()
        },
    )


def _parts(chunk: Chunk) -> Iterator[tuple[str, Predictions]]:
    some = chunk.predictions
    if chunk.groups is None:
        yield "", some
        return
    groups = chunk.groups.astype(np.str_)
    for name in np.unique(groups).tolist():
        rows = groups == name
        yield name, Predictions(some.labels[rows], some.kind, some.values[rows])


def _chained(held: list[Chunk], rest: Iterator[Chunk]) -> Iterator[Chunk]:
    while held:
        yield held.pop(0)
    yield from rest


def _refuse_too_many(states: Mapping[str, MetricState]) -> None:
    arrays = next(iter(states.values())).to_arrays().values()
    most = max(_MOST_STATE // sum(array.nbytes for array in arrays), 1)
    if len(states) > most:
        msg = (
            f"more than {most} groups, the last {list(states)[-1]!r}. Group by a "
            "column of fewer values."
        )
        raise DataError(msg)


def _row(name: str, each: Evaluation) -> dict[str, Any]:
    error = each.measurements["top_label_ece"]
    values = {m: each.measurements[m].value for m in ("accuracy", "nll", "brier")}
    floor = error.floor
    return {
        "group": name,
        "n": each.n,
        **values,
        "top_label_ece": error.value,
        "calibrated: mean": floor.mean if floor else None,
        "p": floor.p_value if floor else None,
    }
