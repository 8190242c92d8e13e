"""A second yardstick in words: what `calibench truth` found of the same runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibench.lab.report.wording import counted, decimal, model_label, p_number

# As `calibench truth --json` prints it.
Yardstick = Mapping[str, Any]

_SHOWN = ("soft_label_ece", "true_calibration_error", "soft_label_nll")
_STAGES = {"none": "as trained", "temperature": "after temperature"}
_COMPARED = {
    "true_squared_calibration_error": ("squared error (%²)", 1e4, 2),
    "soft_label_nll": ("NLL (nats)", 1.0, 3),
}


@dataclass(frozen=True)
class YardstickLines:
    """What the page says of a second yardstick.

    Attributes:
        about: How many examples and judges, and how far the labels agree.
        rows: Model, loss, stage, ECE of the labels, then `_SHOWN`: text for cells.
        differences: Model, loss, against, stage, metric, value, interval, p.
    """

    about: str
    rows: Sequence[Sequence[str]]
    differences: Sequence[Sequence[str]]


def yardstick_lines(found: Yardstick, labels: Mapping[str, str]) -> YardstickLines:
    """Put what was found into words, means over seeds."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        place = (run["model"], run["loss"], run["calibrator"])
        groups.setdefault(place, []).append(run)
    return YardstickLines(
        about=_about(found["runs"][0]["truth"]),
        rows=[
            [
                model_label(model),
                labels.get(loss, loss),
                _STAGES.get(stage, stage),
                _mean([run["top_label_ece"] for run in runs], 100, 2),
                *(_of(runs, name) for name in _SHOWN),
            ]
            for (model, loss, stage), runs in groups.items()
        ],
        differences=[_difference(each, labels) for each in found["differences"]],
    )


def _about(truth: Mapping[str, Any]) -> str:
    told = f"{counted(truth['n'], 'test example')}"
    if truth["fewest_counts"] is not None:
        told += f", at least {truth['fewest_counts']} answers each"
    told += (
        f"; the label is the likeliest class of {100 * truth['label_agreement']:.1f}% "
        "of them."
    )
    if truth["may_be_misaligned"]:
        told += " That is no better than chance: its rows may be in another order."
    return told


def _of(runs: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [run["truth"]["metrics"][name]["value"] for run in runs]
    if any(value is None for value in values):
        return "–"
    return _mean(values, 1, 3) if name.endswith("nll") else _mean(values, 100, 2)


def _mean(values: Sequence[float], scale: float, digits: int) -> str:
    text = decimal(scale * sum(values) / len(values), digits)
    if len(values) > 1:
        text += f" ± {decimal(scale * (max(values) - min(values)) / 2, digits)}"
    return text


def _difference(each: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    name, scale, digits = _COMPARED[each["metric"]]
    ends = each["interval"]
    return [
        model_label(each["model"]),
        labels.get(each["loss"], each["loss"]),
        labels.get(each["against"], each["against"]),
        _STAGES.get(each["calibrator"], each["calibrator"]),
        name,
        decimal(scale * each["value"], digits),
        "–" if ends is None else " to ".join(decimal(scale * e, digits) for e in ends),
        p_number(each["p_adjusted"]),
    ]
