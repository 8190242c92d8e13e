"""How often `compare` sees a difference that is there, and one that is not.

Prints the table of docs/comparison.md:

    python benchmarks/comparison_error_rates.py --trials 1000
"""

import argparse

import numpy as np

from calibench import metrics
from calibench.predictions import Predictions

NAMES = (
    *("accuracy", "nll", "brier", "top_label_ece", "debiased_l2"),
    *("nll_refinement", "brier_refinement"),
)
# What each set sees (a half of what decides the label, or both), how much too sharp.
CASES = {
    "both calibrated": ((0, 1.0), (1, 1.0)),
    "both 50 % too sharp": ((0, 1.5), (1, 1.5)),
    "both calibrated, unequal accuracy": ((0, 1.0), (2, 1.0)),
    "one half 10 % too sharp": ((0, 1.0), (1, 1.1)),
    "one half 30 % too sharp": ((0, 1.0), (1, 1.3)),
    "one half 60 % too sharp": ((0, 1.0), (1, 1.6)),
}
_UNSEEN = np.polynomial.hermite_e.hermegauss(24)


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--examples", type=int, nargs="+", default=[300, 2000])
    options = parser.parse_args()
    sizes = " / ".join(f"{n:,}" for n in options.examples)
    print(f"| n = {sizes} | {' | '.join(f'`{name}`' for name in NAMES)} |")  # noqa: T201
    print(f"|---|{'---|' * len(NAMES)}")  # noqa: T201
    for case, models in CASES.items():
        shares = [alarms(models, n, options.trials) for n in options.examples]
        cells = [" / ".join(f"{each[name]:.1f}" for each in shares) for name in NAMES]
        print(f"| {case} | {' | '.join(cells)} |", flush=True)  # noqa: T201


def alarms(
    models: tuple[tuple[int, float], tuple[int, float]], n: int, trials: int
) -> dict[str, float]:
    """The share of trials with p at most .05, in percent, for each number."""
    count = dict.fromkeys(NAMES, 0)
    for trial in range(trials):
        first, second = drawn(models, n, np.random.default_rng((n, trial)))
        found = metrics.compare(first, second, replicates=999, seed=trial)
        for name, each in found.differences.items():
            count[name] += each.p_value is not None and each.p_value <= 0.05
    return {name: 100 * each / trials for name, each in count.items()}


def drawn(
    models: tuple[tuple[int, float], tuple[int, float]],
    n: int,
    rng: np.random.Generator,
) -> list[Predictions]:
    """Predictions of each model for the same examples."""
    halves = rng.normal(0, 1.5, (2, n))
    labels = (rng.random(n) < expit(halves.sum(axis=0))).astype(int)
    nodes, weights = _UNSEEN
    sets = []
    for seen, sharpness in models:
        if seen == 2:
            chance = expit(halves.sum(axis=0))
        else:
            known = expit(halves[seen] + 1.5 * nodes[:, None])
            chance = weights @ known / weights.sum()
        chance = expit(sharpness * np.log(chance / (1 - chance)))
        sets.append(Predictions.from_probs(np.stack([1 - chance, chance], 1), labels))
    return sets


def expit(x: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-x)))


if __name__ == "__main__":
    main()
