"""Pictures of what chance does to binned errors."""

import numpy as np
from matplotlib.figure import Figure

from calibench import metrics
from calibench.binning import equal_width, summarize
from calibench.lab.report.style import INK, MUTED
from calibench.metrics.calibration_error import (
    mean_size,
    pair_products,
    root_mean_square,
)
from calibench.metrics.redraw import redrawn_bins
from canvas import CHANCE, OTHER, OVER, UNDER, note, panels, sample, sharper


def noise_floor() -> Figure:
    """ECE of redrawn labels, and the bootstrap that never sees 0."""
    some = sample(sharper(1.0), 2000)
    bins = equal_width(some.confidence, 15)
    redrawn = mean_size(redrawn_bins(bins, some.confidence, 4000, seed=0))
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
    redrawn = np.abs(redrawn_bins(bins, some.confidence, 2000, seed=0).gap)
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


def debiased_l2() -> Figure:
    """Squared errors over many test sets, as n grows."""
    sizes = [200, 500, 1000, 2000, 5000, 10_000]
    scores = {n: _squares(n, trials=300) for n in sizes}
    figure, axes = panels(2, 2.8)
    for axis, column, title in (
        (axes[0], 0, "a calibrated model"),
        (axes[1], 1, "a model 15 % too sharp"),
    ):
        for row, (name, color, dash) in enumerate(
            [("RMS error, squared", OVER, "--"), ("debiased", UNDER, "-")]
        ):
            values = np.array([scores[n][column, row] for n in sizes])
            mean, spread = values.mean(axis=1), values.std(axis=1)
            axis.plot(sizes, mean, color=color, linestyle=dash, label=name)
            axis.fill_between(
                sizes,
                mean - spread,
                mean + spread,
                color=color,
                alpha=0.18,
                linewidth=0,
            )
        truth = scores[sizes[-1]][column, 1].mean() if column else 0.0
        axis.axhline(truth, color=INK, linewidth=1, linestyle=":", label="truth")
        axis.set_xscale("log")
        axis.set_xticks([200, 1000, 10_000], ["200", "1,000", "10,000"])
        axis.minorticks_off()
        axis.set(xlabel="number of examples", xlim=(200, 10_000))
        axis.set_title(title)
    axes[0].set(ylabel="squared error")
    axes[0].legend()
    note(
        axes[1], 0.38, 0.95, "mean over 300 test sets,\n± one standard deviation", MUTED
    )
    return figure


def _squares(num_examples: int, trials: int) -> np.ndarray:
    """The RMS error squared and its debiased form, of two models, for many sets."""
    found = np.empty((2, 2, trials))
    pool = sample(sharper(1.0), 200_000, seed=1)
    sharp = sharper(1.15)(pool.logits)
    sharp_confidence = 1 / np.exp(sharp - sharp.max(1, keepdims=True)).sum(1)
    rng = np.random.default_rng(num_examples)
    for trial in range(trials):
        rows = rng.integers(pool.num_examples, size=num_examples)
        for column, confidence in enumerate((pool.confidence, sharp_confidence)):
            bins = equal_width(confidence[rows], 15)
            stats = summarize(bins, confidence[rows], pool.correct[rows])
            found[column, :, trial] = root_mean_square(stats) ** 2, pair_products(stats)
    return found
