"""How often a claim is decided where there is nothing to decide.

Two losses whose networks are drawn alike: each network sees the truth through noise of
its own, and is too sharp by a factor of its own. Prints the table of docs/claims.md:

    python benchmarks/claim_error_rates.py --trials 400
"""

import argparse
from pathlib import Path

import numpy as np

from calibench.lab.store import History, RunFolder
from calibench.lab.study.claim import Hypothesis
from calibench.lab.study.claim_contrasts import measured
from calibench.lab.study.claim_runs import ClaimRun, ClaimRuns, scored
from calibench.metrics.paired import holm
from calibench.predictions import Predictions

NAMES = ("confidence_gap", "top_label_ece", "debiased_l2", "nll", "brier", "error_rate")
NUM_CLASSES = 5


def main() -> None:
    """Print a row for each number of seeds and spread between them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--examples", type=int, default=500)
    options = parser.parse_args()
    print(f"| seeds, spread | {' | '.join(f'`{n}`' for n in NAMES)} | any |")  # noqa: T201
    print(f"|---|{'---|' * (len(NAMES) + 1)}")  # noqa: T201
    # With one seed a verdict is about the networks at hand, which must then be alike.
    for num_seeds, spread in (
        (1, 0.0),
        (2, 0.0),
        (2, 0.3),
        (3, 0.3),
        (5, 0.05),
        (5, 0.3),
    ):
        found = alarms(num_seeds, spread, options.examples, options.trials)
        cells = [f"{found[name]:.1f}" for name in (*NAMES, "any")]
        print(f"| {num_seeds}, {spread:g} | {' | '.join(cells)} |", flush=True)  # noqa: T201


def alarms(
    num_seeds: int, spread: float, num_examples: int, trials: int
) -> dict[str, float]:
    """The share of trials that decide, in percent: each by itself, and any by Holm."""
    count = dict.fromkeys((*NAMES, "any"), 0)
    for trial in range(trials):
        rng = np.random.default_rng((num_seeds, int(100 * spread), trial))
        runs = drawn(num_seeds, spread, num_examples, rng)
        p_values = [p_value(runs, name) for name in NAMES]
        for name, p in zip(NAMES, p_values, strict=True):
            count[name] += p <= 0.05
        count["any"] += min(holm(p_values)) <= 0.05
    return {name: 100 * each / trials for name, each in count.items()}


def p_value(runs: ClaimRuns, metric: str) -> float:
    """Of the hypothesis that one loss has the lower number."""
    about = Hypothesis(
        model="m", contrast="difference", metric=metric, loss="a", against="b",
        side="below",
    )  # fmt: skip
    return measured(runs, about).estimate.p_value(0.0)


def drawn(
    num_seeds: int, spread: float, num_examples: int, rng: np.random.Generator
) -> ClaimRuns:
    """Networks of two losses that do not differ but by chance."""
    truth = rng.normal(0, 2, (num_examples, NUM_CLASSES))
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(axis=1)
    ended = History(({"event": "epoch", "epoch": 1},))
    cells: dict[tuple[str, str], dict[int, ClaimRun]] = {}
    for loss in ("a", "b"):
        for seed in range(num_seeds):
            sharpness = 1.5 * np.exp(rng.normal(0, spread))
            logits = sharpness * (truth + rng.normal(0, 1, truth.shape))
            some = Predictions.from_logits(logits, labels)
            cells.setdefault(("m", loss), {})[seed] = ClaimRun(
                folder=RunFolder(Path(f"{loss}-{seed}")),
                history=ended,
                known={(1, "none"): scored(some, None)},
            )
    return ClaimRuns({"seeds": range(num_seeds)}, cells)


if __name__ == "__main__":
    main()
