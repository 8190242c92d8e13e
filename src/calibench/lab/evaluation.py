"""Evaluate the predictions of files: in memory where they are few, else in passes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calibench import metrics
from calibench.errors import DataError, ParameterError
from calibench.lab.comparison import FileComparison, compare_files
from calibench.lab.data.prediction_layout import Wanted
from calibench.lab.data.prediction_listing import files_among
from calibench.lab.data.prediction_source import StoredFile
from calibench.lab.data.prediction_stream import Chunk, joined, stream_predictions
from calibench.lab.data.truth_files import read_truth
from calibench.lab.evaluation_request import Request
from calibench.lab.evaluation_text import evaluation_text, truth_text
from calibench.lab.file_states import Pass, parts_of, states_of_files
from calibench.lab.further_passes import further_of_files
from calibench.lab.text_table import text_table
from calibench.metrics import Evaluation, Truth, TruthEvaluation
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_evaluation import evaluate_state

# Up to here every floor is redrawn from the examples, in seconds and half a gigabyte.
_MOST_ROWS = 100_000
_MOST_NUMBERS = 2**22


@dataclass(frozen=True)
class FileEvaluation:
    """What was found in files, and in each group of their examples.

    Attributes:
        overall: Of all examples.
        groups: By what the column of groups says; empty where none was asked for.
        truth: What was found against the truth, if there is one.
    """

    overall: Evaluation
    groups: Mapping[str, Evaluation] = field(default_factory=dict)
    truth: TruthEvaluation | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON: that of the overall evaluation, and groups."""
        plain = self.overall.to_dict()
        if self.truth is not None:
            plain["truth"] = self.truth.to_dict()
        if self.groups:
            plain["groups"] = {
                name: each.to_dict() for name, each in self.groups.items()
            }
        return plain

    def text(self) -> str:
        """As lines for a terminal."""
        lines = evaluation_text(self.overall)
        if self.truth is not None:
            lines = f"{lines}\n\n{truth_text(self.truth, self.overall)}"
        if not self.groups:
            return lines
        rows = [_row(name, each) for name, each in self.groups.items()]
        return f"{lines}\n\n{text_table(rows)}"


def evaluate_as_asked(
    files: Sequence[Path | str], request: Request, how: Pass | None = None
) -> FileEvaluation | FileComparison:
    """Do what `calibench evaluate` does.

    Raises:
        DataError: As of what is asked for: `evaluate_files`, `compare_files` or
            `with_truth`.
        ParameterError: Likewise.
        ResourceError: Likewise.
    """
    wanted = Wanted(request.kind, request.by, request.weights)
    num_bins = request.num_bins
    if request.against is not None:
        if how is not None and not how.engine.shares_memory:
            msg = (
                "--on ray and --against do not go together: a comparison is in memory."
            )
            raise ParameterError(msg)
        return compare_files(
            files,
            request.against,
            kind=request.kind,
            num_bins=num_bins,
            weights=request.weights,
        )
    known = None
    if request.truth is not None:
        known = read_truth(request.truth, kind=request.truth_kind)
    return _evaluated(
        files_among(files),
        wanted,
        num_bins,
        how or Pass(),
        request=request,
        known=known,
    )


def evaluate_files(
    files: Sequence[Path | str],
    *,
    kind: str | None = None,
    num_bins: int = 15,
    by: str | None = None,
    weights: str | None = None,
    how: Pass | None = None,
) -> FileEvaluation:
    """Measure the calibration of the predictions of files, folders, globs and URLs.

    Up to 100,000 examples (fewer of many classes) are held in memory, for `evaluate`;
    more go through a `MetricState`, one for each group, for `evaluate_state`, and pass
    again, one to five times, for the temperature and what else takes it.

    Args:
        files: Files, folders and globs: one data set.
        kind: "logits" or "probs", where a file holds both.
        num_bins: How many bins for the binned metrics.
        by: A column that names the group of each example.
        weights: A column that says how often each example is there. Numbers that are
            not whole are for what is held in memory.
        how: Where a pass runs, and who watches it. It does not change the outcome.

    Raises:
        DataError: The contents are no predictions, or of too many groups or examples.
        ParameterError: `kind` or `num_bins` is not valid, or a file is given twice.
        ResourceError: A file may not be read, or an engine is not installed.
    """
    wanted = Wanted(kind, by, weights)
    return _evaluated(files_among(files), wanted, num_bins, how or Pass())


def _evaluated(
    files: Sequence[StoredFile],
    wanted: Wanted,
    num_bins: int,
    how: Pass,
    *,
    request: Request | None = None,
    known: Truth | None = None,
) -> FileEvaluation:
    request = request or Request()
    held = _few(files, wanted)
    if isinstance(held, list):
        found = _in_memory(held, num_bins, canonical=request.canonical)
        return found if known is None else with_truth(found, held, known, num_bins)
    if request.canonical:
        msg = (
            f"--canonical compares all pairs of examples: {_MOST_ROWS:,} examples and "
            f"{_MOST_NUMBERS:,} numbers at most. Give a random part of these."
        )
        raise DataError(msg)
    # Impossible bins are refused now, not at the end of a long pass.
    first = replace(held.predictions.rows([0]), weights=None)
    # A pass is not to hold what it does not need.
    del held
    MetricState.of(first).class_bins(num_bins)
    found = _streamed(files, wanted, num_bins, how, one_pass=request.one_pass)
    if known is None:
        return found
    again = stream_predictions(files, kind=wanted.kind)
    return with_truth(found, again, known, num_bins)


def _few(files: Sequence[StoredFile], wanted: Wanted) -> list[Chunk] | Chunk:
    """All chunks of files if they fit in memory, else the first of them."""
    held: list[Chunk] = []
    rows = 0
    for chunk in stream_predictions(
        files, kind=wanted.kind, by=wanted.by, weights=wanted.weights
    ):
        held.append(chunk)
        some = chunk.predictions
        # Floors are redrawn as often as an example is there.
        rows += int(max(some.num_examples, some.total_weight if some.is_counted else 0))
        numbers = rows * chunk.predictions.num_classes
        if rows > _MOST_ROWS or numbers > _MOST_NUMBERS:
            return held[0]
    return held


def with_truth(
    found: FileEvaluation, chunks: Iterable[Chunk], known: Truth, num_bins: int
) -> FileEvaluation:
    """Add what is found against the truth; the predictions are held in memory.

    Args:
        found: Of the same predictions.
        chunks: The predictions, read once it is known how many there are.
        known: The truth about them, in their order.
        num_bins: How many bins for the binned metrics.

    Raises:
        DataError: The truth is of other examples or classes.
    """
    # Before the predictions are held: as many numbers as the truth at most.
    if found.overall.n != len(known.probs):
        msg = (
            f"the truth has {len(known.probs):,} rows, but there are "
            f"{found.overall.n:,} predictions. Give that of the same examples, in the "
            "same order."
        )
        raise DataError(msg)
    some = joined(list(chunks))
    against = metrics.evaluate_truth(some, known, num_bins=num_bins)
    return replace(found, truth=against)


def _in_memory(held: list[Chunk], num_bins: int, *, canonical: bool) -> FileEvaluation:
    some = joined(held)
    groups = [
        chunk.groups.astype(np.str_) for chunk in held if chunk.groups is not None
    ]
    measure = partial(metrics.evaluate, num_bins=num_bins, canonical=canonical)
    if not groups:
        return FileEvaluation(measure(some))
    parts = parts_of(some, np.concatenate(groups))
    return FileEvaluation(
        measure(some),
        {name: measure(part) for name, part in parts if part.total_weight > 0},
    )


def _streamed(
    files: Sequence[StoredFile],
    wanted: Wanted,
    num_bins: int,
    how: Pass,
    *,
    one_pass: bool,
) -> FileEvaluation:
    states = states_of_files(files, wanted, how)
    overall = MetricState.empty(next(iter(states.values())).num_classes)
    for state in states.values():
        overall = overall.merge(state)
    if overall.num_examples == 0:
        msg = f"{wanted.weights} is 0 everywhere, so that no example is there."
        raise DataError(msg)
    measured: dict[str | None, MetricState] = {None: overall}
    if wanted.by is not None:
        measured |= {n: s for n, s in sorted(states.items()) if s.num_examples}
    further = {} if one_pass else further_of_files(files, wanted, measured, how)

    def evaluated(name: str | None) -> Evaluation:
        state = measured[name]
        found = evaluate_state(state, further=further.get(name), num_bins=num_bins)
        # A state counts an example as often as it is there.
        total = None if wanted.weights is None else state.num_examples
        return replace(found, total_weight=total)

    return FileEvaluation(
        evaluated(None),
        {name: evaluated(name) for name in measured if name is not None},
    )


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
