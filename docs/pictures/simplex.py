"""Pictures of canonical calibration: all probabilities of an example at once."""

import numpy as np
from matplotlib.figure import Figure

from calibench import metrics
from calibench.lab.report.style import INK, MUTED
from calibench.metrics.canonical import DirichletKernel
from calibench.metrics.kernel_strips import SortedExamples
from calibench.predictions import Predictions
from canvas import CORNERS, OTHER, OVER, UNDER, note, panels


def _three_classes(num_examples: int, seed: int, sharpness: np.ndarray) -> Predictions:
    """Probabilities of three classes; each logit too sharp by a factor of its own."""
    rng = np.random.default_rng(seed)
    logits = 1.2 * rng.normal(size=(num_examples, 3))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return Predictions.from_logits(logits * sharpness, labels)


def canonical_calibration_error() -> Figure:
    """From what is stated to the frequencies that a kernel finds around it."""
    models = {
        "calibrated": _three_classes(1500, 0, np.array([1.0, 1.0, 1.0])),
        "third class too sharp": _three_classes(1500, 0, np.array([1.0, 1.0, 2.5])),
    }
    figure, axes = panels(2, 3.0)
    for axis, (name, some) in zip(axes, models.items(), strict=True):
        examples = SortedExamples(some)
        gaps = []

        def kept(gap: np.ndarray, gaps: list[np.ndarray] = gaps) -> np.ndarray:
            gaps.append(gap)
            return np.abs(gap).sum(axis=1)

        DirichletKernel.of(examples).errors(examples.labels, kept)
        gap = np.concatenate(gaps)[::18]
        start = examples.probs(slice(0, 1500))[::18]
        ends = np.stack([start, start + gap], axis=1) @ CORNERS
        axis.fill(*CORNERS.T, facecolor="none", edgecolor=MUTED)
        axis.plot(*ends.transpose(2, 1, 0), color=OVER, linewidth=0.9)
        axis.plot(*(start @ CORNERS).T, ".", color=UNDER, markersize=3)
        axis.set_axis_off()
        axis.set_aspect("equal")
        axis.set_title(f"{name}: {metrics.canonical_calibration_error(some):.3f}")
    note(axes[0], -0.1, 0.95, "stated", UNDER)
    note(axes[0], -0.1, 0.87, "to observed around it", OVER)
    return figure


def squared_kernel_calibration_error() -> Figure:
    """Many test sets of a calibrated model and of one that is not."""
    figure, (axes,) = panels(1)
    shared = {"bins": 40, "range": (-0.002, 0.012), "alpha": 0.5}
    for name, factor, color in (
        ("calibrated", 1.0, OTHER),
        ("80 % too sharp", 1.8, OVER),
    ):
        values = [
            metrics.squared_kernel_calibration_error(
                _three_classes(300, seed, np.full(3, factor))
            )
            for seed in range(200)
        ]
        axes.hist(
            values, color=color, label=f"{name}: mean {np.mean(values):.4f}", **shared
        )
    axes.axvline(0, color=INK, linewidth=1)
    axes.set(xlabel="squared kernel calibration error", ylabel="test sets of 300")
    axes.legend()
    axes.set_title("0 on average for a calibrated model")
    return figure
