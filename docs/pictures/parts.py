"""Pictures of a proper score in two parts."""

import numpy as np
from matplotlib.figure import Figure

from calibench import metrics
from calibench.predictions import Predictions
from canvas import OTHER, OVER, note, panels, sample, sharper


def nll_refinement() -> Figure:
    """Sharper logits cost calibration; a blunter model costs refinement."""
    base = sample(sharper(1.0), 3000)
    factors = np.geomspace(0.5, 4, 13)
    found = [
        metrics.decompose(Predictions.from_logits(f * base.logits, base.labels))
        for f in factors
    ]
    refinement = np.array([each.refinement for each in found])
    score = np.array([each.score for each in found])
    figure, (left, right) = panels(2, 2.9)
    left.fill_between(factors, 0, refinement, color=OTHER, alpha=0.35, linewidth=0)
    left.fill_between(factors, refinement, score, color=OVER, alpha=0.45, linewidth=0)
    left.plot(factors, score, color=OVER)
    left.set_xscale("log")
    left.set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
    left.minorticks_off()
    left.set(xlabel="logits, times", ylabel="NLL, nats", ylim=(0, None))
    left.set_title("one model, its logits scaled")
    note(left, 0.3, 0.25, "refinement")
    note(left, 0.7, 0.55, "calibration")
    rng = np.random.default_rng(1)
    blunt = base.logits + 0.95 * rng.normal(size=base.logits.shape)
    models = {
        "informed,\ntoo sharp": 1.75 * base.logits,
        "less informed": 0.8 * blunt,
    }
    for place, logits in enumerate(models.values()):
        each = metrics.decompose(Predictions.from_logits(logits, base.labels))
        right.bar(place, each.refinement, 0.5, color=OTHER, alpha=0.5)
        right.bar(
            place, each.calibration, 0.5, bottom=each.refinement, color=OVER, alpha=0.6
        )
        words = f"{each.refinement:.3f} + {each.calibration:.3f}"
        right.text(place, each.score + 0.02, words, ha="center", fontsize=8)
    right.set_xticks(range(len(models)), models)
    right.set(ylim=(0, 1.2), xlim=(-0.6, 1.6))
    right.grid(visible=False, axis="x")
    right.set_title("alike by NLL, unlike in parts")
    return figure
