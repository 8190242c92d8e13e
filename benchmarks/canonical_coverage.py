"""How often intervals hold the truth: of the kernel error, and against counts.

A population of logits has the posterior softmax(z), and a model that reports
softmax(f(z)). Each trial draws examples, labels and counts of judges, and asks of every
interval whether it holds the population's value.

    python benchmarks/canonical_coverage.py [--trials 400] [--examples 300 2000]
        [--no-kernel | --kernel-only]

Prints a Markdown table of coverage in percent at the nominal 95 %; the standard error
of a cell is about 1 at 400 trials. Pairs are most of the 20 CPU minutes with the
defaults.
"""

import argparse
import sys
from collections import defaultdict

import numpy as np

from calibench import metrics
from calibench.metrics.kernel_strips import SortedExamples
from calibench.metrics.skce import PairStatistics
from calibench.predictions import Predictions

NUM_CLASSES = 10
POPULATION = 40_000
BANDWIDTH = 0.5
SHARPNESS = {
    "calibrated": 1.0,
    "5 % too sharp": 1.05,
    "60 % too sharp": 1.6,
    "30 % too flat": 0.7,
}
JUDGES = (3, 50)


class Population:
    """Logits with a known posterior, and the true value of every number."""

    def __init__(self, sharpness: float) -> None:
        rng = np.random.default_rng(0)
        z = 2 * rng.normal(size=(POPULATION, NUM_CLASSES))
        rows = np.arange(POPULATION)
        z[rows, rng.integers(NUM_CLASSES, size=POPULATION)] += 5
        none = np.zeros(POPULATION, dtype=np.int64)
        self.posterior = Predictions.from_logits(z, none).probs
        self.some = Predictions.from_logits(sharpness * z, none)
        known = metrics.Truth.from_posterior(self.posterior)
        found = metrics.evaluate_truth(self.some, known).measurements
        self.truth = {name: each.value for name, each in found.items()}
        self.kernel_truth = self._kernel_truth()

    def _kernel_truth(self) -> float:
        """The kernel error with the posterior in place of labels, over all pairs."""
        probs, gap = self.some.probs, self.posterior - self.some.probs
        norms, total = (probs**2).sum(axis=1), 0.0
        for start in range(0, POPULATION, 500):
            part = slice(start, start + 500)
            square = norms[part, None] + norms - 2 * probs[part] @ probs.T
            kernel = np.exp(-np.maximum(square, 0) / (2 * BANDWIDTH**2))
            total += float((kernel * (gap[part] @ gap.T)).sum())
        return (total - float((gap**2).sum())) / (POPULATION * (POPULATION - 1))

    def held(
        self, num_examples: int, rng: np.random.Generator, only: str | None = None
    ) -> dict[str, bool]:
        """Whether each interval of one trial holds the truth; "kernel", "truth" or all.

        The kernel's are pairs of examples, those against the truth are not.
        """
        rows = rng.integers(POPULATION, size=num_examples)
        posterior = self.posterior[rows]
        uniform = rng.random((num_examples, 1))
        labels = (uniform > posterior.cumsum(axis=1)[:, :-1]).sum(axis=1)
        some = Predictions.from_logits(self.some.logits[rows], labels)
        found: dict[str, bool] = {}
        if only != "truth":
            pairs = PairStatistics.of(SortedExamples(some), BANDWIDTH)
            holds = _holds(pairs.interval(0.95), self.kernel_truth)
            found["squared_kernel_calibration_error"] = holds
        if only == "kernel":
            return found
        truths = {"a posterior": metrics.Truth.from_posterior(posterior)} | {
            f"{judges} judges": metrics.Truth.from_counts(
                rng.multinomial(np.full(num_examples, judges), posterior)
            )
            for judges in JUDGES
        }
        for kind, known in truths.items():
            measured = metrics.evaluate_truth(some, known, replicates=1).measurements
            for metric, each in measured.items():
                key = f"{metric}, {kind}"
                found[key] = _holds(each.interval, self.truth[metric])
        return found


def _holds(interval: tuple[float, float] | None, truth: float) -> bool:
    return interval is not None and interval[0] - 1e-12 <= truth <= interval[1] + 1e-12


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--examples", type=int, nargs="+", default=[300, 2000])
    part = parser.add_mutually_exclusive_group()
    for flag, only, what in (
        ("--no-kernel", "truth", "all but pairs"),
        ("--kernel-only", "kernel", "pairs alone"),
    ):
        part.add_argument(
            flag, dest="only", action="store_const", const=only, help=what
        )
    options = parser.parse_args()
    columns: dict[str, dict[str, float]] = {}
    for name, sharpness in SHARPNESS.items():
        population = Population(sharpness)
        for num_examples in options.examples:
            rng, count = np.random.default_rng(num_examples), defaultdict[str, int](int)
            for _ in range(options.trials):
                trial = population.held(num_examples, rng, options.only)
                for key, holds in trial.items():
                    count[key] += holds
            columns[f"{name}, n = {num_examples:,}"] = {
                key: 100 * each / options.trials for key, each in count.items()
            }
    lines = [["interval of", *columns], ["---"] * (len(columns) + 1)]
    lines += [
        [key, *(f"{column[key]:.1f}" for column in columns.values())]
        for key in next(iter(columns.values()))
    ]
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
