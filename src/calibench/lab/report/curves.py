"""Curves over training: what Figure 1 and its companions draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    NullLocator,
    StrMethodFormatter,
)

from calibench.lab.report.results import Quantity, RunResult, StudyResults
from calibench.lab.report.style import INK, MUTED, LossStyle
from calibench.lab.report.summary import Estimate
from calibench.lab.report.wording import model_label

_MARKERS_PER_CURVE = 5
_COLUMNS = 3  # panels side by side in a file
_WIDE = 12.0  # a logarithmic axis from here on has room for fewer ticks a decade


@dataclass(frozen=True)
class Curve:
    """A quantity over epochs for one loss: over the seeds that did not diverge.

    Attributes:
        values: The mean, the lowest and the highest seed, by epoch.
        strays: Diverged runs, by epoch, as far as they came.
    """

    loss: str
    values: Mapping[int, Estimate]
    strays: tuple[Mapping[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The curves of one model.

    Attributes:
        floor_mean: What a calibrated model scores on average, by epoch: the mean over
            losses; empty where there is no floor.
        floor_p95: Its 95th percentile: the highest over losses.
    """

    model: str
    curves: tuple[Curve, ...]
    floor_mean: Mapping[int, float] = field(default_factory=dict)
    floor_p95: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class View:
    """How a quantity is drawn.

    Attributes:
        label: Of the vertical axis.
        scale: From the stored number to the drawn one: 100 for percent.
        is_log: Whether the vertical axis is logarithmic.
        lines: Marked heights with their labels, in stored units.
        limits: Of the vertical axis, in drawn units.
    """

    label: str
    scale: float = 100.0
    is_log: bool = False
    lines: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[float, float] | None = None


def panels(
    results: StudyResults, quantity: Quantity, *, with_floor: bool = False
) -> list[Panel]:
    """Return a panel for each model, with a curve for each loss."""
    return [
        _panel(results, model, quantity, with_floor=with_floor)
        for model in results.models
    ]


def _panel(
    results: StudyResults, model: str, quantity: Quantity, *, with_floor: bool
) -> Panel:
    cells = {loss.name: results.cell(model, loss.name) for loss in results.losses}
    curves = tuple(_curve(loss, runs, quantity) for loss, runs in cells.items())
    runs = [run for cell in cells.values() for run in cell] if with_floor else []
    means = _by_epoch(runs, Quantity(metric="floor_mean"))
    highs = _by_epoch(runs, Quantity(metric="floor_p95"))
    return Panel(
        model=model,
        curves=curves,
        floor_mean={epoch: estimate.mean for epoch, estimate in means.items()},
        floor_p95={epoch: estimate.high for epoch, estimate in highs.items()},
    )


def _curve(loss: str, runs: Sequence[RunResult], quantity: Quantity) -> Curve:
    sound = [run for run in runs if run.outcome != "diverged"]
    strays = [run.series(quantity) for run in runs if run.outcome == "diverged"]
    return Curve(loss, _by_epoch(sound, quantity), tuple(s for s in strays if s))


def _by_epoch(runs: Sequence[RunResult], quantity: Quantity) -> dict[int, Estimate]:
    all_series = [run.series(quantity) for run in runs]
    epochs = sorted({epoch for series in all_series for epoch in series})
    return {
        epoch: Estimate.over([s[epoch] for s in all_series if epoch in s])
        for epoch in epochs
    }


def shared_limits(
    of: Sequence[Panel], view: View
) -> tuple[tuple[float, float], float | None]:
    """Return one vertical range for all panels, and the highest value beyond it.

    The first sixth of training may leave the range: a network that has learned
    nothing yet must not flatten everything after it.
    """
    every = [
        (epoch, view.scale * height)
        for panel in of
        for curve in panel.curves
        for epoch, value in curve.values.items()
        for height in (value.low, value.high)
    ]
    marked = [view.scale * height for height in view.lines.values()]
    marked += [
        view.scale * p for panel in of for p in list(panel.floor_p95.values())[-1:]
    ]
    last = max((epoch for epoch, _ in every), default=1)
    kept = [height for epoch, height in every if epoch > last / 6] + marked or [0, 1]
    if view.is_log:
        # A 0 has no place on the axis and is left out.
        kept = [height for height in kept if height > 0] or [1.0]
        limits = (min(kept) / 1.3, max(kept) * 1.15)
    else:
        low, high = min(kept), max(kept)
        room = 0.06 * (high - low or 1)
        limits = (0.0 if low >= 0 else low - room, high + room)
    beyond = [height for _, height in every if height > limits[1]]
    return limits, max(beyond, default=None)


def draw_panel(
    axes: Axes, panel: Panel, view: View, styles: Mapping[str, LossStyle]
) -> None:
    """Draw the curves of a model, with bands over seeds and the noise floor below."""
    _draw_floor(axes, panel, view.scale)
    for name, height in view.lines.items():
        axes.axhline(view.scale * height, color=INK, linewidth=0.9, zorder=1.5)
        axes.annotate(
            name,
            # Below the line and at the left: curves come down from above.
            (0, view.scale * height),
            xycoords=("axes fraction", "data"),
            xytext=(4, -3),
            textcoords="offset points",
            va="top",
            fontsize="small",
            color=MUTED,
        )
    for place, curve in enumerate(panel.curves):
        _draw_curve(axes, curve, view.scale, styles[curve.loss], place)
    if view.is_log:
        axes.set_yscale("log")
        low, high = view.limits or (1, 10)
        subs = (1, 2, 5) if high / low > _WIDE else (1, 1.5, 2, 3, 5, 7)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=99))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    if view.limits is not None:
        axes.set_ylim(*view.limits)
    axes.set_title(model_label(panel.model))
    axes.set_xlabel("epoch")
    axes.set_ylabel(view.label)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.grid(visible=False, axis="x")


def _draw_floor(axes: Axes, panel: Panel, scale: float) -> None:
    if not panel.floor_p95:
        return
    epochs = list(panel.floor_p95)
    high = [scale * panel.floor_p95[epoch] for epoch in epochs]
    mean = [scale * panel.floor_mean[epoch] for epoch in epochs]
    axes.fill_between(
        epochs, 0, high, color=MUTED, alpha=0.16, linewidth=0, label="noise floor"
    )
    axes.plot(
        epochs, mean, color=MUTED, linewidth=1, linestyle=(0, (1, 2)), label="_mean"
    )


def _draw_curve(
    axes: Axes, curve: Curve, scale: float, look: LossStyle, place: int
) -> None:
    epochs = list(curve.values)
    every = max(1, len(epochs) // _MARKERS_PER_CURVE)
    if any(value.num_seeds > 1 for value in curve.values.values()):
        low = [scale * value.low for value in curve.values.values()]
        high = [scale * value.high for value in curve.values.values()]
        axes.fill_between(epochs, low, high, color=look.color, alpha=0.18, linewidth=0)
    axes.plot(
        epochs,
        [scale * value.mean for value in curve.values.values()],
        color=look.color,
        linestyle=look.dash,
        marker=look.marker,
        markerfacecolor=look.face,
        # Staggered, so that markers of close curves do not hide each other; the last
        # epoch always has one.
        markevery=(max(len(epochs) - 1 - place * every // 4, 0) % every, every),
        label=curve.loss,
    )
    for stray in curve.strays:
        heights = [scale * value for value in stray.values()]
        axes.plot(list(stray), heights, color=look.color, linewidth=0.9, label="_stray")
        axes.plot(
            [max(stray)], heights[-1:], color=look.color, marker="x", markersize=8,
            markeredgewidth=2, label="_diverged",
        )  # fmt: skip


def curves_figure(
    of: Sequence[Panel],
    view: View,
    styles: Mapping[str, LossStyle],
    labels: Mapping[str, str],
) -> Figure:
    """Return all panels in one figure with a legend, as a paper prints it.

    Args:
        of: The panels, at least one.
        view: How to draw them; its limits are shared.
        styles: The look of each loss.
        labels: The name of each loss in the legend.
    """
    columns = min(_COLUMNS, len(of))
    rows = -(-len(of) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.7 * rows + 0.5))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(of):
            axes.set_axis_off()
            continue
        draw_panel(axes, of[place], view, styles)
        axes.label_outer(remove_inner_ticks=False)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        handles,
        [labels.get(name, name) for name in names],
        loc="outside lower center",
        ncols=min(len(names), 5),
        fontsize="small",
    )
    return figure
