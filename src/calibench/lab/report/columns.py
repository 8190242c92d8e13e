"""The columns of the final table where a person reads it, and how a cell is spelled."""

from collections.abc import Sequence
from dataclasses import dataclass

from calibench.lab.report.results import (
    ECE,
    ECE_SCALED,
    NLL,
    TEMPERATURE,
    TRUE_ERROR,
    TRUE_ERROR_SCALED,
    Quantity,
)
from calibench.lab.report.summary import (
    ERROR_RATE,
    FLOOR_P95,
    FLOOR_P95_SCALED,
    NLL_SCALED,
    OVERCONFIDENCE,
    P_CALIBRATED,
    P_SCALED,
    UNDERCONFIDENCE,
    FinalRow,
)
from calibench.lab.report.wording import decimal, p_number

ABSENT = "–"
INSIDE_NOISE = "°"


@dataclass(frozen=True)
class Column:
    """One quantity of the table.

    Attributes:
        short: The heading where room is scarce; empty where there is no room.
        unit: "%" for fractions shown in percent, "nats", or nothing.
        group: What it belongs to: "as trained" or "after temperature".
    """

    quantity: Quantity
    heading: str
    short: str
    unit: str
    digits: int
    group: str = "as trained"

    @property
    def term(self) -> str:
        """The anchor of its definition; empty where its heading says all."""
        return _TERMS.get(self.quantity.metric, "") if self.short else ""

    def cell(self, row: FinalRow, *, with_range: bool = True) -> str:
        """Spell the mean over seeds and half the range; a dash where there is none."""
        estimate = row.estimates.get(self.quantity)
        if estimate is None:
            return ABSENT
        if self.quantity in _P_VALUES:
            return p_number(estimate.high)  # the seed that speaks most for chance
        scale = 100 if self.unit == "%" else 1
        text = decimal(scale * estimate.mean, self.digits)
        if with_range and estimate.num_seeds > 1:
            half = scale * (estimate.high - estimate.low) / 2
            text += f" ± {decimal(half, self.digits)}"
        return text + self.mark(row)

    def mark(self, row: FinalRow) -> str:
        """Return the mark of an ECE that is inside the noise."""
        is_inside = (self.quantity == ECE and row.is_inside_noise) or (
            self.quantity == ECE_SCALED and row.is_inside_noise_scaled
        )
        return INSIDE_NOISE if is_inside else ""


_TERMS = {
    "error_rate": "error",
    "nll": "nll",
    "top_label_ece": "ece",
    "floor_p95": "floor",
    "overconfidence": "over-under",
    "underconfidence": "over-under",
    "true_calibration_error": "true-error",
    "temperature": "temperature",
}
_P_VALUES = {P_CALIBRATED, P_SCALED}
_SCALED = "after temperature"
_COLUMNS = (
    Column(ERROR_RATE, "error", "err", "%", 1),
    Column(NLL, "NLL", "NLL", "nats", 3),
    Column(ECE, "ECE", "ECE", "%", 2),
    Column(FLOOR_P95, "noise floor", "floor", "%", 2),
    Column(P_CALIBRATED, "p", "", "", 3),
    Column(OVERCONFIDENCE, "over-confidence", "over", "%", 2),
    Column(UNDERCONFIDENCE, "under-confidence", "under", "%", 2),
    Column(TRUE_ERROR, "true error", "true", "%", 2),
    Column(TEMPERATURE, "T", "T", "", 2, _SCALED),
    Column(NLL_SCALED, "NLL", "NLL", "nats", 3, _SCALED),
    Column(ECE_SCALED, "ECE", "ECE", "%", 2, _SCALED),
    Column(FLOOR_P95_SCALED, "noise floor", "floor", "%", 2, _SCALED),
    Column(P_SCALED, "p", "", "", 3, _SCALED),
    Column(TRUE_ERROR_SCALED, "true error", "true", "%", 2, _SCALED),
)


_SCORES = (
    ("nll", "NLL", "nats", 3),
    ("brier", "Brier", "", 3),
    (ECE.metric, "ECE", "%", 2),
)
_STAGES = {
    "none": "as trained",
    "temperature": "temperature",
    "vector_scaling": "vector",
    "dirichlet": "Dirichlet",
}

# What each calibrator leaves of each score, side by side.
RECALIBRATED = tuple(
    Column(Quantity(metric=metric, calibrator=each), stage, "", unit, digits, group)
    for metric, group, unit, digits in _SCORES
    for each, stage in _STAGES.items()
)


def shown_columns(*, knows_posterior: bool) -> Sequence[Column]:
    """Return the columns of a study; those of the true error where it is known."""
    of_truth = {TRUE_ERROR, TRUE_ERROR_SCALED}
    return [c for c in _COLUMNS if knows_posterior or c.quantity not in of_truth]
