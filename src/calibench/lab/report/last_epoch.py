"""What the predictions of the last epoch say of classes and of selective answers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from calibench.lab.report.judged import Judged
from calibench.lab.report.results import StudyResults
from calibench.lab.report.wording import decimal, model_label, percent
from calibench.metrics import RiskCoverage
from calibench.predictions import Predictions

_MOST_CLASSES = 50
_COVERAGES = np.linspace(0.02, 1, 50)

Row = Mapping[str, Any]


def class_rows(results: StudyResults, last: Sequence[Judged]) -> list[Row]:
    """Return the gap of every class, or of the 50 with the largest gaps.

    The gap is the mean probability given to a class less its share of the examples.
    """
    names = results.dataset["class_names"]
    found = [(place, some, _gaps(some)) for place, some in _stages(results, last)]
    if not found:
        return []
    largest = np.max([np.abs(gaps) for _, _, gaps in found], axis=0)
    shown = np.sort(np.argsort(-largest, kind="stable")[:_MOST_CLASSES])
    return [
        place
        | {
            "class": str(names[k]),
            "order": int(k),
            "n": int((some.labels == k).sum()),
            "gap": gaps[k],
        }
        for place, some, gaps in found
        for k in shown
    ]


def risk_rows(results: StudyResults, last: Sequence[Judged]) -> list[Row]:
    """Return the risk at 50 coverages."""
    return [
        place | {"coverage": float(curve.coverage[at]), "risk": float(curve.risk[at])}
        for place, some in _stages(results, last)
        for curve in [RiskCoverage.of(some)]
        for at in sorted(set(np.searchsorted(curve.coverage, _COVERAGES - 1e-12)))
    ]


def widest_gaps(
    results: StudyResults, last: Sequence[Judged], labels: Mapping[str, str]
) -> list[str]:
    """Name for each run of the first seed the class with the largest gap."""
    names = results.dataset["class_names"]
    told = []
    for each in _first(results, last):
        gaps = _gaps(each.predictions)
        k = int(np.argmax(np.abs(gaps)))
        told.append(
            f"{_who(each, labels)}: {names[k]}, {decimal(100 * gaps[k], 2)} points."
        )
    return told


def risks(
    results: StudyResults, last: Sequence[Judged], labels: Mapping[str, str]
) -> list[str]:
    """Say for each run of the first seed how wrong the surest half of it is."""
    told = []
    for each in _first(results, last):
        curve = RiskCoverage.of(each.predictions)
        half = int(np.searchsorted(curve.coverage, 0.5))
        told.append(
            f"{_who(each, labels)}: error {percent(float(curve.risk[half]), 2)} among "
            f"the surest {percent(float(curve.coverage[half]))}, "
            f"{percent(float(curve.risk[-1]), 2)} among all."
        )
    return told


def _who(each: Judged, labels: Mapping[str, str]) -> str:
    return f"{model_label(each.run.model)}, {labels[each.run.loss]}"


def _first(results: StudyResults, last: Sequence[Judged]) -> list[Judged]:
    return [each for each in last if results.is_first(each.run)]


def _stages(
    results: StudyResults, last: Sequence[Judged]
) -> Iterator[tuple[dict[str, Any], Predictions]]:
    names = [loss.name for loss in results.losses]
    for each in _first(results, last):
        place = {
            "model": results.models.index(each.run.model),
            "loss": names.index(each.run.loss),
        }
        yield place | {"after": 0}, each.predictions
        if each.scaled is not None:
            yield place | {"after": 1}, each.scaled


def _gaps(some: Predictions) -> np.ndarray:
    share = np.bincount(some.labels, minlength=some.num_classes) / len(some.labels)
    return np.asarray(some.probs.mean(axis=0) - share)
