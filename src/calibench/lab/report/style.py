"""One look for every figure: a color, a dash and a marker for each kind of loss."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.patches import PathPatch
from matplotlib.transforms import Affine2D

from calibench.lab.report.results import LossEntry

# Neutral colors, which the page replaces by those of its light or dark mode. No loss
# has one of them.
INK = "#1b1f24"
MUTED = "#5b6570"
GRID = "#d9dee3"
PAPER = "#fefefe"

BLUE = "#0072b2"  # lightened in dark mode, where it is too dark a blue

_POINTS = 72  # an inch

_RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.titlecolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "pdf.fonttype": 42,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # a name with a $ is a name
}


@dataclass(frozen=True)
class LossStyle:
    """How a loss is drawn, the same in every figure.

    Attributes:
        dash: A matplotlib line style.
        is_hollow: Whether markers are only outlined: every second loss of a kind.
    """

    color: str
    dash: Any
    marker: str
    is_hollow: bool = False

    @property
    def face(self) -> str:
        """The color inside a marker."""
        return PAPER if self.is_hollow else self.color


_SOLID, _DASHED, _DOTTED = "-", (0, (5, 2)), (0, (1.2, 1.4))
_DASH_DOT, _LONG = (0, (6, 1.6, 1.2, 1.6)), (0, (9, 2.5))

# Okabe and Ito's palette. The first four keep a contrast of 3 on white and on black.
_KINDS: dict[str, LossStyle] = {
    "cross_entropy": LossStyle(BLUE, _SOLID, "o"),
    "lp_norm": LossStyle("#d55e00", _DASHED, "s"),
    "entropy": LossStyle("#009e73", _DASH_DOT, "^"),
    "focal": LossStyle("#cc79a7", _DOTTED, "D"),
}
_OTHERS = (
    LossStyle("#e69f00", _LONG, "v"),
    LossStyle("#56b4e9", _DASHED, "P"),
    LossStyle("#8c8c8c", _DASH_DOT, "X"),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
_DASHES = (_SOLID, _DASHED, _DASH_DOT, _DOTTED, _LONG)


def loss_styles(losses: Sequence[LossEntry]) -> dict[str, LossStyle]:
    """Return the style of every loss, by name.

    A kind always has its color, whatever else a study holds. Further losses of a kind
    share the color and take other dashes and markers; kinds beside the study's four
    take the colors that are left.
    """
    kinds = list(dict.fromkeys(loss.kind for loss in losses))
    unknown = [kind for kind in kinds if kind not in _KINDS]
    # Colors come again, with other dashes and markers.
    others = [_variant(_OTHERS[i % 3], i // 3) for i in range(len(unknown))]
    first = _KINDS | dict(zip(unknown, others, strict=True))
    seen: dict[str, int] = {}
    styles = {}
    for loss in losses:
        variant = seen[loss.kind] = seen.get(loss.kind, -1) + 1
        styles[loss.name] = _variant(first[loss.kind], variant)
    return styles


def _variant(style: LossStyle, variant: int) -> LossStyle:
    if variant == 0:
        return style
    marker = _MARKERS[(_MARKERS.index(style.marker) + 3 * variant) % len(_MARKERS)]
    dash = _DASHES[(_DASHES.index(style.dash) + variant) % len(_DASHES)]
    return LossStyle(style.color, dash, marker, is_hollow=variant % 2 == 1)


@contextmanager
def drawing(**more: Any) -> Iterator[None]:  # noqa: ANN401 - matplotlib's settings
    """Make figures in the house's look; nothing outlives the block."""
    # From the defaults: a user's matplotlibrc must not change a report.
    settings: Any = dict(mpl.rcParamsDefault) | _RC | more
    with mpl.rc_context({k: v for k, v in settings.items() if k != "backend"}):
        yield


def draw_sample(figure: Figure, look: LossStyle) -> None:
    """Fill a figure with a piece of a loss's line and its marker, for a legend."""
    width, height = (_POINTS * size for size in figure.get_size_inches())
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(0, height))
    middle = (width / 2, height / 2)
    axes.plot(
        [0, width],
        [middle[1]] * 2,
        color=look.color,
        linestyle=look.dash,
        clip_on=False,
    )
    # As a shape and not as a marker, which would need an id: a sample stands in a page
    # many times over.
    marker = MarkerStyle(look.marker)
    size = mpl.rcParams["lines.markersize"]
    place = marker.get_transform() + Affine2D().scale(size).translate(*middle)
    axes.add_patch(
        PathPatch(
            marker.get_path().transformed(place),
            facecolor=look.face,
            edgecolor=look.color,
            clip_on=False,
        )
    )
