"""The page of one set of predictions: what `calibench evaluate --html` writes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from calibench.lab.report.reliability import draw_reliability, reliability
from calibench.lab.report.scripts import own_script, own_style, policy
from calibench.lab.report.style import BLUE, LossStyle, drawing
from calibench.lab.report.svg import INLINE_SETTINGS, inline_svg
from calibench.lab.report.wording import decimal, p_number, percent
from calibench.lab.store.files import write_bytes
from calibench.metrics import Evaluation, RiskCoverage
from calibench.metrics.measurement import Measurement
from calibench.posthoc import Temperature
from calibench.predictions import Predictions

_POINTS = 72  # an inch
_SIZE = (330 / _POINTS, 370 / _POINTS)
_MARGINS = {
    "figure.subplot.left": 0.16,
    "figure.subplot.right": 0.97,
    "figure.subplot.top": 0.97,
}
_LOOK = LossStyle(BLUE, "-", "o")
_COVERAGES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class MetricLine:
    """A row of the table of metrics, as text."""

    name: str
    value: str
    interval: str
    floor: str
    p_value: str
    meaning: str


@dataclass(frozen=True)
class ClassLine:
    """A row of the table of classes, as text; percentages."""

    name: str
    n: int
    share: str
    foretold: str
    gap: str


def write_predictions_page(
    out: Path, name: str, found: Evaluation, some: Predictions
) -> None:
    """Write one HTML file about predictions that were evaluated.

    Args:
        out: The page to write.
        name: What the predictions are called.
        found: What `evaluate` found of them.
        some: The predictions themselves.

    Raises:
        ResourceError: The disk is full, the folder is read-only, ...
    """
    environment = Environment(
        loader=PackageLoader("calibench.lab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css, scripts = own_style(), [own_script("tables.js")]
    text = environment.get_template("predictions.html.jinja").render(
        name=name,
        found=found,
        metrics=[_line(key, each) for key, each in found.measurements.items()],
        diagrams=_diagrams(found, some),
        classes=_classes(some),
        risks=_risks(some),
        css=css,
        scripts=scripts,
        policy=policy(scripts, [css]),
    )
    write_bytes(out, text.encode())


def _line(name: str, each: Measurement) -> MetricLine:
    about = each.definition
    parts = [about.quantity, about.scheme, about.edges, about.interval]
    if about.num_bins is not None:
        parts.insert(1, f"{about.num_bins} bins")
    floor = each.floor
    return MetricLine(
        name=name,
        value=_number(each.value),
        interval=" to ".join(map(_number, each.interval)) if each.interval else "–",
        floor="–" if floor is None else _number(floor.p95),
        p_value="–" if floor is None else p_number(floor.p_value),
        meaning="; ".join(part.replace("_", " ") for part in parts if part),
    )


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return decimal(value, 4) if math.isfinite(value) else "∞"


def _diagrams(found: Evaluation, some: Predictions) -> list[tuple[str, Markup]]:
    drawn = [("as given", some)]
    value = found.temperature.value
    if value is not None:
        title = f"after T = {decimal(value, 2)}, fitted on these very predictions"
        drawn.append((title, Temperature(value).apply(some)))
    return [
        (title, _diagram(f"diagram-{place}", title, each))
        for place, (title, each) in enumerate(drawn)
    ]


def _diagram(name: str, title: str, some: Predictions) -> Markup:
    diagram = reliability(some)
    text = (
        f"Reliability {title}: mean confidence {percent(float(some.confidence.mean()))}"
        f", accuracy {percent(float(some.correct.mean()))}; "
        f"{int(diagram.is_outside.sum())} of {len(diagram.weight)} bins beyond chance."
    )
    with drawing(**INLINE_SETTINGS | _MARGINS):
        figure = Figure(figsize=_SIZE)
        draw_reliability(figure, diagram, _LOOK)
        return inline_svg(figure, name, text)


def _classes(some: Predictions) -> Sequence[ClassLine]:
    counts = np.bincount(some.labels, minlength=some.num_classes)
    shares, foretold = counts / len(some.labels), some.probs.mean(axis=0)
    return [
        ClassLine(
            name=str(k),
            n=int(counts[k]),
            share=decimal(100 * shares[k], 2),
            foretold=decimal(100 * foretold[k], 2),
            gap=decimal(100 * (foretold[k] - shares[k]), 2),
        )
        for k in range(some.num_classes)
    ]


def _risks(some: Predictions) -> list[tuple[str, str]]:
    curve = RiskCoverage.of(some)
    places = np.searchsorted(curve.coverage, np.array(_COVERAGES) - 1e-12)
    return [
        (percent(float(curve.coverage[at])), percent(float(curve.risk[at]), 2))
        for at in dict.fromkeys(places.tolist())
    ]
