"""Pictures of the binned errors of the predicted class."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibench import metrics
from calibench.binning import BinStats, equal_mass
from calibench.lab.report.style import INK, MUTED
from canvas import OTHER, OVER, UNDER, mixed, note, panels, sample, sharper, unit_ticks


def _diagram(axes: Axes, stats: BinStats) -> None:
    color = [OVER if gap > 0 else UNDER for gap in stats.gap]
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    axes.vlines(stats.confidence, stats.confidence, stats.accuracy, color=color)
    axes.scatter(
        stats.confidence,
        stats.accuracy,
        s=10 + 150 * stats.weight,
        color=color,
        zorder=3,
        clip_on=False,
    )
    unit_ticks(axes)
    axes.set(xlabel="confidence", ylabel="accuracy")


def _areas(axes: Axes, stats: BinStats) -> None:
    """Draw each gap as wide as its bin's share: the areas add up to ECE."""
    starts = np.concatenate([[0.0], np.cumsum(stats.weight)[:-1]])
    over = stats.gap > 0
    for chosen, color in ((over, OVER), (~over, UNDER)):
        axes.bar(
            starts[chosen],
            np.abs(stats.gap[chosen]),
            stats.weight[chosen],
            bottom=np.minimum(stats.confidence, stats.accuracy)[chosen],
            align="edge",
            color=color,
            alpha=0.45,
            linewidth=0,
        )
    ends = np.append(starts, 1)
    for values, color in ((stats.confidence, INK), (stats.accuracy, OTHER)):
        axes.stairs(values, ends, color=color, linewidth=1.4, baseline=None)
    unit_ticks(axes)
    axes.set(xlabel="share of examples, by confidence")


def top_label_ece() -> Figure:
    """A reliability diagram, and the same gaps as areas."""
    some = sample(sharper(1.7))
    stats = metrics.top_label_bins(some)
    figure, (left, right) = panels(2, 3.0)
    _diagram(left, stats)
    left.set_title("the gap of each bin")
    _areas(right, stats)
    right.set_title("as wide as its share: the area is ECE")
    note(right, 0.5, 0.55, "mean confidence", INK)
    note(right, 0.5, 0.45, "accuracy", OTHER)
    note(right, 0.5, 0.3, f"area = ECE = {metrics.top_label_ece(some):.4f}", OVER)
    return figure


def top_label_ece_equal_mass() -> Figure:
    """Where examples are, and where the bins of either scheme are."""
    some = sample(sharper(1.7))
    figure, axes = panels(2, sharey=True)
    for each, scheme in zip(axes, ("equal_width", "equal_mass"), strict=True):
        stats = metrics.top_label_bins(some, scheme=scheme)
        each.bar(
            stats.lo,
            stats.weight,
            stats.hi - stats.lo,
            align="edge",
            color=OTHER,
            alpha=0.5,
            edgecolor=INK,
            linewidth=0.6,
        )
        unit_ticks(each, "x")
        most = f"largest bin: {100 * stats.weight.max():.0f} % of the examples"
        note(each, 0.04, 0.95, f"{len(stats.count)} bins\n{most}")
        each.set(xlabel="confidence")
        each.set_title(scheme.replace("_", " "))
    axes[0].set(ylabel="share of examples")
    return figure


def overconfidence() -> Figure:
    """The areas of a model that errs in both directions."""
    some = sample(mixed)
    figure, (left, right) = panels(2, 3.0)
    stats = metrics.top_label_bins(some)
    _diagram(left, stats)
    left.set_title("gaps of both signs")
    _areas(right, stats)
    right.set_title("two areas")
    over, under = metrics.overconfidence(some), metrics.underconfidence(some)
    gap = metrics.confidence_gap(some)
    note(right, 0.36, 0.47, f"over-confidence: {over:.4f}", OVER)
    note(right, 0.36, 0.37, f"under-confidence: {under:.4f}", UNDER)
    note(right, 0.36, 0.25, f"their sum, ECE: {metrics.top_label_ece(some):.4f}")
    note(right, 0.36, 0.15, f"their difference, the gap: {gap:+.4f}")
    return figure


def rms_calibration_error() -> Figure:
    """What each bin contributes to ECE and to its quadratic sibling."""
    some = sample(sharper(1.7))
    stats = metrics.top_label_bins(some, scheme=equal_mass)
    sizes = stats.weight * np.abs(stats.gap)
    squares = stats.weight * stats.gap**2
    place = np.arange(len(sizes))
    figure, (axes,) = panels(1)
    axes.bar(
        place - 0.2, sizes / sizes.sum(), 0.4, color=UNDER, label="of ECE: w |gap|"
    )
    axes.bar(
        place + 0.2,
        squares / squares.sum(),
        0.4,
        color=OVER,
        label="of the squared error: w gap²",
    )
    axes.set_xticks(place, [f"{size:.2f}" for size in np.abs(stats.gap)])
    axes.set(xlabel="|gap| of the bin, from least to most confident", ylabel="share")
    axes.legend()
    axes.set_title("what each bin contributes")
    axes.grid(visible=False, axis="x")
    return figure
