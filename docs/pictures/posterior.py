"""Pictures of errors against a known posterior."""

import numpy as np
from matplotlib.figure import Figure

from calibench import metrics
from calibench.lab.report.style import INK, MUTED
from calibench.predictions import Predictions
from canvas import CORNERS, OTHER, OVER, UNDER, note, panels, sample, sharper


def true_canonical_l1() -> Figure:
    """Predictions and posteriors on the triangle; judges and the bias they leave."""
    rng = np.random.default_rng(0)
    logits = 1.2 * rng.normal(size=(2000, 3))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    truth = Predictions.from_logits(logits, labels).probs
    some = Predictions.from_logits(2.2 * logits, labels)
    figure, (left, right) = panels(2, 3.0)
    left.fill(*CORNERS.T, facecolor="none", edgecolor=MUTED)
    start, end = (rows[:70] @ CORNERS for rows in (truth, some.probs))
    left.plot(
        *np.stack([start, end], axis=1).transpose(2, 1, 0),
        color=OVER,
        linewidth=0.8,
        alpha=0.6,
    )
    left.plot(*start.T, ".", color=OTHER, markersize=4)
    left.plot(*end.T, ".", color=OVER, markersize=4)
    left.set_axis_off()
    left.set_aspect("equal")
    left.set_title("from the posterior to the model")
    note(left, -0.05, 0.97, "posterior", OTHER)
    note(left, -0.05, 0.89, "model, too sharp", OVER)
    judges = np.array([2, 3, 5, 10, 20, 50])
    counts = [rng.multinomial(m, truth) for m in judges]
    shares = [each / m for each, m in zip(counts, judges, strict=True)]
    plain = [((each - some.probs) ** 2).sum(axis=1).mean() for each in shares]
    freed = [
        metrics.true_canonical_l2_squared(some, metrics.Truth.from_counts(c))
        for c in counts
    ]
    right.plot(judges, plain, "s--", color=OVER, label="shares taken for the truth")
    right.plot(judges, freed, "o-", color=UNDER, label="freed of their noise")
    exact = metrics.true_canonical_l2_squared(some, truth)
    right.axhline(exact, color=INK, linewidth=1, linestyle=":", label="the truth")
    right.set_xscale("log")
    right.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    right.minorticks_off()
    right.set(xlabel="judges of an example", ylabel="squared distance", ylim=(0, None))
    right.legend()
    right.set_title("from people's counts")
    return figure


def soft_label_nll() -> Figure:
    """The NLL of drawn labels, and of the posterior itself, over many test sets."""
    pool = sample(sharper(1.0), 20_000)
    some = Predictions.from_logits(1.3 * pool.logits, pool.labels)
    rng = np.random.default_rng(0)
    drawn, soft, least = [], [], []
    for _ in range(400):
        rows = rng.integers(20_000, size=500)
        logits = pool.logits[rows]
        labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
        each = Predictions.from_logits(some.logits[rows], labels)
        drawn.append(metrics.nll(each))
        soft.append(metrics.soft_label_nll(each, pool.probs[rows]))
        least.append(soft[-1] - metrics.true_kl(each, pool.probs[rows]))
    figure, (axes,) = panels(1)
    shared = {"bins": 50, "range": (0.58, 0.98), "alpha": 0.5}
    axes.hist(drawn, color=OVER, label="NLL of drawn labels", **shared)
    axes.hist(soft, color=UNDER, label="soft-label NLL", **shared)
    axes.hist(least, color=OTHER, label="entropy of the posterior", **shared)
    middle, low = np.mean(soft), np.mean(least)
    top = axes.get_ylim()[1]
    axes.annotate(
        "",
        (middle, 1.06 * top),
        (low, 1.06 * top),
        arrowprops={"arrowstyle": "<->", "color": INK},
    )
    axes.text(
        low - 0.005, 1.06 * top, f"KL {middle - low:.3f}", ha="right", va="center"
    )
    axes.set(xlabel="nats, 400 test sets of 500 examples", ylabel="test sets")
    axes.set_ylim(0, 1.12 * top)
    axes.legend(loc="upper right")
    axes.set_title("the same examples, with labels and with the truth")
    return figure
