"""The numbers that a page carries for its charts, packed."""

import base64
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from calibench.lab.report.menu import Choice
from calibench.lab.report.results import (
    TEMPERATURE,
    Quantity,
    RunResult,
    StudyResults,
)
from calibench.lab.report.snapshots import Snapshot

CALIBRATORS = ("none", "temperature")
_MOST_ROWS = 12_000
_DIGITS = 5  # significant: more than any axis or cell shows
# Beside the menu: what else is drawn over training.
_COURSE = ("error_rate", "nll", "mean_confidence")

Table = dict[str, list[Any]]
Row = Mapping[str, Any]


def packed(content: object) -> str:
    """Return JSON, compressed, as text; equal content gives equal text."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def table(rows: Iterable[Row]) -> Table:
    """Turn rows with the same keys into columns, numbers to five digits.

    Example:
        >>> table([{"epoch": 1, "ece": 0.1234567}, {"epoch": 2, "ece": None}])
        {'epoch': [1, 2], 'ece': [0.12346, None]}
    """
    columns: Table = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(_short(value))
    return columns


def _short(value: object) -> object:
    if isinstance(value, float | np.floating):
        number = float(value)
        return float(f"{number:.{_DIGITS}g}") if np.isfinite(number) else None
    return value.item() if isinstance(value, np.generic) else value


def shown_epochs(results: StudyResults, stops: Sequence[int]) -> list[int]:
    """Return the epochs whose metrics the page carries: all, or every few and `stops`.

    Few enough that all runs make at most 12,000 rows.
    """
    last = max(run.last_epoch for run in results.runs)
    if last == 0:  # every run diverged in its first epoch
        return []
    most = _MOST_ROWS // (len(CALIBRATORS) * max(len(results.runs), 1))
    every = -(-last // max(most, 1))
    return sorted({*range(every, last + 1, every), 1, last, *stops})


def epoch_rows(
    results: StudyResults,
    choices: Sequence[Choice],
    epochs: Sequence[int],
    snapshots: Sequence[Snapshot],
) -> list[Row]:
    """Return a row for each run, epoch and calibrator, with all metrics.

    Beside a metric stand the ends of its interval for other test examples, where it
    was looked at closely.
    """
    close = {(id(s.run), s.epoch, s.calibrator): s for s in snapshots}
    return [
        _epoch_row(results, run, epoch, calibrator, choices, close)
        for run in results.runs
        for epoch in epochs
        for calibrator in CALIBRATORS
        if (epoch, "test", calibrator) in run.rows
    ]


def _epoch_row(
    results: StudyResults,
    run: RunResult,
    epoch: int,
    calibrator: str,
    choices: Sequence[Choice],
    close: Mapping[tuple[int, int, str], Snapshot],
) -> Row:
    stored = run.rows[epoch, "test", calibrator]
    snapshot = close.get((id(run), epoch, calibrator))
    found: dict[str, Any] = _place(results, run) | {
        "epoch": epoch,
        "after": CALIBRATORS.index(calibrator),
        "diverged": int(run.outcome == "diverged"),
        "temperature": run.value(epoch, TEMPERATURE),
    }
    names = [choice.metric for choice in choices]
    found |= {name: stored.get(name) for name in dict.fromkeys([*names, *_COURSE])}
    for name in names:
        ends = snapshot.intervals.get(name) if snapshot else None
        found[f"{name}_from"], found[f"{name}_to"] = ends or (None, None)
    return found


def floor_rows(
    results: StudyResults,
    choices: Sequence[Choice],
    epochs: Sequence[int],
    snapshots: Sequence[Snapshot],
) -> list[Row]:
    """Return the noise floor of each model, epoch and calibrator: the highest loss's.

    That of ECE is stored for every epoch and run; the others are measured where the
    first seed was looked at closely.
    """
    found: list[Row] = [
        {"model": place, "epoch": epoch, "after": CALIBRATORS.index(calibrator)}
        | {
            choice.metric: _floor(
                results, choice.metric, (model, epoch, calibrator), snapshots
            )
            for choice in choices
            if choice.has_floor
        }
        for place, model in enumerate(results.models)
        for epoch in epochs
        for calibrator in CALIBRATORS
    ]
    return found


def _floor(
    results: StudyResults,
    metric: str,
    place: tuple[str, int, str],
    snapshots: Sequence[Snapshot],
) -> float | None:
    model, epoch, calibrator = place
    stored = Quantity(metric="floor_p95", calibrator=calibrator)
    if metric == "top_label_ece":
        of_runs = [r.value(epoch, stored) for r in results.runs if r.model == model]
        found = [value for value in of_runs if value is not None]
    else:
        found = [
            s.floors[metric]
            for s in snapshots
            if (s.run.model, s.epoch, s.calibrator) == place and metric in s.floors
        ]
    return max(found, default=None)


def bin_rows(results: StudyResults, snapshots: Sequence[Snapshot]) -> list[Row]:
    """Return a row for each bin of a reliability diagram, of the first seed."""
    return [
        _bin_row(results, each, k)
        for each in snapshots
        if results.is_first(each.run)
        for k in range(len(each.diagram.weight))
    ]


def _bin_row(results: StudyResults, each: Snapshot, k: int) -> Row:
    diagram = each.diagram
    return _place(results, each.run) | {
        "epoch": each.epoch,
        "after": CALIBRATORS.index(each.calibrator),
        "lo": diagram.lo[k],
        "hi": diagram.hi[k],
        "n": diagram.count[k],
        "share": diagram.weight[k],
        "confidence": diagram.confidence[k],
        "accuracy": diagram.accuracy[k],
        "chance_lo": diagram.chance_lo[k],
        "chance_hi": diagram.chance_hi[k],
    }


def _place(results: StudyResults, run: RunResult) -> dict[str, Any]:
    names = [loss.name for loss in results.losses]
    return {
        "model": results.models.index(run.model),
        "loss": names.index(run.loss),
        "seed": run.seed,
    }
