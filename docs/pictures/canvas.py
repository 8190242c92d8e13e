"""What all pictures share: their look, and predictions whose posterior is known."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibench.lab.report.style import BLUE, INK, MUTED
from calibench.lab.report.svg import FILE_SETTINGS
from calibench.predictions import Predictions

# Okabe and Ito's palette, with one meaning each in every picture.
OVER = "#d55e00"
UNDER = BLUE
OTHER = "#009e73"
CHANCE = MUTED

SETTINGS = FILE_SETTINGS | {
    "svg.fonttype": "none",  # small, and text can be searched
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.handlelength": 1.4,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.wspace": 0.06,
}
NUM_CLASSES = 10
# Of a triangle for three classes.
CORNERS = np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])

Model = Callable[[np.ndarray], np.ndarray]


def sharper(factor: float) -> Model:
    """A model whose logits are those of the truth times a factor."""
    return lambda logits: factor * logits


def mixed(logits: np.ndarray) -> np.ndarray:
    """Too sharp in some places and too flat in others."""
    return logits * (1 + 0.6 * np.sin(3 * logits.max(axis=1, keepdims=True)))


def true_logits(rng: np.random.Generator, num_examples: int) -> np.ndarray:
    """Logits whose softmax is the posterior."""
    logits = 2 * rng.normal(size=(num_examples, NUM_CLASSES))
    favored = rng.integers(NUM_CLASSES, size=num_examples)
    logits[np.arange(num_examples), favored] += 5
    return logits


def sample(model: Model, num_examples: int = 10_000, seed: int = 0) -> Predictions:
    """Draw examples, labels from their posterior, and a model's answers."""
    rng = np.random.default_rng(seed)
    logits = true_logits(rng, num_examples)
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return Predictions.from_logits(model(logits), labels)


def panels(
    count: int, height: float = 2.7, *, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Make a row of axes."""
    figure, axes = plt.subplots(
        1, count, figsize=(6.6, height), squeeze=False, sharey=sharey
    )
    return figure, list(axes[0])


def unit_ticks(axes: Axes, which: str = "xy") -> None:
    """Let axes go from 0 to 1."""
    ticks, names = [0, 0.5, 1], ["0", "0.5", "1"]
    if "x" in which:
        axes.set_xlim(0, 1)
        axes.set_xticks(ticks, names)
    if "y" in which:
        axes.set_ylim(0, 1)
        axes.set_yticks(ticks, names)


def note(axes: Axes, x: float, y: float, text: str, color: str = INK) -> None:
    """Write a few words at a place of the axes, from 0 to 1 both ways."""
    axes.text(x, y, text, transform=axes.transAxes, color=color, fontsize=8, va="top")
