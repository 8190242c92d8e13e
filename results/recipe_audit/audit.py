"""What a recipe does to calibration: `audit.py SUM_STORE MEAN_STORE`.

Prints every run, with the temperature chosen by NLL and by ECE on a grid, and then the
differences that each choice makes: paired over test examples, averaged over seeds, with
the numbers of the single seeds beside the interval.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from calibench import metrics
from calibench.lab.store import RunFolder, Store
from calibench.lab.store.examples import predictions_of
from calibench.metrics.paired import ece_terms, of_mean
from calibench.posthoc import Temperature, TemperatureByEce
from calibench.predictions import Predictions

_TERMS: dict[str, Callable[[Predictions], np.ndarray]] = {
    "error": lambda some: 1 - some.correct.astype(float),
    "gap": lambda some: some.confidence - some.correct,
    "ECE": ece_terms,
    "NLL": lambda some: -some.label_log_probs,
}


@dataclass(frozen=True)
class Run:
    """The last epoch of a run, as trained and after either temperature."""

    folder: RunFolder

    @property
    def key(self) -> tuple[str, int]:
        """Its loss and seed."""
        run = self.folder.manifest()["run"]
        return run["loss"]["name"], run["seed"]

    @cached_property
    def split(self) -> dict[str, Predictions]:
        """Its calibration and test predictions."""
        columns = self.folder.predictions(self.folder.history().last_epoch)
        return {name: predictions_of(columns, name) for name in ("calibration", "test")}

    @cached_property
    def temperatures(self) -> dict[str, Temperature]:
        """Fitted on the calibration split, by what chose them."""
        held_out = self.split["calibration"]
        by_ece = TemperatureByEce.fit(held_out)
        return {"by NLL": Temperature.fit(held_out), "by ECE": by_ece}

    @cached_property
    def test(self) -> dict[str, Predictions]:
        """Test predictions as trained, and after each temperature."""
        plain = self.split["test"]
        scaled = {name: each.apply(plain) for name, each in self.temperatures.items()}
        return {"as trained": plain} | scaled


def main(summed: Path, averaged: Path) -> None:
    """Print both tables."""
    stores = {"sum, clip 2": summed, "mean": averaged}
    recipes = {
        name: {run.key: run for run in _finished(path)} for name, path in stores.items()
    }
    for recipe, runs in recipes.items():
        for key in sorted(runs):
            _say(f"| {recipe} | {key[0]} | {key[1]} | {_numbers(runs[key])} |")
    _say("")
    losses = sorted({loss for loss, _ in recipes["mean"]})
    for loss in losses:
        _difference(f"{loss}: sum, clip 2 - mean", *recipes.values(), loss, loss)
    for recipe, runs in recipes.items():
        full, detached = "focal-gamma3", "focal-gamma3-detachedTrue"
        _difference(f"{recipe}: detached - full", runs, runs, detached, full)
    _say("")
    everything = [run for runs in recipes.values() for run in runs.values()]
    for name in ("ECE", "NLL"):
        found = [
            _between(run.test["by ECE"], run.test["by NLL"], name) for run in everything
        ]
        lower = sum(high < 0 for _, _, high in found)
        higher = sum(low > 0 for _, low, _ in found)
        values = [value for value, _, _ in found]
        _say(
            f"T by ECE - T by NLL, {name}: {min(values):.3f} to {max(values):.3f}; of "
            f"{len(found)} runs clearly lower in {lower}, clearly higher in {higher}"
        )


def _finished(path: Path) -> Iterator[Run]:
    for folder in Store.existing(path).runs():
        if folder.history().outcome == "finished":
            yield Run(folder)
        else:
            _say(f"{folder.run_id}: {folder.history().outcome}")


def _numbers(run: Run) -> str:
    plain = run.test["as trained"]
    found = metrics.evaluate(plain).measurements
    cells = [
        f"{100 * metrics.error_rate(plain):.1f}",
        f"{metrics.nll(plain):.3f}",
        _percent(found["confidence_gap"]),
        _percent(found["top_label_ece"]),
    ]
    for name, fitted in run.temperatures.items():
        some = run.test[name]
        ece = metrics.evaluate(some).measurements["top_label_ece"]
        cells += [f"{fitted.value:.2f}", f"{metrics.nll(some):.3f}", _percent(ece)]
    return " | ".join(cells)


def _percent(each: metrics.Measurement) -> str:
    low, high = each.interval
    return f"{100 * each.value:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _difference(what: str, ours: dict, theirs: dict, loss: str, against: str) -> None:
    """Print by how much the first differs from the second, number by number."""
    seeds = [s for name, s in ours if name == loss and (against, s) in theirs]
    for calibrator in ("as trained", "by NLL"):
        for name, terms in _TERMS.items():
            by_seed = [
                terms(ours[loss, seed].test[calibrator])
                - terms(theirs[against, seed].test[calibrator])
                for seed in seeds
            ]
            if not by_seed:
                continue
            outcome = of_mean(np.mean(by_seed, axis=0))
            low, high = outcome.interval or (np.nan, np.nan)
            single = ", ".join(f"{each.mean():+.4f}" for each in by_seed)
            _say(
                f"| {what} | {calibrator} | {name} | {np.mean(by_seed):+.4f} "
                f"({low:+.4f} to {high:+.4f}) | {single} |"
            )


def _between(
    one: Predictions, other: Predictions, name: str
) -> tuple[float, float, float]:
    terms = _TERMS[name](one) - _TERMS[name](other)
    outcome = of_mean(terms)
    low, high = outcome.interval or (0.0, 0.0)
    return float(terms.mean()), low, high


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
