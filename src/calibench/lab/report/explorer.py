"""What the page's script works on: charts, their numbers, and the menu."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibench.lab.report import specs
from calibench.lab.report.curves import View, panels, shared_limits
from calibench.lab.report.embedded import (
    CALIBRATORS,
    bin_rows,
    epoch_rows,
    floor_rows,
    packed,
    shown_epochs,
    table,
)
from calibench.lab.report.judged import Judged
from calibench.lab.report.last_epoch import class_rows, risk_rows, risks, widest_gaps
from calibench.lab.report.last_specs import class_map, risk_coverage
from calibench.lab.report.menu import Choice, choices
from calibench.lab.report.reliability_spec import reliability_grid
from calibench.lab.report.results import Quantity, StudyResults
from calibench.lab.report.snapshots import snapshots, stops
from calibench.lab.report.style import loss_styles
from calibench.lab.report.wording import counted, model_label

# What a chart needs beside its marks, in pixels: axes, titles, labels.
_MARGINS = {"over_training": 52, "course": 78, "before_and_after": 176, "classes": 176}
_FACET_WIDTH = 226


@dataclass(frozen=True)
class Explorer:
    """What a page carries to be explored.

    Attributes:
        data: The numbers and charts, packed.
        stops: Where the slider stops.
        has_diagrams: Whether predictions were kept, and reliability can be drawn.
        widest: The class with the largest gap of each run, in sentences.
        risks: The error among the surest half of each run, in sentences.
        thinned: What of the store is left out, in sentences.
    """

    data: str
    menu: Sequence[Choice]
    stops: Sequence[int]
    has_diagrams: bool
    widest: Sequence[str]
    risks: Sequence[str]
    thinned: Sequence[str]


def explorer(
    results: StudyResults, labels: Mapping[str, str], last: Sequence[Judged]
) -> Explorer:
    """Measure and pack what the charts of the page draw.

    Args:
        results: The study.
        labels: The name of each loss.
        last: The predictions of the last epoch, where they were kept.
    """
    menu = choices(results)
    kept = stops(results)
    epochs = shown_epochs(results, kept)
    close = snapshots(results, kept)
    at = kept or tuple(epochs)
    names = list(labels.values())
    styles = loss_styles(results.losses)
    rows = epoch_rows(results, menu, epochs, close)
    bins = bin_rows(results, close)
    charts = {
        "over_training": specs.over_training(styles, names),
        "course": specs.course(styles, names),
        "before_and_after": specs.before_and_after(styles, names),
    }
    if bins:
        charts["reliability"] = reliability_grid(styles, names)
        charts["classes"] = class_map(names)
        charts["risk"] = risk_coverage(styles, names)
    content = {
        "models": [model_label(model) for model in results.models],
        "losses": names,
        "epochs": results.epochs,
        "early": max(run.last_epoch for run in results.runs) / 6,
        "stops": at,
        "menu": [_choice(results, choice) for choice in menu],
        "specs": charts,
        "margins": _MARGINS,
        "facet": _FACET_WIDTH,
        "tables": {
            "rows": table(rows),
            "floors": table(floor_rows(results, menu, epochs, close)),
            "bins": table(bins),
            "classes": table(class_rows(results, last)),
            "risk": table(risk_rows(results, last)),
        },
    }
    return Explorer(
        data=packed(content),
        menu=menu,
        stops=at,
        has_diagrams=bool(bins),
        widest=widest_gaps(results, last, labels),
        risks=risks(results, last, labels),
        thinned=_thinned(results, epochs, kept),
    )


def _choice(results: StudyResults, choice: Choice) -> dict[str, Any]:
    limits = [_limits(results, choice, calibrator) for calibrator in CALIBRATORS]
    return {
        "metric": choice.metric,
        "name": choice.name,
        "label": choice.label,
        "unit": choice.unit,
        "scale": choice.scale,
        "digits": choice.digits,
        "term": choice.term,
        "limits": limits,
    }


def _limits(
    results: StudyResults, choice: Choice, calibrator: str
) -> tuple[float, float]:
    quantity = Quantity(metric=choice.metric, calibrator=calibrator)
    view = View(label=choice.label, scale=choice.scale)
    return shared_limits(panels(results, quantity), view)[0]


def _thinned(
    results: StudyResults, epochs: Sequence[int], kept: Sequence[int]
) -> list[str]:
    last = max(run.last_epoch for run in results.runs)
    told = []
    if len(epochs) < last:
        told.append(
            f"The curves show {counted(len(epochs), 'epoch')} of {last}; "
            "metrics.csv beside this page has all."
        )
    if kept and len(kept) < last:
        told.append(
            f"The slider stops at {counted(len(kept), 'epoch')} of {last}, at which "
            "stored predictions were read: diagrams, intervals for other test examples "
            "and noise floors other than that of ECE are of these."
        )
    if not kept:
        told.append("No predictions were kept, so there are no reliability diagrams.")
    if len(results.seeds) > 1 and kept:
        told.append(
            "Reliability diagrams are those of the first seed; so are the noise floors "
            "other than that of ECE."
        )
    return told
