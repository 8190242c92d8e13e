"""How often the intervals of `evaluate` hold the truth, where the truth is known.

A population of logits has the posterior softmax(z), and a model that reports
softmax(f(z)). Each trial draws examples and labels, evaluates the predictions and asks
of every interval whether it holds the population's value. (For the maximum: the value
at the confidences drawn, which is what its interval is for.)

    python benchmarks/interval_coverage.py [--trials 400] [--examples 300 2000]

Prints a Markdown table of coverage in percent at the nominal 95 %; the standard error
of a cell is about 1 at 400 trials. About 10 CPU minutes with the defaults.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from calibench import metrics
from calibench.binning import equal_mass, equal_width
from calibench.metrics.definitions import LOG_ODDS
from calibench.metrics.risk_coverage import area_of
from calibench.metrics.saturation import saturated
from calibench.metrics.smooth import KernelSums, fixed_point
from calibench.metrics.top_k import among_top, of_rank, panel_k
from calibench.predictions import Predictions

NUM_CLASSES = 10
POPULATION = 100_000
MODELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "calibrated": lambda z: z,
    "5 % too sharp": lambda z: 1.05 * z,
    "60 % too sharp": lambda z: 1.6 * z,
    "30 % too flat": lambda z: 0.7 * z,
    "mixed": lambda z: z * (1 + 0.6 * np.sin(3 * z.max(axis=1, keepdims=True))),
}


class Population:
    """Logits with a known posterior, and the true value of every metric."""

    def __init__(
        self, model: Callable[[np.ndarray], np.ndarray], *, spread: float, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        z = spread * rng.normal(size=(POPULATION, NUM_CLASSES))
        rows = np.arange(POPULATION)
        z[rows, rng.integers(NUM_CLASSES, size=POPULATION)] += 2.5 * spread
        none = np.zeros(POPULATION, dtype=np.int64)
        self.posterior = Predictions.from_logits(z, none).probs
        self.some = Predictions.from_logits(model(z), none)
        self.truth = self.posterior[rows, self.some.predicted]
        self.gap = self.some.confidence - self.truth
        self.fixed = self._fixed_values() | self._unbinned_values()

    def _fixed_values(self) -> dict[str, float]:
        probs, posterior = self.some.probs, self.posterior
        kernel = KernelSums(self.some.confidence, self.gap, float(POPULATION))
        sizes = [
            np.abs(np.bincount(equal_width(p, 15).index, p - q)).sum()
            for p, q in zip(probs.T.copy(), posterior.T.copy(), strict=True)
        ]
        ranked = np.argsort(-probs, axis=1, kind="stable")
        by_rank = np.take_along_axis(posterior, ranked, axis=1)
        k = panel_k(NUM_CLASSES)
        return {
            "accuracy": self.truth.mean(),
            "nll": self._mean_nll(self.some),
            "brier": self._mean_brier(self.some),
            "confidence_gap": self.gap.mean(),
            "classwise_ece": sum(sizes) / (NUM_CLASSES * POPULATION),
            "classwise_ece_sum": sum(sizes) / POPULATION,
            "top_k_ece": _binned_size(
                among_top(self.some, k).confidence, by_rank[:, :k].sum(axis=1)
            ),
            "kth_class_ece": _binned_size(
                of_rank(self.some, 2).confidence, by_rank[:, 1]
            ),
            "smooth_ece": fixed_point(
                kernel.error, 1e-4, max(float(np.abs(self.gap).mean()), 1e-4)
            ),
        }

    def _unbinned_values(self) -> dict[str, float]:
        ranked = np.argsort(-self.some.confidence, kind="stable")
        area = area_of(np.ones(POPULATION), 1 - self.truth[ranked])
        wrong = 1 - self.truth.mean()
        least = wrong + (1 - wrong) * np.log1p(-wrong)
        best = Predictions.from_logits(
            self._best_scale() * self.some.logits, self.some.labels
        )
        values = {"aurc": area, "excess_aurc": area - least}
        for score, terms in (("nll", self._mean_nll), ("brier", self._mean_brier)):
            values[f"{score}_refinement"] = terms(best)
            values[f"{score}_calibration"] = terms(self.some) - terms(best)
        values["saturated_share"] = float(saturated(self.some).mean())
        for name, share in LOG_ODDS.items():
            values[name] = metrics.log_odds_quantile(self.some, share)
        return values

    def _best_scale(self) -> float:
        """One over the temperature with the lowest expected NLL, by bisection."""
        logits, low, high = self.some.logits, 0.1, 10.0
        aim = (self.posterior * logits).sum(axis=1).mean()
        none = self.some.labels
        while high / low > 1 + 1e-9:
            middle = (low * high) ** 0.5
            probs = Predictions.from_logits(middle * logits, none).probs
            short = (probs * logits).sum(axis=1).mean() < aim
            low, high = (middle, high) if short else (low, middle)
        return low

    def _mean_nll(self, some: Predictions) -> float:
        return float(-(self.posterior * some.log_probs).sum(axis=1).mean())

    def _mean_brier(self, some: Predictions) -> float:
        probs, posterior = some.probs, self.posterior
        terms = probs**2 - 2 * probs * posterior + posterior
        return float(terms.sum(axis=1).mean())

    def draw(
        self, num_examples: int, rng: np.random.Generator
    ) -> tuple[Predictions, dict[str, float]]:
        """Predictions with drawn labels, and the truth for their bins."""
        rows = rng.integers(POPULATION, size=num_examples)
        cumulative = self.posterior[rows].cumsum(axis=1)
        labels = (rng.random((num_examples, 1)) > cumulative[:, :-1]).sum(axis=1)
        some = Predictions.from_logits(self.some.logits[rows], labels)
        return some, self.fixed | self._binned_values(some, self.gap[rows])

    def _binned_values(self, some: Predictions, gap: np.ndarray) -> dict[str, float]:
        width = equal_width(some.confidence, 15)
        mass = self._in_bins(width.edges)
        share = self._in_bins(width.edges, np.ones(POPULATION))
        swept = equal_mass(some.confidence, metrics.sweep_num_bins(some)).edges
        square = (mass**2 / np.maximum(share, 1e-300)).sum()
        sums, counts = np.bincount(width.index, gap), np.bincount(width.index)
        occupied = counts > 0
        return {
            "top_label_ece": np.abs(mass).sum(),
            "overconfidence": np.maximum(mass, 0).sum(),
            "underconfidence": np.maximum(-mass, 0).sum(),
            "debiased_l2": square,
            "rms_calibration_error": np.sqrt(square),
            "debiased_l1": np.abs(mass).sum(),
            "ece_sweep": np.abs(self._in_bins(swept)).sum(),
            "top_label_ece_equal_mass": np.abs(
                self._in_bins(equal_mass(some.confidence, 15).edges)
            ).sum(),
            "max_calibration_error": np.abs(sums[occupied] / counts[occupied]).max(),
        }

    def _in_bins(
        self, edges: np.ndarray, values: np.ndarray | None = None
    ) -> np.ndarray:
        """The mean over the population of values within each bin, times its share."""
        values = self.gap if values is None else values
        index = np.searchsorted(edges[1:-1], self.some.confidence, side="left")
        return np.bincount(index, values, len(edges) - 1) / POPULATION


def _binned_size(claimed: np.ndarray, truth: np.ndarray) -> float:
    """The binned error of claims in a population where their truth is known."""
    index = equal_width(claimed, 15).index
    return float(np.abs(np.bincount(index, claimed - truth)).sum()) / POPULATION


def coverage(
    population: Population, num_examples: int, trials: int
) -> dict[str, float]:
    """Percent of trials in which each interval, where there is one, holds the truth."""
    rng = np.random.default_rng(num_examples)
    held = defaultdict(list)
    for _ in range(trials):
        some, truth = population.draw(num_examples, rng)
        found = metrics.evaluate(some, replicates=1).measurements
        for name, value in truth.items():
            if found[name].interval is not None:
                lo, hi = found[name].interval
                held[name].append(lo - 1e-12 <= value <= hi + 1e-12)
    return {name: 100 * float(np.mean(each)) for name, each in held.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--examples", type=int, nargs="+", default=[300, 2000])
    parser.add_argument("--spread", type=float, default=2.0)
    options = parser.parse_args()
    columns = {}
    for name, model in MODELS.items():
        population = Population(model, spread=options.spread, seed=0)
        for num_examples in options.examples:
            columns[f"{name}, n = {num_examples:,}"] = coverage(
                population, num_examples, options.trials
            )
    lines = [["interval of", *columns], ["---"] * (len(columns) + 1)]
    for metric in next(iter(columns.values())):
        cells = [f"{column[metric]:.1f}" for column in columns.values()]
        lines.append([f"`{metric}`", *cells])
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
