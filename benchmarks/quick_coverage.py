"""How often intervals without folds, kernels or floors hold the truth: many trials.

The populations are those of `interval_coverage`. Here is what can be measured in
milliseconds, so that a cell of the table is known to 0.3 points and not to 1.

    python benchmarks/quick_coverage.py [--trials 4000] [--examples 300 2000]

Prints a Markdown table of coverage in percent at the nominal 95 %; about 7 CPU minutes
with the defaults, most of them for the class-wise errors (`--predicted-only` leaves
them out).
"""

import argparse
import sys
from collections import defaultdict

import numpy as np

from calibench import metrics
from calibench.binning import equal_mass
from calibench.metrics import intervals
from calibench.metrics.class_residuals import of_mean_size_of_some, of_mean_square
from calibench.metrics.classwise_evaluation import Cells
from calibench.metrics.definitions import LOG_ODDS
from calibench.metrics.intervals import Interval
from calibench.metrics.risk_coverage import RiskCoverage
from calibench.metrics.risk_coverage_interval import (
    area_interval,
    excess_area_interval,
)
from calibench.metrics.saturation import counted_log_odds, quantile_interval
from calibench.predictions import Predictions
from interval_coverage import MODELS, NUM_CLASSES, POPULATION, Population

LEVEL, NUM_BINS, THRESHOLD = 0.95, 15, 0.01


class Fixed:
    """A population, and the truth for bins of equal width."""

    def __init__(self, population: Population) -> None:
        self.population = population
        probs, gaps = (
            population.some.probs,
            population.some.probs - population.posterior,
        )
        edges = np.arange(NUM_BINS + 1) / NUM_BINS
        square = _mean_square(population.some.confidence, population.gap, edges)
        squares = [
            _mean_square(p, gap, edges) for p, gap in zip(probs.T, gaps.T, strict=True)
        ]
        self.values = population.fixed | {
            "debiased_l2": square,
            "rms_calibration_error": square**0.5,
            "classwise_rms_error": np.mean(squares) ** 0.5,
        }
        order = np.argsort(probs, axis=0)
        self.ascending = np.take_along_axis(probs, order, axis=0)
        below = np.take_along_axis(gaps, order, axis=0).cumsum(axis=0)
        self.below = np.vstack([np.zeros(NUM_CLASSES), below])

    def above(self, some: Predictions) -> float:
        """`thresholded_classwise_ece` of the population, in the bins of the draw."""
        sizes = []
        for k in range(NUM_CLASSES):
            column, drawn = self.ascending[:, k], some.probs[:, k]
            kept = drawn[drawn >= THRESHOLD]
            if len(kept):
                edges = equal_mass(kept, NUM_BINS).edges
                start = np.searchsorted(column, THRESHOLD)
                inner = np.searchsorted(column, edges[1:-1], side="right")
                cuts = np.concatenate([[start], np.maximum(inner, start), [POPULATION]])
                size = np.abs(np.diff(self.below[cuts, k])).sum()
                sizes.append(size / (POPULATION - start))
        return float(np.sum(sizes) / NUM_CLASSES)

    def draw(
        self, num_examples: int, rng: np.random.Generator
    ) -> tuple[Predictions, dict[str, float]]:
        """Predictions with drawn labels, and the truth."""
        rows = rng.integers(POPULATION, size=num_examples)
        upto = self.population.posterior[rows].cumsum(axis=1)[:, :-1]
        labels = (rng.random((num_examples, 1)) > upto).sum(axis=1)
        some = Predictions.from_logits(self.population.some.logits[rows], labels)
        return some, self.values


def _mean_square(claimed: np.ndarray, gap: np.ndarray, edges: np.ndarray) -> float:
    index = np.searchsorted(edges[1:-1], claimed, side="left")
    count, total = np.bincount(index), np.bincount(index, gap)
    return float((total**2 / np.maximum(count, 1)).sum()) / POPULATION


def of_predicted(some: Predictions) -> dict[str, Interval | None]:
    """Intervals of numbers of the predicted class."""
    stats = metrics.top_label_bins(some, num_bins=NUM_BINS)
    curve = RiskCoverage.of(some)
    values, counts = counted_log_odds(some)
    return {
        "debiased_l2": intervals.of_pair_products(stats, LEVEL),
        "rms_calibration_error": intervals.of_root_mean_square(stats, LEVEL),
        "aurc": area_interval(curve.count, curve.wrong, LEVEL),
        "excess_aurc": excess_area_interval(curve.count, curve.wrong, LEVEL),
    } | {
        name: quantile_interval(values, counts, share, LEVEL)
        for name, share in LOG_ODDS.items()
    }


def of_classes(some: Predictions) -> dict[str, Interval | None]:
    """Intervals of the variants of the class-wise error."""
    squared = Cells.of(some, NUM_BINS, "equal_width", 0.0).residuals
    above = Cells.of(some, NUM_BINS, "equal_mass", THRESHOLD).residuals
    return {
        "classwise_rms_error": of_mean_square(squared, LEVEL),
        "thresholded_classwise_ece": of_mean_size_of_some(above, LEVEL),
    }


def coverage(
    fixed: Fixed, num_examples: int, trials: int, *, classes: bool = True
) -> dict[str, float]:
    """Percent of trials in which each interval, where there is one, holds the truth."""
    rng = np.random.default_rng(num_examples + 1)
    held = defaultdict(list)
    for _ in range(trials):
        some, truth = fixed.draw(num_examples, rng)
        found = of_predicted(some)
        if classes:
            found |= of_classes(some)
            truth = truth | {"thresholded_classwise_ece": fixed.above(some)}
        for name, ends in found.items():
            if ends is not None:
                held[name].append(ends[0] - 1e-12 <= truth[name] <= ends[1] + 1e-12)
    return {name: 100 * float(np.mean(each)) for name, each in held.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--examples", type=int, nargs="+", default=[300, 2000])
    parser.add_argument("--predicted-only", action="store_true")
    options = parser.parse_args()
    cells = defaultdict(list)
    for model in MODELS.values():
        fixed = Fixed(Population(model, spread=2.0, seed=0))
        column = defaultdict(list)
        for num_examples in options.examples:
            found = coverage(
                fixed,
                num_examples,
                options.trials,
                classes=not options.predicted_only,
            )
            for name, each in found.items():
                column[name].append(f"{each:.1f}")
        for name, texts in column.items():
            cells[name].append(" / ".join(texts))
    heading = " / ".join(f"{n:,}" for n in options.examples)
    lines = [[f"n = {heading}", *MODELS], ["---"] * (len(MODELS) + 1)]
    lines += [[f"`{name}`", *each] for name, each in cells.items()]
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
