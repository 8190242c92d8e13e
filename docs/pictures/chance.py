"""Pictures of what chance does to binned errors."""

import numpy as np
from matplotlib.figure import Figure

from calibench import metrics
from calibench.binning import equal_width, summarize
from calibench.lab.report.style import INK
from calibench.metrics.calibration_error import mean_size
from calibench.metrics.redraw import Drawing, redrawn_bins
from canvas import CHANCE, OTHER, OVER, UNDER, panels, sample, sharper


def noise_floor() -> Figure:
    """ECE of redrawn labels, and the bootstrap that never sees 0."""
    some = sample(sharper(1.0), 2000)
    bins = equal_width(some.confidence, 15)
    redrawn = mean_size(redrawn_bins(bins, Drawing(some.confidence, 4000, 0)))
    rng = np.random.default_rng(0)
    again = [
        _ece_of(some.confidence[rows], some.correct[rows])
        for rows in rng.integers(2000, size=(1000, 2000))
    ]
    figure, (axes,) = panels(1)
    shared = {"bins": 40, "range": (0, 0.05), "density": True, "alpha": 0.5}
    axes.hist(redrawn, color=CHANCE, label="redrawn as if calibrated: floor", **shared)
    axes.hist(again, color=OVER, label="bootstrap of the examples", **shared)
    value = metrics.top_label_ece(some)
    axes.axvline(value, color=INK, label=f"ECE of this model: {value:.4f}")
    axes.axvline(0, color=OTHER, linewidth=2.5, label="the truth: 0")
    axes.set(xlabel="ECE, 15 bins", xlim=(-0.001, 0.05))
    axes.set_yticks([])
    axes.legend()
    axes.set_title("a calibrated model, n = 2,000")
    return figure


def _ece_of(confidence: np.ndarray, correct: np.ndarray) -> float:
    return float(mean_size(summarize(equal_width(confidence, 15), confidence, correct)))


def max_calibration_error() -> Figure:
    """Gaps against the number of examples behind them."""
    some = sample(sharper(1.0), 1000)
    bins = equal_width(some.confidence, 30)
    stats = summarize(bins, some.confidence, some.correct)
    redrawn = np.abs(redrawn_bins(bins, Drawing(some.confidence, 2000, 0)).gap)
    figure, (axes,) = panels(1)
    order = np.argsort(stats.count)
    high = np.quantile(redrawn, 0.95, axis=0)
    axes.vlines(
        stats.count[order],
        0,
        high[order],
        color=CHANCE,
        alpha=0.4,
        linewidth=5,
        label="95 % of calibrated models",
    )
    axes.plot(stats.count, np.abs(stats.gap), "o", color=UNDER, label="gap of a bin")
    worst = int(np.abs(stats.gap).argmax())
    axes.plot(
        stats.count[worst],
        np.abs(stats.gap)[worst],
        "o",
        color=OVER,
        label="the maximum",
    )
    axes.set_xscale("log")
    axes.set_xticks([1, 10, 100], ["1", "10", "100"])
    axes.minorticks_off()
    axes.set(xlabel="examples in the bin", ylabel="|gap|", ylim=(0, None))
    axes.set_title("a calibrated model, n = 1,000, 30 bins")
    axes.legend()
    return figure
