"""The runs of a store against a second yardstick: a posterior, or people's answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from calibench import metrics
from calibench.errors import DataError, FitError, ParameterError
from calibench.lab.store import RunFolder, Store
from calibench.lab.store.examples import predictions_of
from calibench.lab.text_table import text_table
from calibench.metrics import Truth, TruthEvaluation
from calibench.metrics.paired import holm, of_mean
from calibench.metrics.soft_scores import cross_entropies
from calibench.metrics.truth import squared_top_gaps
from calibench.posthoc import Temperature
from calibench.predictions import Predictions

# What losses are compared by: sums over examples without bias, also from counts.
COMPARED = {
    "true_squared_calibration_error": squared_top_gaps,
    "soft_label_nll": cross_entropies,
}

# The least p of a bootstrap is 1 in so many, and Holm multiplies it by every line.
_REPLICATES = 20_000


@dataclass(frozen=True, kw_only=True)
class RunAgainstTruth:
    """The test predictions of a run's last epoch, with the truth about them.

    Attributes:
        calibrator: "none", or "temperature" as fitted on the calibration split.
        error_rate: Of the labels; a fraction.
        label_ece: ECE of the labels, 15 bins of equal width.
        found: Every number against the truth.
        terms: Those that `COMPARED` are the means of.
    """

    run_id: str
    model: str
    loss: str
    seed: int
    epoch: int
    calibrator: str
    error_rate: float
    label_ece: float
    found: TruthEvaluation
    terms: dict[str, np.ndarray]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "run_id": self.run_id,
            "model": self.model,
            "loss": self.loss,
            "seed": self.seed,
            "epoch": self.epoch,
            "calibrator": self.calibrator,
            "error_rate": self.error_rate,
            "top_label_ece": self.label_ece,
            "truth": self.found.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class TruthDifference:
    """By how much a loss is further from the truth than the study's first loss.

    Attributes:
        value: Mean over test examples and seeds; below 0 the loss is nearer.
        interval: Over test examples, for these networks, at 95 %; None where so few
            examples differ that there is none.
        p_adjusted: Two-sided, by Holm over all differences of the table.
        seeds: Those that both losses have.
    """

    model: str
    calibrator: str
    metric: str
    loss: str
    against: str
    value: float
    interval: tuple[float, float] | None
    p_adjusted: float
    seeds: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class TruthTable:
    """What `calibench truth` found.

    Attributes:
        missing: Runs that are not finished, by id.
    """

    study: str
    runs: tuple[RunAgainstTruth, ...]
    differences: tuple[TruthDifference, ...]
    missing: tuple[str, ...]

    def text(self) -> str:
        """Return a line for each run, one for each difference, and what is missing."""
        parts = [text_table([_run_line(each) for each in self.runs])]
        if self.differences:
            lines = [_difference_line(each) for each in self.differences]
            parts.append(
                "nearer to the truth (below 0) or further than the first loss; 95 % "
                "over test examples, p by Holm over all lines\n" + text_table(lines)
            )
        if any(each.found.may_be_misaligned for each in self.runs):
            parts.append(
                "labels agree with the truth no better than by chance: are its rows "
                "those of the test split, in the order of the data set?"
            )
        if self.missing:
            parts.append(f"not finished, left out: {', '.join(self.missing)}")
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "study": self.study,
            "runs": [each.to_dict() for each in self.runs],
            "differences": [each.to_dict() for each in self.differences],
            "missing": list(self.missing),
        }


def against_truth(path: Path, known: Truth) -> TruthTable:
    """Hold the last epoch of every finished run of a store against a truth.

    Args:
        path: Of the store.
        known: About the whole test split of the data set, in its order: the stored
            number of a test example is its row.

    Raises:
        ParameterError: `path` is no store, or no run of it is finished.
        DataError: The truth has too few rows, or other classes.
        IntegrityError: A stored file is damaged.
    """
    store = Store.existing(path)
    names = [each["name"] for each in store.study()["spec"]["loss"]]
    runs: list[RunAgainstTruth] = []
    missing = []
    for folder in store.runs():
        if folder.history().outcome == "finished":
            runs += _measured(folder, known)
        else:
            missing.append(folder.run_id)
    if not runs:
        msg = f"{path}: no run is finished. Run the study first, or to its end."
        raise ParameterError(msg)
    return TruthTable(
        study=store.study()["name"],
        runs=tuple(runs),
        differences=tuple(_differences(runs, names[0])),
        missing=tuple(missing),
    )


def _measured(folder: RunFolder, known: Truth) -> Iterator[RunAgainstTruth]:
    epoch = folder.history().last_epoch
    columns = folder.predictions(epoch)
    test = predictions_of(columns, "test")
    about = _rows_of(known, columns["example"][columns["split"] == "test"], folder)
    for calibrator, some in _calibrated(test, predictions_of(columns, "calibration")):
        run = folder.manifest()["run"]
        yield RunAgainstTruth(
            run_id=folder.run_id,
            model=run["model"],
            loss=run["loss"]["name"],
            seed=run["seed"],
            epoch=epoch,
            calibrator=calibrator,
            error_rate=metrics.error_rate(some),
            label_ece=metrics.top_label_ece(some),
            found=metrics.evaluate_truth(some, about),
            terms={name: of(some, about) for name, of in COMPARED.items()},
        )


def _calibrated(
    test: Predictions, held_out: Predictions
) -> Iterator[tuple[str, Predictions]]:
    yield "none", test
    try:
        fitted = Temperature.fit(held_out)
    except FitError:
        return
    yield "temperature", fitted.apply(test)


def _rows_of(known: Truth, examples: np.ndarray, folder: RunFolder) -> Truth:
    if examples.max() >= len(known.probs):
        msg = (
            f"the truth has {len(known.probs):,} rows, and {folder.run_id} measured "
            f"test example {examples.max()} (counted from 0). Give that of the whole "
            "test split, in the order of the data set."
        )
        raise DataError(msg)
    totals = None if known.totals is None else known.totals[examples]
    return Truth(known.probs[examples], totals)


def _differences(
    runs: Sequence[RunAgainstTruth], first: str
) -> Iterator[TruthDifference]:
    """Compare every loss with the first one, of each model and calibrator."""
    tested = [
        (group, metric, loss)
        for group in _groups(runs)
        for metric in COMPARED
        for loss in dict.fromkeys(run.loss for run in group)
        if loss != first
    ]
    found = []
    for group, metric, loss in tested:
        ours, theirs = (
            {run.seed: run.terms[metric] for run in group if run.loss == name}
            for name in (loss, first)
        )
        seeds = tuple(sorted(ours.keys() & theirs.keys()))
        if seeds:
            terms = np.mean([ours[seed] - theirs[seed] for seed in seeds], axis=0)
            found.append(
                (
                    group[0],
                    metric,
                    loss,
                    seeds,
                    terms,
                    of_mean(terms, replicates=_REPLICATES),
                )
            )
    adjusted = holm([outcome.p_value for *_, outcome in found])
    for (run, metric, loss, seeds, terms, outcome), p in zip(
        found, adjusted, strict=True
    ):
        yield TruthDifference(
            model=run.model,
            calibrator=run.calibrator,
            metric=metric,
            loss=loss,
            against=first,
            value=float(terms.mean()),
            interval=outcome.interval,
            p_adjusted=p,
            seeds=seeds,
        )


def _groups(runs: Sequence[RunAgainstTruth]) -> list[list[RunAgainstTruth]]:
    def key(run: RunAgainstTruth) -> tuple[str, str]:
        return run.model, run.calibrator

    return [list(group) for _, group in groupby(sorted(runs, key=key), key=key)]


def _run_line(run: RunAgainstTruth) -> dict[str, Any]:
    line: dict[str, Any] = {
        "model": run.model,
        "loss": run.loss,
        "seed": run.seed,
        "calibrator": run.calibrator,
        "error": run.error_rate,
        "label ECE": run.label_ece,
    }
    for name in ("soft_label_ece", *COMPARED):
        each = run.found.measurements[name]
        line |= {name: each.value, f"{name} 95 %": _between(each.interval)}
    return line


def _difference_line(each: TruthDifference) -> dict[str, Any]:
    return {
        "model": each.model,
        "calibrator": each.calibrator,
        "metric": each.metric,
        "difference": f"{each.loss} - {each.against}",
        "value": each.value,
        "95 %": _between(each.interval),
        "p": each.p_adjusted,
        "seeds": len(each.seeds),
    }


def _between(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
