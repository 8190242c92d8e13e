"""The look of the interactive charts: the same as that of the static ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from calibench.lab.report import style
from calibench.lab.report.style import LossStyle

# The page's own variables, which follow its light or dark mode.
INK, MUTED, GRID, PAPER = "var(--ink)", "var(--muted)", "var(--grid)", "var(--card)"
_BLUE = "var(--blue)"

_FONT = "inherit"

CONFIG: Mapping[str, Any] = {
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "gridColor": GRID,
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 12,
        "labelFont": _FONT,
        "titleFont": _FONT,
        "labelFlush": False,
    },
    "legend": {"labelColor": MUTED, "labelFont": _FONT, "labelFontSize": 11},
    "header": {"labelColor": INK, "labelFont": _FONT, "labelFontWeight": 600},
    "text": {"font": _FONT},
    "title": {"color": INK, "font": _FONT},
}

# Of matplotlib's markers, as shapes of Vega or as paths in a square from -1 to 1.
_SHAPES = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
    "p": "M0,-1L.95,-.31L.59,.81L-.59,.81L-.95,-.31Z",
}


@dataclass(frozen=True)
class LossScales:
    """How a chart turns the number of a loss into its look.

    Attributes:
        color_of_loss: The color as the outcome of a condition.
    """

    color: alt.Color
    color_of_loss: Any
    fill: alt.Fill
    shape: alt.Shape
    dash: alt.StrokeDash


def loss_scales(styles: Mapping[str, LossStyle], labels: Sequence[str]) -> LossScales:
    """Return the scales of all losses, by their place in the study."""
    looks = list(styles.values())
    places = list(range(len(labels)))

    def scale(values: Sequence[Any]) -> alt.Scale:
        return alt.Scale(domain=places, range=list(values))

    color = scale([_color(look.color) for look in looks])
    return LossScales(
        color=alt.Color("loss:N", scale=color, legend=None),
        color_of_loss=alt.Fill("loss:N", scale=color, legend=None),
        fill=alt.Fill(
            "loss:N", scale=scale([_color(look.face) for look in looks]), legend=None
        ),
        shape=alt.Shape(
            "loss:N", scale=scale([_SHAPES[look.marker] for look in looks]), legend=None
        ),
        dash=alt.StrokeDash(
            "loss:N", scale=scale([_dash(look.dash) for look in looks]), legend=None
        ),
    )


def _color(color: str) -> str:
    return {style.BLUE: _BLUE, style.PAPER: PAPER}.get(color, color)


def _dash(dash: Any) -> list[float]:  # noqa: ANN401 - a line style of matplotlib
    return [1, 0] if dash == "-" else [2 * each for each in dash[1]]
