"""The finished runs of a store, as far as claims are judged on them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from calibench.lab.store import History, RunFolder, Store
from calibench.lab.store.examples import posterior_of, predictions_of
from calibench.metrics.calibration_error import top_label_bins
from calibench.metrics.intervals import most_bias
from calibench.metrics.paired import ece_terms, squared_size_terms
from calibench.metrics.scores import brier_terms
from calibench.posthoc import Temperature
from calibench.predictions import Predictions

Vector = Float64[np.ndarray, " examples"]


class AbsentError(Exception):
    """The store lacks what a hypothesis needs; the message says what."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """The test examples of an epoch, term by term.

    Attributes:
        by_metric: Terms whose mean is the metric of that name.
        ece_bias: The most by which noise may have lifted ECE.
    """

    labels: Int64[np.ndarray, " examples"]
    by_metric: Mapping[str, Vector]
    ece_bias: float


def scored(some: Predictions, posterior: np.ndarray | None) -> Terms:
    """Score predictions example by example.

    Args:
        some: The predictions.
        posterior: P(y | x) of each example, where it is known.
    """
    correct = some.correct.astype(np.float64)
    by_metric = {
        "confidence_gap": some.confidence - correct,
        "top_label_ece": ece_terms(some),
        "debiased_l2": squared_size_terms(some),
        "nll": -some.label_log_probs,
        "brier": brier_terms(some),
        "error_rate": 1 - correct,
    }
    if posterior is not None:
        chance = posterior[np.arange(len(posterior)), some.predicted]
        by_metric["true_calibration_error"] = np.abs(chance - some.confidence)
    bias = most_bias(top_label_bins(some))
    return Terms(labels=some.labels, by_metric=by_metric, ece_bias=bias)


@dataclass(frozen=True, kw_only=True, eq=False)
class ClaimRun:
    """A finished run.

    Attributes:
        known: The terms that were asked for before, by epoch and calibrator.
    """

    folder: RunFolder
    history: History
    known: dict[tuple[int, str], Terms] = field(default_factory=dict)

    @property
    def last_epoch(self) -> int:
        """The epoch that it ended with, whose predictions are always kept."""
        return self.history.last_epoch

    @cached_property
    def _rows(self) -> dict[tuple[int, str, str], dict[str, Any]]:
        rows = self.folder.all_rows()
        return {(row["epoch"], row["split"], row["calibrator"]): row for row in rows}

    @property
    def temperature(self) -> float:
        """That of the last epoch, from the calibration split.

        Raises:
            AbsentError: It has no finite optimum.
        """
        found = self._rows[self.last_epoch, "test", "temperature"]["temperature"]
        if found is None:
            msg = f"{self.folder.run_id} has no temperature of finite optimum"
            raise AbsentError(msg)
        return float(found)

    def best_epoch(self) -> int:
        """The kept epoch with the lowest NLL on the selection split.

        Raises:
            AbsentError: Only the last was kept, and another had the lowest.
        """
        losses = {
            epoch: self._rows[epoch, "selection", "none"]["nll"]
            for epoch in self.history.epochs
        }
        kept = self.history.kept_predictions
        best, best_kept = (min(some, key=losses.__getitem__) for some in (losses, kept))
        if best_kept == self.last_epoch != best:
            msg = (
                f"the predictions of epoch {best} of {self.folder.run_id}, where its "
                "selection NLL is lowest, were not kept"
            )
            raise AbsentError(msg)
        return best_kept

    def predictions(self, epoch: int) -> Predictions:
        """Read the test predictions of an epoch.

        Raises:
            AbsentError: They were not kept.
        """
        if epoch not in self.history.kept_predictions:
            whose = f"epoch {epoch} of {self.folder.run_id}"
            msg = f"the predictions of {whose} were not kept"
            raise AbsentError(msg)
        return predictions_of(self.folder.predictions(epoch), "test")

    def terms(self, epoch: int, calibrator: str = "none") -> Terms:
        """Score the test examples of an epoch; each once, however often it is asked.

        Raises:
            AbsentError: The predictions were not kept, or have no temperature.
        """
        key = (epoch, calibrator)
        if key not in self.known:
            some = self.predictions(epoch)
            if calibrator == "temperature":
                some = Temperature(self.temperature).apply(some)
            posterior = posterior_of(self.folder.examples(), "test")
            self.known[key] = scored(some, posterior)
        return self.known[key]


@dataclass(frozen=True)
class ClaimRuns:
    """The finished runs of a study by model, loss and seed.

    Attributes:
        spec: The study as its store has it.
    """

    spec: Mapping[str, Any]
    cells: Mapping[tuple[str, str], Mapping[int, ClaimRun]]

    @classmethod
    def of(cls, store: Store) -> "ClaimRuns":
        """Read which runs have finished.

        Raises:
            IntegrityError: A stored file is not what was written.
        """
        cells: dict[tuple[str, str], dict[int, ClaimRun]] = {}
        for folder, seed, model, loss in store.placed_runs():
            history = folder.history()
            if history.outcome == "finished":
                run = ClaimRun(folder=folder, history=history)
                cells.setdefault((model, loss), {})[seed] = run
        return cls(store.study()["spec"], cells)

    def seeds(self, model: str, losses: Sequence[str]) -> tuple[int, ...]:
        """Return the seeds with which a model has finished under each of the losses.

        Raises:
            AbsentError: There is none.
        """
        found = [self.cells.get((model, loss), {}) for loss in losses]
        seeds = tuple(
            seed for seed in self.spec["seeds"] if all(seed in each for each in found)
        )
        if not seeds:
            names = " and ".join(losses)
            msg = f"no seed of {model} has finished under {names}"
            raise AbsentError(msg)
        return seeds

    def run(self, model: str, loss: str, seed: int) -> ClaimRun:
        """Return a run that `seeds` has named."""
        return self.cells[model, loss][seed]

    def all(self) -> Iterator[ClaimRun]:
        """Yield every finished run."""
        for cell in self.cells.values():
            yield from cell.values()
