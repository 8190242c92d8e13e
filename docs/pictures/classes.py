"""Pictures of errors class by class, and of the kernel that replaces bins."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from calibench import metrics
from calibench.binning import equal_width, summarize
from calibench.lab.report.style import INK, MUTED, PAPER
from calibench.metrics.classwise import class_cells
from calibench.metrics.smooth import KernelSums, at_edges, cosine_series, damped
from canvas import (
    NUM_CLASSES,
    OTHER,
    OVER,
    UNDER,
    mixed,
    note,
    panels,
    sample,
    sharper,
    unit_ticks,
)

_SIGNED = LinearSegmentedColormap.from_list("signed", [UNDER, PAPER, OVER])


def classwise_ece() -> Figure:
    """The cells of a model that overstates one class and understates another."""

    def shifted(logits: np.ndarray) -> np.ndarray:
        bias = np.zeros(NUM_CLASSES)
        bias[3], bias[7] = 1.0, -1.0
        return logits + bias

    some = sample(shifted)
    cells = class_cells(some, 15, equal_width)
    gap = (cells.total - cells.hits) / some.num_examples
    figure, (left, right) = panels(2, 3.0)
    drawn = left.pcolormesh(
        np.arange(16) / 15,
        np.arange(NUM_CLASSES + 1) - 0.5,
        100 * gap,
        cmap=_SIGNED,
        vmin=-1,
        vmax=1,
        edgecolors="face",
        linewidth=0.2,
    )
    bar = figure.colorbar(drawn, ax=left, ticks=[-1, 0, 1])
    bar.set_label("stated − observed, points")
    bar.outline.set_visible(False)
    unit_ticks(left, "x")
    left.set(xlabel="probability of the class", ylabel="class")
    left.set_yticks(range(NUM_CLASSES))
    left.grid(visible=False)
    left.set_title("every class, every bin")
    size = np.abs(gap).sum(axis=1)
    right.barh(range(NUM_CLASSES), size, color=MUTED, alpha=0.5)
    value = metrics.classwise_ece(some)
    right.axvline(value, color=INK)
    right.set_yticks(range(NUM_CLASSES))
    right.set(xlabel="error of the class", ylim=(-0.5, NUM_CLASSES - 0.5))
    right.grid(visible=False, axis="y")
    right.set_title("their mean is the class-wise error")
    top = metrics.top_label_ece(some)
    note(right, 0.36, 0.62, f"mean {value:.4f}\n(top-label ECE {top:.4f})")
    return figure


def smooth_ece() -> Figure:
    """The smoothed residual at the chosen width, and how the width is chosen."""
    some = sample(mixed, 2000)
    value = metrics.smooth_ece(some)
    gap = some.confidence - some.correct
    series = damped(cosine_series(some.confidence, gap, 2**11, len(gap)), value)
    curve, t = at_edges(series), np.linspace(0, 1, 2**11 + 1)
    # Every eighth point is enough for the eye.
    curve, t = curve[::8], t[::8]
    figure, (left, right) = panels(2, 2.9)
    for chosen, color in ((curve > 0, OVER), (curve <= 0, UNDER)):
        left.fill_between(
            t, curve, 0, where=chosen, color=color, alpha=0.45, linewidth=0
        )
    left.plot(t, curve, color=INK, linewidth=1.2)
    left.axhline(0, color=MUTED, linewidth=1)
    unit_ticks(left, "x")
    left.set(xlabel="confidence", ylabel="smoothed residual")
    left.set_title(f"the area is smECE = {value:.4f}")
    widths = np.geomspace(0.004, 0.3, 40)
    kernel = KernelSums(some.confidence, gap, len(gap))
    right.plot(widths, [kernel.error(w) for w in widths], color=UNDER)
    right.plot(widths, widths, color=MUTED, linewidth=1, linestyle="--")
    right.plot(value, value, "o", color=OVER, zorder=3)
    right.set_xscale("log")
    right.set_xticks([0.01, 0.1], ["0.01", "0.1"])
    right.minorticks_off()
    right.set(xlabel="width σ of the kernel", ylabel="area", ylim=(0, 0.12))
    right.set_title("the width that equals its area")
    note(right, 0.05, 0.3, "dashed: area = σ", MUTED)
    return figure


def top_k_ece() -> Figure:
    """Claims of the likeliest classes together, and of each rank alone."""
    some = sample(sharper(1.7))
    figure, (left, right) = panels(2, 3.0)
    left.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    ranked = np.sort(some.probs, axis=1)[:, ::-1]
    of_label = some.probs[np.arange(some.num_examples), some.labels]
    position = (some.probs > of_label[:, None]).sum(axis=1)
    for k, color, dash in ((1, OVER, "-"), (2, UNDER, "--"), (5, OTHER, "-.")):
        claimed = np.minimum(ranked[:, :k].sum(axis=1), 1.0)
        stats = summarize(equal_width(claimed, 15), claimed, position < k)
        kept = stats.count > 20
        value = metrics.top_k_ece(some, k=k)
        left.plot(
            stats.confidence[kept],
            stats.accuracy[kept],
            color=color,
            linestyle=dash,
            label=f"top {k}: {value:.3f}",
        )
    unit_ticks(left)
    left.set(xlabel="claimed together", ylabel="share with the label")
    left.legend()
    left.set_title("among the k likeliest")
    ranks = np.arange(1, 6)
    errors = [metrics.kth_class_ece(some, k=int(k)) for k in ranks]
    right.bar(ranks, errors, color=MUTED, alpha=0.5)
    right.set(xlabel="rank of the class", ylabel="error of that rank alone")
    right.grid(visible=False, axis="x")
    right.set_title("rank by rank")
    return figure
