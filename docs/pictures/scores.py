"""Pictures of averages over examples: accuracy, proper scores, temperature, truth."""

import numpy as np
from matplotlib.figure import Figure

from calibench import metrics
from calibench.lab.report.style import INK, MUTED
from calibench.metrics.intervals import of_share
from calibench.posthoc import Temperature
from calibench.predictions import Predictions
from canvas import (
    CHANCE,
    OTHER,
    OVER,
    UNDER,
    note,
    panels,
    sample,
    sharper,
    true_logits,
    unit_ticks,
)


def accuracy() -> Figure:
    """Wilson's interval against the plain one, as n grows."""
    share, sizes = 0.95, 20 * np.unique(np.geomspace(1, 500, 40).astype(int))
    wilson = np.array([of_share(int(share * n), int(n), 0.95) for n in sizes])
    half = 1.96 * np.sqrt(share * (1 - share) / sizes)
    figure, (axes,) = panels(1)
    axes.fill_between(sizes, *wilson.T, color=OTHER, alpha=0.35, linewidth=0)
    axes.plot(sizes, share - half, color=OVER, linestyle="--")
    axes.plot(sizes, share + half, color=OVER, linestyle="--")
    axes.axhline(share, color=INK, linewidth=1)
    axes.axhline(1, color=MUTED, linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks([20, 100, 1000, 10_000], ["20", "100", "1,000", "10,000"])
    axes.minorticks_off()
    axes.set(xlabel="number of examples", ylabel="accuracy", xlim=(20, 10_000))
    axes.set_title("95 % interval of an accuracy of .95")
    note(axes, 0.3, 0.28, "Wilson's interval", OTHER)
    note(axes, 0.3, 0.18, "dashed: ± 1.96 standard errors, at first beyond 1", OVER)
    return figure


def nll() -> Figure:
    """The price of one label, and who pays most of it."""
    figure, (left, right) = panels(2)
    p = np.linspace(0.001, 1, 400)
    left.plot(p, -np.log(p), color=UNDER, label="NLL: −ln p")
    left.plot(p, 2 * (1 - p) ** 2, color=OVER, linestyle="--", label="Brier, 2 classes")
    left.set(xlabel="probability given to the label", ylabel="cost", ylim=(0, 7))
    unit_ticks(left, "x")
    left.legend()
    left.set_title("what one example costs")
    some = sample(sharper(1.7))
    costs = np.sort(-some.label_log_probs)[::-1]
    paid = np.cumsum(costs) / costs.sum()
    share = np.arange(1, len(costs) + 1) / len(costs)
    right.plot(share, paid, color=UNDER)
    tenth = paid[len(costs) // 10 - 1]
    right.plot([0.1, 0.1, 0], [0, tenth, tenth], color=MUTED, linewidth=1)
    right.set(xlabel="share of examples, dearest first", ylabel="share of the NLL")
    unit_ticks(right)
    note(
        right,
        0.16,
        0.72,
        f"a tenth of the examples\nmakes {100 * tenth:.0f} % of the NLL",
    )
    right.set_title("of an over-confident model")
    return figure


def brier() -> Figure:
    """What a model that knows the truth should report under three scores."""
    truth, p = 0.7, np.linspace(0.005, 0.995, 397)
    curves = {
        "Brier score": (2 * truth * (1 - p) ** 2 + 2 * (1 - truth) * p**2, UNDER, "-"),
        "NLL": (-truth * np.log(p) - (1 - truth) * np.log(1 - p), OTHER, "-."),
        "|p − outcome|, not proper": (truth * (1 - p) + (1 - truth) * p, OVER, "--"),
    }
    figure, (axes,) = panels(1)
    for name, (cost, color, dash) in curves.items():
        axes.plot(p, cost, color=color, linestyle=dash, label=name)
        best = int(cost.argmin())
        axes.plot(p[best], cost[best], "o", color=color, clip_on=False)
    axes.axvline(truth, ymax=0.8, color=MUTED, linewidth=1)
    unit_ticks(axes, "x")
    axes.set(xlabel="probability reported", ylabel="expected cost", ylim=(0, 2))
    axes.set_title("the true probability is .7; dots mark the cheapest report")
    axes.legend(loc="upper center", ncols=3)
    return figure


def confidence_gap() -> Figure:
    """A histogram of confidence, its mean, and the accuracy."""
    some = sample(sharper(1.7))
    figure, (axes,) = panels(1)
    axes.hist(some.confidence, bins=40, range=(0, 1), color=CHANCE, alpha=0.4)
    low, high = metrics.accuracy(some), metrics.mean_confidence(some)
    top = axes.get_ylim()[1]
    axes.axvline(low, color=OTHER)
    axes.axvline(high, color=INK, linestyle="--")
    axes.annotate(
        "",
        (high, 0.55 * top),
        (low, 0.55 * top),
        arrowprops={"arrowstyle": "->", "color": OVER, "linewidth": 1.8},
    )
    axes.text(low - 0.01, 0.9 * top, f"accuracy {low:.3f}", ha="right", color=OTHER)
    axes.text(
        low - 0.01, 0.75 * top, f"mean confidence {high:.3f} (dashed)", ha="right"
    )
    gap = f"gap {metrics.confidence_gap(some):+.3f}"
    axes.text(low - 0.01, 0.55 * top, gap, ha="right", va="center", color=OVER)
    unit_ticks(axes, "x")
    axes.set(xlabel="confidence", ylabel="examples")
    axes.set_title("more is claimed than delivered")
    return figure


def optimal_temperature() -> Figure:
    """NLL and ECE along the temperature."""
    some = sample(sharper(1.7))
    best = metrics.optimal_temperature(some)
    values = np.geomspace(0.5, 4, 33)
    scaled = [Temperature(float(value)).apply(some) for value in values]
    figure, axes = panels(2)
    shown = (("NLL, nats", metrics.nll), ("ECE", metrics.top_label_ece))
    for each, (name, metric) in zip(axes, shown, strict=True):
        each.plot(values, [metric(other) for other in scaled], color=UNDER)
        each.axvline(best, color=INK, linewidth=1, linestyle="--")
        each.plot(1, metric(some), "o", color=OVER)
        each.set_xscale("log")
        each.set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
        each.minorticks_off()
        each.set(xlabel="temperature", ylabel=name, ylim=(0, None))
    note(axes[0], 0.08, 0.5, "as given", OVER)
    note(axes[0], 0.62, 0.95, f"T* = {best:.2f}")
    axes[0].set_title("the NLL has one minimum")
    axes[1].set_title("ECE there is near its floor")
    return figure


def true_calibration_error() -> Figure:
    """A model that is calibrated, and ignorant about single examples."""
    rng = np.random.default_rng(0)
    logits = true_logits(rng, 4000)[:, :2]
    # The model sees the first logit alone, and says what is true on average for it.
    positive = 1 / (1 + np.exp(logits[:, 1] - logits[:, 0]))
    order = np.argsort(logits[:, 0])
    said = np.empty(len(positive))
    said[order] = np.convolve(
        np.pad(positive[order], 100, mode="edge"), np.ones(201) / 201, mode="valid"
    )
    some = Predictions.from_probs(said, (rng.random(4000) < positive).astype(int))
    posterior = np.stack([1 - positive, positive], axis=1)
    truth = posterior[np.arange(4000), some.predicted]
    stats = metrics.top_label_bins(some)
    figure, (axes,) = panels(1, 3.2)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    axes.plot(
        some.confidence[:250], truth[:250], ".", color=UNDER, markersize=3, alpha=0.6
    )
    axes.plot(stats.confidence, stats.accuracy, "s-", color=OVER)
    unit_ticks(axes)
    axes.set_xlim(0.45, 1)
    axes.set_xticks([0.5, 0.75, 1], ["0.5", "0.75", "1"])
    axes.set(xlabel="confidence", ylabel="probability of being right")
    ece = metrics.top_label_ece(some)
    error = metrics.true_calibration_error(some, posterior)
    axes.set_title(
        f"bins (squares): ECE {ece:.3f};  examples (dots): true error {error:.3f}"
    )
    return figure
