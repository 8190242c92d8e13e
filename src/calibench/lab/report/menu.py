"""The quantities that a reader of the page can switch between."""

from collections.abc import Sequence
from dataclasses import dataclass

from calibench.lab.report.results import ECE, NLL, TRUE_ERROR, Quantity, StudyResults
from calibench.lab.report.snapshots import EQUAL_MASS, SMOOTH


@dataclass(frozen=True)
class Choice:
    """One quantity of the menu.

    Attributes:
        metric: A key of the stored rows.
        scale: From the stored number to the shown one: 100 for percent.
        unit: As it is shown; empty where there is none.
        digits: Behind the decimal point.
        term: The definition that belongs to it, an anchor of the page.
    """

    metric: str
    name: str
    scale: float
    unit: str
    digits: int
    term: str

    @property
    def has_floor(self) -> bool:
        """Whether chance alone makes it positive, so that there is a noise floor."""
        return self.metric in _BY_CHANCE

    @property
    def label(self) -> str:
        """The name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


_BY_CHANCE = {
    ECE.metric,
    EQUAL_MASS,
    SMOOTH,
    "debiased_l2",
    "overconfidence",
    "underconfidence",
}
_MENU = (
    Choice(ECE.metric, "ECE", 100, "%", 2, "ece"),
    Choice(EQUAL_MASS, "ECE, equal mass", 100, "%", 2, "equal-mass"),
    Choice(SMOOTH, "smooth ECE", 100, "%", 2, "smooth-ece"),
    Choice("debiased_l2", "debiased squared error", 1e4, "%²", 2, "debiased"),
    Choice("overconfidence", "over-confidence", 100, "%", 2, "over-under"),
    Choice("underconfidence", "under-confidence", 100, "%", 2, "over-under"),
    Choice(NLL.metric, "NLL", 1, "nats", 3, "nll"),
    Choice("brier", "Brier score", 1, "", 4, "brier"),
    Choice("error_rate", "error", 100, "%", 2, "error"),
    Choice(TRUE_ERROR.metric, "true error", 100, "%", 2, "true-error"),
)


def choices(results: StudyResults) -> Sequence[Choice]:
    """Return the menu of a study: the quantities that it has values of."""
    return [
        choice
        for choice in _MENU
        if any(run.series(Quantity(metric=choice.metric)) for run in results.runs)
    ]
