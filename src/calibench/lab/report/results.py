"""What a study has measured so far, read from its store: numbers, no wording."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibench.errors import IntegrityError, ParameterError
from calibench.lab.store import RunFolder, Store

Row = dict[str, Any]

# Keys of a loss that are none of its parameters.
_ABOUT = {"kind", "name", "source"}


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A metric of the test split, before or after temperature scaling.

    Attributes:
        metric: A key of the stored rows, such as "top_label_ece".
        calibrator: "none" or "temperature".
        split: Which examples; a report judges on "test".
    """

    metric: str
    calibrator: str = "none"
    split: str = "test"

    @property
    def key(self) -> str:
        """One word for files: the metric, with the calibrator where there is one."""
        suffix = "" if self.calibrator == "none" else f"_after_{self.calibrator}"
        return self.metric if self.metric == "temperature" else self.metric + suffix


ECE = Quantity(metric="top_label_ece")
ECE_SCALED = Quantity(metric="top_label_ece", calibrator="temperature")
NLL = Quantity(metric="nll")
TRUE_ERROR = Quantity(metric="true_calibration_error")
TRUE_ERROR_SCALED = Quantity(metric="true_calibration_error", calibrator="temperature")
TEMPERATURE = Quantity(metric="temperature", calibrator="temperature")


@dataclass(frozen=True, kw_only=True)
class LossEntry:
    """A loss of the grid.

    Attributes:
        target_confidence: The probability of the label that minimizes the loss of one
            example; None until a run with this loss has begun.
    """

    name: str
    kind: str
    parameters: Mapping[str, Any]
    target_confidence: float | None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """One run: where it stands and what it measured.

    Attributes:
        outcome: "waiting", "running", "finished", "diverged" or "failed"; a run that
            was interrupted is "running".
        reason: Why it diverged or failed.
        manifest: What the run is about; None where it never began.
        rows: Its metrics by (epoch, split, calibrator).
    """

    folder: RunFolder
    model: str
    loss: str
    seed: int
    outcome: str
    reason: str | None
    drifts: tuple[tuple[str, ...], ...]
    last_epoch: int
    kept_predictions: tuple[int, ...]
    manifest: Mapping[str, Any] | None
    rows: Mapping[tuple[int, str, str], Row]

    def row(self, epoch: int, quantity: Quantity) -> Row:
        """Return the row that holds a quantity; empty where nothing was measured."""
        return self.rows.get((epoch, quantity.split, quantity.calibrator), {})

    def value(self, epoch: int, quantity: Quantity) -> float | None:
        """Return a quantity; None where it has no value."""
        return self.row(epoch, quantity).get(quantity.metric)

    def series(self, quantity: Quantity) -> dict[int, float]:
        """Return a quantity by epoch, without the epochs that have no value."""
        values = {
            epoch: self.value(epoch, quantity)
            for epoch in range(1, self.last_epoch + 1)
        }
        return {epoch: value for epoch, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """A study and all of its runs, in the order of the grid.

    Attributes:
        notes: What else a reader must know of it, in sentences.
    """

    name: str
    spec: Mapping[str, Any]
    toml: str
    models: tuple[str, ...]
    losses: tuple[LossEntry, ...]
    runs: tuple[RunResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """How many epochs the study asks of every run."""
        return int(self.spec["train"]["epochs"])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that the study asks for."""
        return tuple(self.spec["seeds"])

    @property
    def dataset(self) -> Mapping[str, Any]:
        """Name, digest, class names and facts of the data, as the first run had it."""
        return self.manifests[0]["dataset"]

    @property
    def manifests(self) -> list[Mapping[str, Any]]:
        """The manifests of all runs that have begun, at least one."""
        return [run.manifest for run in self.runs if run.manifest is not None]

    @property
    def knows_posterior(self) -> bool:
        """Whether the true P(y | x) of the test examples is known."""
        return any(
            TRUE_ERROR.metric in row for r in self.runs for row in r.rows.values()
        )

    def num_examples(self, split: str) -> int | None:
        """Return how many examples a split has; None if none was measured."""
        sizes = (
            row["n"]
            for run in self.runs
            for (_, name, _), row in run.rows.items()
            if name == split
        )
        return next(sizes, None)

    def cell(self, model: str, loss: str) -> list[RunResult]:
        """Return the runs of a model and a loss, one a seed."""
        return [r for r in self.runs if r.model == model and r.loss == loss]

    def is_first(self, run: RunResult) -> bool:
        """Whether a run is that of the lowest seed with predictions of its cell."""
        cell = self.cell(run.model, run.loss)
        seeds = [each.seed for each in cell if each.kept_predictions]
        return run.seed == min(seeds, default=None)

    def finished(self, model: str, loss: str) -> list[RunResult]:
        """Return the finished runs of a model and a loss."""
        return [r for r in self.cell(model, loss) if r.outcome == "finished"]


def read_results(path: Path) -> StudyResults:
    """Read a store, which may still be written to.

    Raises:
        ParameterError: It is not a store, or no epoch has been measured yet.
        IntegrityError: A stored file is not what was written.
    """
    store = Store.existing(path)
    study = store.study()
    spec = study["spec"]
    runs = tuple(_run_result(*placed) for placed in store.placed_runs())
    # A study whose every run diverged at once has a result: that it did.
    if not any(run.last_epoch or run.outcome == "diverged" for run in runs):
        msg = (
            f"{path}: nothing to report, because no epoch of the study "
            f"{study['name']!r} has been measured yet. "
            f"Run `calibench run STUDY.toml --store {path}` first."
        )
        raise ParameterError(msg)
    return StudyResults(
        name=study["name"],
        spec=spec,
        toml=store.toml(),
        models=tuple(spec["models"]),
        losses=tuple(_loss_entry(entry, runs) for entry in spec["loss"]),
        runs=runs,
    )


def _run_result(folder: RunFolder, seed: int, model: str, loss: str) -> RunResult:
    history = folder.history()
    failure = folder.failure()
    is_over = history.is_over
    manifest = folder.manifest() if history.has_begun else None
    if manifest is not None:
        _check_place(folder, manifest["run"], (model, loss, seed))
    return RunResult(
        folder=folder,
        model=model,
        loss=loss,
        seed=seed,
        outcome="failed" if failure and not is_over else history.outcome,
        reason=history.reason if is_over else failure,
        drifts=tuple(tuple(changes) for changes in history.drifts),
        last_epoch=history.last_epoch,
        kept_predictions=history.kept_predictions,
        manifest=manifest,
        rows={
            (row["epoch"], row["split"], row["calibrator"]): row
            for row in folder.all_rows()
        },
    )


def _check_place(
    folder: RunFolder, run: Mapping[str, Any], place: tuple[str, str, int]
) -> None:
    """Refuse a run's folder under the name of another."""
    if (run["model"], run["loss"]["name"], run["seed"]) != place:
        msg = (
            f"{folder.path / 'manifest.json'}: of another run than the folder's name "
            "says. Put the folder of this run back, or delete it to run again."
        )
        raise IntegrityError(msg)


def _loss_entry(entry: Mapping[str, Any], runs: tuple[RunResult, ...]) -> LossEntry:
    targets = (
        run.manifest["target_confidence"]
        for run in runs
        if run.loss == entry["name"] and run.manifest is not None
    )
    return LossEntry(
        name=entry["name"],
        kind=entry["kind"],
        parameters={k: v for k, v in entry.items() if k not in _ABOUT},
        target_confidence=next(targets, None),
    )
