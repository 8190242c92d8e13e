"""Reliability diagrams: accuracy against confidence, and what chance would do."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibench.lab.report.judged import NUM_BINS
from calibench.lab.report.style import INK, MUTED, PAPER, LossStyle
from calibench.metrics import top_label_bins
from calibench.predictions import Predictions

_REDRAWS = 4000
_LEVELS = (0.025, 0.975)

PerBin = Float64[np.ndarray, " bins"]
Counts = Int64[np.ndarray, " bins"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reliability:
    """A reliability diagram in numbers: one entry per non-empty bin.

    Attributes:
        lo: The edge below the bin, not part of it.
        hi: The edge above, part of it.
        count: How many examples are in the bin.
        weight: The share of examples in the bin.
        confidence: Their mean confidence.
        accuracy: The share of them that is correct.
        chance_lo: Where the accuracy of a calibrated model lies in 95 % of test sets:
            from here ...
        chance_hi: ... to here.
    """

    lo: PerBin
    hi: PerBin
    count: Counts
    weight: PerBin
    confidence: PerBin
    accuracy: PerBin
    chance_lo: PerBin
    chance_hi: PerBin

    @property
    def is_outside(self) -> Bool[np.ndarray, " bins"]:
        """Whether chance does not explain the accuracy of a bin."""
        return (self.accuracy < self.chance_lo) | (self.accuracy > self.chance_hi)


def reliability(some: Predictions) -> Reliability:
    """Summarize predictions per bin, with a 95 % consistency band.

    Correct answers in a bin of n examples with mean confidence c are redrawn as
    Binomial(n, c), as if the model were calibrated.

    Source:
        Brocker and Smith 2007, with the mean confidence of a bin in place of each
        example's, which makes the band very slightly wider.
    """
    stats = top_label_bins(some, num_bins=NUM_BINS)
    generator = np.random.default_rng(0)
    shape = (_REDRAWS, len(stats.count))
    probability = np.clip(stats.confidence, 0, 1)
    redrawn = generator.binomial(stats.count, probability, shape) / stats.count
    low, high = np.quantile(redrawn, _LEVELS, axis=0)
    return Reliability(
        lo=stats.lo,
        hi=stats.hi,
        count=stats.count,
        weight=stats.weight,
        confidence=stats.confidence,
        accuracy=stats.accuracy,
        chance_lo=low,
        chance_hi=high,
    )


def draw_reliability(figure: Figure, diagram: Reliability, look: LossStyle) -> None:
    """Draw the diagram above the distribution of confidence."""
    above, below = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [3.4, 1], "hspace": 0.16}
    )
    _draw_bins(above, diagram, look)
    _draw_confidence(below, diagram, look)


def _draw_bins(axes: Axes, diagram: Reliability, look: LossStyle) -> None:
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, label="calibrated")
    axes.bar(
        diagram.lo,
        diagram.chance_hi - diagram.chance_lo,
        diagram.hi - diagram.lo,
        bottom=diagram.chance_lo,
        align="edge",
        color=MUTED,
        alpha=0.2,
        linewidth=0,
        label="chance",
    )
    for name, chosen, face in (
        ("beyond chance", diagram.is_outside, look.color),
        ("within chance", ~diagram.is_outside, PAPER),
    ):
        axes.vlines(
            diagram.confidence[chosen],
            diagram.confidence[chosen],
            diagram.accuracy[chosen],
            color=look.color,
            linewidth=1.4,
            alpha=1 if face == look.color else 0.5,
        )
        axes.scatter(
            diagram.confidence[chosen],
            diagram.accuracy[chosen],
            # By area; the smallest bin must still be seen.
            s=14 + 150 * diagram.weight[chosen],
            facecolor=face,
            edgecolor=look.color,
            linewidth=1.3,
            zorder=3,
            clip_on=False,
            label=name,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])


def _draw_confidence(axes: Axes, diagram: Reliability, look: LossStyle) -> None:
    axes.bar(
        diagram.lo,
        diagram.weight,
        diagram.hi - diagram.lo,
        align="edge",
        color=look.color,
        alpha=0.75,
        linewidth=0,
    )
    mean = float((diagram.weight * diagram.confidence).sum())
    accuracy = float((diagram.weight * diagram.accuracy).sum())
    axes.axvline(mean, color=INK, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.axvline(accuracy, color=INK, linewidth=1.2)
    axes.set(xlabel="confidence", ylabel="share", ylim=(0, 1))
    axes.set_yticks([0, 1], ["0", "1"])
    axes.grid(visible=False)
