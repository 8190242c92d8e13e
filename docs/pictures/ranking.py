"""Pictures of how confidence ranks, and of confidence close to 1."""

import numpy as np
from matplotlib.figure import Figure

from calibench import metrics
from calibench.lab.report.style import INK, MUTED
from calibench.metrics.saturation import saturated
from calibench.predictions import Predictions
from canvas import CHANCE, OTHER, OVER, UNDER, note, panels, sample, sharper, unit_ticks


def aurc() -> Figure:
    """The risk-coverage curve between the best ranking and none."""
    some = sample(sharper(1.0), 2000)
    curve = metrics.RiskCoverage.of(some)
    error = metrics.error_rate(some)
    n = some.num_examples
    covered = np.arange(1, n + 1) / n
    best = np.maximum(covered - (1 - error), 0) / covered
    figure, (axes,) = panels(1)
    axes.axhline(error, color=MUTED, linestyle="--", label="no ranking: error rate")
    axes.plot(curve.coverage[::4], curve.risk[::4], color=OVER, label="this model")
    axes.plot(covered[::4], best[::4], color=OTHER, linestyle="-.", label="best order")
    axes.fill_between(
        covered[::8],
        best[::8],
        np.interp(covered, curve.coverage, curve.risk)[::8],
        color=OVER,
        alpha=0.25,
        linewidth=0,
    )
    unit_ticks(axes, "x")
    axes.set(
        xlabel="coverage: share of examples answered, most confident first",
        ylabel="risk",
        ylim=(0, 1.3 * error),
    )
    axes.legend(loc="upper left", ncols=3)
    axes.set_title("wrong answers among the most confident")
    area, excess = metrics.aurc(some), metrics.excess_aurc(some)
    note(axes, 0.03, 0.72, f"AURC {area:.4f}, area under the curve")
    note(axes, 0.03, 0.61, f"excess {excess:.4f}, shaded", OVER)
    return figure


def saturated_share() -> Figure:
    """Where float32 says 1, and how many examples of a model are there."""
    log_odds = np.linspace(13, 20, 561)
    exact = 1 / (1 + np.exp(log_odds))
    rounded = 1 - (1 - exact).astype(np.float32).astype(np.float64)
    figure, (left, right) = panels(2, 2.8)
    left.plot(log_odds, exact, color=UNDER, label="float64")
    left.step(log_odds, rounded, color=OVER, linestyle="--", label="float32")
    left.axvline(np.log(2**25 - 1), color=INK, linewidth=1, linestyle=":")
    left.set(xlabel="log-odds", ylabel="1 − confidence", ylim=(0, 1e-6))
    left.set_yticks([0, 5e-7, 1e-6], ["0", "5e-7", "1e-6"])
    left.legend()
    left.set_title("beyond 17.33 float32 says 1")
    factors = np.linspace(1, 8, 15)
    base = sample(sharper(1.0), 4000)
    shares = [
        metrics.saturated_share(Predictions.from_logits(f * base.logits, base.labels))
        for f in factors
    ]
    right.plot(factors, shares, "o-", color=UNDER)
    right.axhline(metrics.accuracy(base), color=OTHER, linestyle="--")
    note(right, 0.05, 0.95, f"accuracy {metrics.accuracy(base):.2f} throughout", OTHER)
    right.set(xlabel="logits, times", ylabel="saturated share", ylim=(0, 1))
    right.set_title("as logits grow")
    return figure


def log_odds_quantile() -> Figure:
    """Two models that look alike by confidence and not by log-odds."""
    models = (
        ("logits × 3", sample(sharper(3.0)), UNDER),
        ("logits × 6", sample(sharper(6.0)), OVER),
    )
    figure, (left, right) = panels(2, 2.8)
    for name, some, color in models:
        left.hist(
            some.confidence, bins=30, range=(0, 1), color=color, alpha=0.45, label=name
        )
        right.hist(some.log_odds, bins=40, range=(-5, 75), color=color, alpha=0.45)
        middle = metrics.log_odds_quantile(some)
        right.axvline(middle, color=color, linestyle="--")
    unit_ticks(left, "x")
    left.set(xlabel="confidence", ylabel="examples")
    left.legend(loc="upper left")
    left.set_title("most of it is at 1")
    right.axvline(np.log(2**25 - 1), color=CHANCE, linewidth=1, linestyle=":")
    right.set(xlabel="log-odds of the predicted class")
    beyond = int(saturated(models[1][1]).sum())
    note(right, 0.42, 0.95, "medians dashed")
    words = f"right of the dots float32\nsays 1: {beyond:,} of × 6"
    note(right, 0.42, 0.84, words, MUTED)
    right.set_title("the same models")
    return figure
