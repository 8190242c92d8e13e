"""How far the binned calibration errors are off on average, where the truth is known.

The populations of `interval_coverage.py`. The truth is the mean of |confidence - share
right at that confidence| over the population, of which 200 equal-mass bins of 500
examples with known posteriors give a sharp value. What an estimate is off has two
parts: noise in the bins, which lifts it, and gaps that cancel within a bin, which lower
it.

    python benchmarks/calibration_error_bias.py [--trials 400] [--examples 300 2000]

Prints a Markdown table in percentage points: the truth, and the mean error of each
estimator in so many trials. About 1 CPU minute with the defaults.
"""

import argparse
import sys

import numpy as np

from calibench import metrics
from calibench.binning import equal_mass
from calibench.predictions import Predictions
from interval_coverage import MODELS, POPULATION, Population

ESTIMATORS = {
    "`top_label_ece`": metrics.top_label_ece,
    "the same, equal mass": lambda some: metrics.top_label_ece(
        some, scheme="equal_mass"
    ),
    "`debiased_l1`": metrics.debiased_l1,
    "the same, equal mass ": lambda some: metrics.debiased_l1(
        some, scheme="equal_mass"
    ),
    "`ece_sweep`": metrics.ece_sweep,
    "its number of bins": lambda some: float(metrics.sweep_num_bins(some)),
}


def truth(population: Population) -> float:
    """The mean of |gap| at each confidence."""
    index = equal_mass(population.some.confidence, 200).index
    return float(np.abs(np.bincount(index, population.gap)).sum()) / POPULATION


def estimates(
    population: Population, num_examples: int, trials: int
) -> dict[str, float]:
    """The mean of each estimator over trials."""
    rng = np.random.default_rng(num_examples)
    total = dict.fromkeys(ESTIMATORS, 0.0)
    for _ in range(trials):
        some: Predictions = population.draw(num_examples, rng)[0]
        for name, estimator in ESTIMATORS.items():
            total[name] += estimator(some) / trials
    return total


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--examples", type=int, nargs="+", default=[300, 2000])
    options = parser.parse_args()
    head = ["model", "n", "truth", *(name.strip() for name in ESTIMATORS)]
    lines = [head, ["---"] * len(head)]
    for model, function in MODELS.items():
        population = Population(function, spread=2.0, seed=0)
        exact = truth(population)
        for num_examples in options.examples:
            found = estimates(population, num_examples, options.trials)
            *errors, bins = found.values()
            cells = [f"{100 * (value - exact):+.2f}" for value in errors]
            lines.append(
                [
                    model,
                    f"{num_examples:,}",
                    f"{100 * exact:.2f}",
                    *cells,
                    f"{bins:.1f}",
                ]
            )
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
