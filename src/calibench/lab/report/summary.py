"""The final table: one row per model and loss, averaged over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calibench.lab.report.results import (
    ECE,
    ECE_SCALED,
    NLL,
    TEMPERATURE,
    TRUE_ERROR,
    TRUE_ERROR_SCALED,
    LossEntry,
    Quantity,
    RunResult,
    StudyResults,
)

ERROR_RATE = Quantity(metric="error_rate")
FLOOR_MEAN = Quantity(metric="floor_mean")
FLOOR_P95 = Quantity(metric="floor_p95")
P_CALIBRATED = Quantity(metric="p_calibrated")
OVERCONFIDENCE = Quantity(metric="overconfidence")
UNDERCONFIDENCE = Quantity(metric="underconfidence")
CONFIDENCE_GAP = Quantity(metric="confidence_gap")
FLOOR_P95_SCALED = Quantity(metric="floor_p95", calibrator="temperature")
P_SCALED = Quantity(metric="p_calibrated", calibrator="temperature")
GAP_SCALED = Quantity(metric="confidence_gap", calibrator="temperature")
NLL_SCALED = Quantity(metric="nll", calibrator="temperature")

NLL_REFINEMENT = Quantity(metric="nll_refinement")
NLL_CALIBRATION = Quantity(metric="nll_calibration")

# What calibrators other than a temperature leave.
MORE_CALIBRATORS = ("vector_scaling", "dirichlet")

# What files hold; where a person reads, fewer are shown.
QUANTITIES = (
    ERROR_RATE,
    NLL,
    Quantity(metric="brier"),
    Quantity(metric="mean_confidence"),
    CONFIDENCE_GAP,
    ECE,
    FLOOR_MEAN,
    FLOOR_P95,
    P_CALIBRATED,
    OVERCONFIDENCE,
    UNDERCONFIDENCE,
    Quantity(metric="top_label_ece_equal_mass"),
    Quantity(metric="classwise_ece"),
    Quantity(metric="max_calibration_error"),
    Quantity(metric="smooth_ece"),
    Quantity(metric="debiased_l2"),
    TRUE_ERROR,
    TEMPERATURE,
    NLL_SCALED,
    ECE_SCALED,
    Quantity(metric="floor_mean", calibrator="temperature"),
    FLOOR_P95_SCALED,
    P_SCALED,
    GAP_SCALED,
    TRUE_ERROR_SCALED,
    NLL_REFINEMENT,
    NLL_CALIBRATION,
    Quantity(metric="brier_refinement"),
    Quantity(metric="brier_calibration"),
    Quantity(metric="brier", calibrator="temperature"),
    *(
        Quantity(metric=metric, calibrator=calibrator)
        for calibrator in MORE_CALIBRATORS
        for metric in ("nll", "brier", "top_label_ece")
    ),
)

# A p-value below this is called more than noise.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Estimate:
    """A number over seeds: the mean, and the lowest and highest seed.

    Attributes:
        num_seeds: How many seeds have a value, at least 1.
    """

    mean: float
    low: float
    high: float
    num_seeds: int

    @classmethod
    def over(cls, values: Sequence[float]) -> "Estimate":
        """Sum up at least one value.

        Example:
            >>> Estimate.over([0.25, 0.75])
            Estimate(mean=0.5, low=0.25, high=0.75, num_seeds=2)
        """
        mean = sum(values) / len(values)
        return cls(mean, min(values), max(values), len(values))


@dataclass(frozen=True, kw_only=True)
class FinalRow:
    """What a model trained with a loss ends with.

    Attributes:
        epoch: Where it was measured; None where there is nothing to show.
        is_final: Whether that is the last epoch of finished runs.
        seeds: The seeds that enter.
        notes: What the reader must know: seeds that are missing, and why.
        estimates: The quantities that have a value.
        absences: Why others have none.
    """

    model: str
    loss: LossEntry
    epoch: int | None
    is_final: bool
    seeds: tuple[int, ...]
    notes: tuple[str, ...]
    estimates: Mapping[Quantity, Estimate]
    absences: Mapping[Quantity, str]

    def mean(self, quantity: Quantity) -> float | None:
        """Return the mean over seeds; None where there is no value."""
        estimate = self.estimates.get(quantity)
        return None if estimate is None else estimate.mean

    @property
    def is_inside_noise(self) -> bool | None:
        """Whether some seed's ECE is one that a calibrated model would also show."""
        return _inside_noise(self.estimates.get(P_CALIBRATED))

    @property
    def is_inside_noise_scaled(self) -> bool | None:
        """The same after temperature scaling."""
        return _inside_noise(self.estimates.get(P_SCALED))


def final_rows(results: StudyResults) -> list[FinalRow]:
    """Return a row for every model and loss of the study, in its order."""
    return [
        _final_row(results, model, loss)
        for model in results.models
        for loss in results.losses
    ]


def _final_row(results: StudyResults, model: str, loss: LossEntry) -> FinalRow:
    finished = results.finished(model, loss.name)
    used = finished or _unfinished(results.cell(model, loss.name))
    epoch = min((run.last_epoch for run in used), default=None)
    estimates, absences = {}, {}
    for quantity in QUANTITIES:
        rows = [] if epoch is None else [run.row(epoch, quantity) for run in used]
        values = [row.get(quantity.metric) for row in rows]
        known = [value for value in values if value is not None]
        if known:
            estimates[quantity] = Estimate.over(known)
        if len(known) < len(rows):
            reasons = [row["reason"] for row in rows if row.get("reason")]
            absences[quantity] = reasons[0] if reasons else "not measured"
    return FinalRow(
        model=model,
        loss=loss,
        epoch=epoch,
        is_final=bool(finished),
        seeds=tuple(run.seed for run in used),
        notes=tuple(
            note
            for run in results.cell(model, loss.name)
            if (note := standing(run, results.epochs))
        ),
        estimates=estimates,
        absences=absences,
    )


def _unfinished(runs: Sequence[RunResult]) -> list[RunResult]:
    """Runs that may go on; a diverged one has no final number."""
    return [run for run in runs if run.last_epoch and run.outcome != "diverged"]


def standing(run: RunResult, epochs: int) -> str:
    """Say where a run stands if it has not finished; empty if it has."""
    at = f"after epoch {run.last_epoch} of {epochs}"
    reason = f": {run.reason.removesuffix('.')}" if run.reason else ""
    phrases = {
        "finished": "",
        "waiting": f"seed {run.seed} has not begun",
        "running": f"seed {run.seed} is unfinished, {at}",
        "diverged": f"seed {run.seed} diverged {at}{reason}",
        "failed": f"seed {run.seed} failed {at}{reason}",
    }
    return phrases[run.outcome]


def _inside_noise(p_value: Estimate | None) -> bool | None:
    return None if p_value is None else p_value.high >= SIGNIFICANCE
