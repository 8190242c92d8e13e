"""What a study file claims: pure data, no files."""

from dataclasses import dataclass

# What a claim may be about, in units of the stored metrics of these names.
CLAIM_METRICS = (
    "confidence_gap",
    "top_label_ece",
    "debiased_l2",
    "nll",
    "brier",
    "error_rate",
    "true_calibration_error",
)
CLAIM_CALIBRATORS = ("none", "temperature")
# Of the claims that come with the package.
OWN_NAMES = ("C1", "C2", "C3", "C4", "T1", "T2")


@dataclass(frozen=True, kw_only=True)
class ClaimSpec:
    """A claim of the user's: under one loss a number is lower than under another.

    It is no part of any run's identity.

    Attributes:
        metric: One of `CLAIM_METRICS`, of the test split after the last epoch.
        lower: The name of the loss that has the lower number.
        than: The name of the other.
        models: Where it is claimed, of each; None for all models of the study.
        calibrator: "none", or "temperature" for the number after temperature scaling.
    """

    name: str
    metric: str
    lower: str
    than: str
    models: tuple[str, ...] | None = None
    calibrator: str = "none"
