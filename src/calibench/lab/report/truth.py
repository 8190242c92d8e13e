"""ECE beside the error it stands for, where the posterior is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from calibench.lab.report.results import ECE, TRUE_ERROR
from calibench.lab.report.style import MUTED, PAPER, LossStyle
from calibench.lab.report.summary import FinalRow


@dataclass(frozen=True)
class Pair:
    """Both errors of a loss on one model, as fractions."""

    loss: str
    ece: float
    true_error: float


def pairs(rows: Sequence[FinalRow], model: str) -> list[Pair]:
    """Return both errors of every loss on a model that has them."""
    found = []
    for row in rows:
        ece, true_error = row.mean(ECE), row.mean(TRUE_ERROR)
        if row.model == model and ece is not None and true_error is not None:
            found.append(Pair(row.loss.name, ece, true_error))
    return found


def draw_pairs(
    axes: Axes,
    of: Sequence[Pair],
    styles: Mapping[str, LossStyle],
    labels: Mapping[str, str],
    limit: float,
) -> None:
    """Draw a line a loss: ECE hollow, the true error filled.

    Args:
        axes: Where.
        of: The losses, from top to bottom.
        styles: The look of each loss.
        labels: The name of each loss.
        limit: Of the horizontal axis, in percent.
    """
    for height, pair in enumerate(of):
        color, marker = styles[pair.loss].color, styles[pair.loss].marker
        ece, true_error = 100 * pair.ece, 100 * pair.true_error
        axes.plot([ece, true_error], [height] * 2, color=color, linewidth=1.6)
        for at, face in ((ece, PAPER), (true_error, color)):
            axes.plot(
                at, height, color=color, marker=marker, markersize=8,
                markerfacecolor=face, markeredgewidth=1.8, linestyle="none",
            )  # fmt: skip
        is_far_right = ece + true_error > limit
        axes.annotate(
            labels[pair.loss],
            ((max if is_far_right else min)(ece, true_error), height),
            xytext=(2 if is_far_right else -2, 8),
            textcoords="offset points",
            ha="right" if is_far_right else "left",
            color=MUTED,
        )
    axes.set(xlim=(0, limit), xlabel="error (%)", yticks=[])
    axes.set_ylim(len(of) - 0.6, -0.75)
    axes.spines["left"].set_visible(False)
