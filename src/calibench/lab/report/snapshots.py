"""What stored predictions say of an epoch beyond its stored metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibench.binning import lay, summarize
from calibench.lab.report.judged import NUM_BINS, Judged, judged
from calibench.lab.report.reliability import Reliability, reliability
from calibench.lab.report.results import ECE, NLL, TRUE_ERROR, RunResult, StudyResults
from calibench.metrics import intervals, smooth_ece
from calibench.metrics.evaluation import OF_BINS
from calibench.metrics.redraw import Drawing, redrawn_bins
from calibench.metrics.redraw_smooth import redrawn_smooth
from calibench.metrics.scores import brier_terms
from calibench.metrics.smooth_interval import of_smooth_error
from calibench.predictions import Predictions

# Reading and measuring one takes about 0.1 s at 4,000 test examples.
_MOST_SNAPSHOTS = 400
_FEWEST_STOPS = 6

LEVEL = 0.95
_REPLICATES = 200
_SMOOTH_REPLICATES = 100  # half of the time of a snapshot
_QUANTILE = 0.95  # of redrawn test sets, as the stored floor

_BINNED = (ECE.metric, "debiased_l2", "overconfidence", "underconfidence")
EQUAL_MASS = "top_label_ece_equal_mass"
SMOOTH = "smooth_ece"

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """A run at an epoch, as trained or after temperature scaling.

    Attributes:
        calibrator: "none" or "temperature".
        diagram: Its reliability.
        intervals: By metric, for other test examples.
        floors: By metric, the 95th percentile of what a calibrated model would show;
            of the first seed only. That of ECE is stored, and not here.
    """

    run: RunResult
    epoch: int
    calibrator: str
    diagram: Reliability
    intervals: Mapping[str, Interval]
    floors: Mapping[str, float]


def stops(results: StudyResults) -> tuple[int, ...]:
    """Return the epochs to look at closely: all with predictions, or evenly some.

    The first and the last are among them. There are as many as leave at most 400
    snapshots, and at least 6, so that a report takes minutes at the most.
    """
    kept = sorted({epoch for run in results.runs for epoch in run.kept_predictions})
    begun = sum(bool(run.kept_predictions) for run in results.runs)
    most = max(_MOST_SNAPSHOTS // max(begun, 1), _FEWEST_STOPS)
    if len(kept) <= most:
        return tuple(kept)
    places = np.linspace(0, len(kept) - 1, most).round().astype(int)
    return tuple(kept[place] for place in places)


def snapshots(results: StudyResults, epochs: Sequence[int]) -> list[Snapshot]:
    """Measure the stored test predictions of every run at some epochs."""
    return [
        snapshot
        for run in results.runs
        for epoch in epochs
        if (one := judged(run, epoch)) is not None
        for snapshot in _both(one, with_floor=results.is_first(run))
    ]


def _both(one: Judged, *, with_floor: bool) -> list[Snapshot]:
    stages = {"none": one.predictions, "temperature": one.scaled}
    return [
        _snapshot(one, stage, some, with_floor=with_floor)
        for stage, some in stages.items()
        if some is not None
    ]


def _snapshot(
    one: Judged, calibrator: str, some: Predictions, *, with_floor: bool
) -> Snapshot:
    found = _intervals(some)
    if one.posterior is not None:
        sizes = np.abs(one.posterior - some.confidence)
        found |= _known({TRUE_ERROR.metric: intervals.of_mean(sizes, LEVEL)})
    return Snapshot(
        run=one.run,
        epoch=one.epoch,
        calibrator=calibrator,
        diagram=reliability(some),
        intervals=found,
        floors=_floors(some) if with_floor else {},
    )


def _intervals(some: Predictions) -> dict[str, Interval]:
    found: dict[str, intervals.Interval | None] = {}
    for scheme, suffix, names in (
        ("equal_width", "", _BINNED),
        ("equal_mass", "_equal_mass", (ECE.metric,)),
    ):
        bins = lay(scheme, some.confidence, NUM_BINS, some.counts)
        stats = summarize(bins, some.confidence, some.correct, some.counts)
        for name in names:
            found[name + suffix] = OF_BINS[name][1](stats, LEVEL)
    wrong = int((~some.correct).sum())
    return _known(
        found
        | {
            SMOOTH: of_smooth_error(some, smooth_ece(some), LEVEL),
            NLL.metric: intervals.of_mean(-some.label_log_probs, LEVEL),
            "brier": intervals.of_mean(brier_terms(some), LEVEL),
            "error_rate": intervals.of_share(wrong, len(some.labels), LEVEL),
        }
    )


def _known(found: Mapping[str, intervals.Interval | None]) -> dict[str, Interval]:
    return {
        name: (float(each[0]), float(each[1]))
        for name, each in found.items()
        if each is not None
    }


def _floors(some: Predictions) -> dict[str, float]:
    drawing = Drawing(some.confidence, _REPLICATES, 0, some.counts)
    found = {}
    for scheme, suffix, names in (
        ("equal_width", "", _BINNED[1:]),
        ("equal_mass", "_equal_mass", (ECE.metric,)),
    ):
        bins = lay(scheme, some.confidence, NUM_BINS, some.counts)
        redrawn = redrawn_bins(bins, drawing, squares=not suffix)
        for name in names:
            found[name + suffix] = OF_BINS[name][0](redrawn)
    few = Drawing(some.confidence, _SMOOTH_REPLICATES, 0, some.counts)
    found[SMOOTH] = redrawn_smooth(few)
    return {name: float(np.quantile(all_, _QUANTILE)) for name, all_ in found.items()}
