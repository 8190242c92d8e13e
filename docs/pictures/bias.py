"""Pictures of errors that take off the bias of sampling, or choose their bins."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from matplotlib.figure import Figure

from calibench import metrics
from calibench.binning import BinStats, equal_width, summarize
from calibench.lab.report.style import INK, MUTED
from calibench.metrics.calibration_error import (
    mean_size,
    pair_products,
    root_mean_square,
)
from calibench.metrics.debiased import size_less_bias
from canvas import OTHER, OVER, UNDER, note, panels, sample, sharper, unit_ticks

_TRIALS = 300
_SIZES = (200, 500, 1000, 2000, 5000, 10_000)
_MODELS = {"a calibrated model": 1.0, "a model 15 % too sharp": 1.15}

Score = Callable[[BinStats], float]


@cache
def _many_sets() -> dict[str, tuple[BinStats, list[list[BinStats]]]]:
    """For each model its population in bins, and many test sets of each size."""
    pool = sample(sharper(1.0), 200_000, seed=1)
    rng = np.random.default_rng(0)
    # The chance of being right is known: it is the calibrated model's confidence.
    drawn = [
        [(rows, rng.random(n) < pool.confidence[rows]) for rows in of_size]
        for n in _SIZES
        for of_size in (rng.integers(200_000, size=(_TRIALS, n)),)
    ]
    found = {}
    for name, factor in _MODELS.items():
        logits = factor * pool.logits
        confidence = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
        bins = equal_width(confidence, 15)
        right = np.bincount(bins.index, pool.confidence, 15)
        labeled = summarize(bins, confidence, pool.correct)
        truth = replace(labeled, accuracy=right[right > 0] / labeled.count)
        sets = [
            [
                summarize(equal_width(confidence[rows], 15), confidence[rows], correct)
                for rows, correct in of_size
            ]
            for of_size in drawn
        ]
        found[name] = (truth, sets)
    return found


def _against_n(ylabel: str, truth_by: Score, scores: dict[str, Score]) -> Figure:
    figure, axes = panels(2, 2.8)
    for axis, (title, (truth, sets)) in zip(axes, _many_sets().items(), strict=True):
        for (name, score), color, dash in zip(
            scores.items(), (OVER, UNDER), ("--", "-"), strict=True
        ):
            values = np.array([[score(stats) for stats in each] for each in sets])
            mean, spread = values.mean(axis=1), values.std(axis=1)
            axis.plot(_SIZES, mean, color=color, linestyle=dash, label=name)
            low, high = mean - spread, mean + spread
            axis.fill_between(_SIZES, low, high, color=color, alpha=0.18, linewidth=0)
        axis.axhline(
            float(truth_by(truth)), color=INK, linewidth=1, linestyle=":", label="truth"
        )
        axis.set_xscale("log")
        axis.set_xticks([200, 1000, 10_000], ["200", "1,000", "10,000"])
        axis.minorticks_off()
        axis.set(xlabel="number of examples", xlim=(200, 10_000))
        axis.set_title(title)
    axes[0].set(ylabel=ylabel)
    axes[0].legend()
    words = f"mean over {_TRIALS} test sets,\n± one standard deviation"
    note(axes[1], 0.36, 0.95, words, MUTED)
    return figure


def _square(stats: BinStats) -> float:
    return float(root_mean_square(stats)) ** 2


def debiased_l2() -> Figure:
    """Squared errors over many test sets, as n grows."""
    scores = {"RMS error, squared": _square, "debiased": pair_products}
    return _against_n("squared error", _square, scores)


def debiased_l1() -> Figure:
    """ECE and its debiased sibling over many test sets, as n grows."""
    scores = {"ECE": mean_size, "debiased": size_less_bias}
    return _against_n("error", mean_size, scores)


def ece_sweep() -> Figure:
    """The last number of bins that ascends, and the first that does not."""
    some = sample(sharper(0.8), 1000, seed=4)
    most = metrics.sweep_num_bins(some)
    figure, axes = panels(2, 3.0, sharey=True)
    for axis, num_bins in zip(axes, (most, most + 1), strict=True):
        stats = metrics.top_label_bins(some, num_bins=num_bins, scheme="equal_mass")
        axis.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
        falls = np.diff(stats.accuracy, prepend=0) < 0
        axis.plot(stats.confidence, stats.accuracy, "-", color=UNDER, linewidth=1)
        axis.plot(stats.confidence[~falls], stats.accuracy[~falls], "o", color=UNDER)
        axis.plot(stats.confidence[falls], stats.accuracy[falls], "s", color=OVER)
        unit_ticks(axis)
        axis.set(xlabel="confidence")
        axis.set_title(f"{num_bins} bins {'fall' if falls.any() else 'ascend'}")
    axes[0].set(ylabel="accuracy")
    words = f"the sweep ends here:\nerror {metrics.ece_sweep(some):.4f}"
    note(axes[0], 0.06, 0.95, words, OTHER)
    note(axes[1], 0.06, 0.95, "square: less accurate\nthan the bin before", OVER)
    return figure
