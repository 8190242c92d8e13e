"""The stored test predictions of a run's last epoch, before and after temperature."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from calibench.lab.report.results import (
    ECE,
    ECE_SCALED,
    NLL,
    TEMPERATURE,
    TRUE_ERROR,
    TRUE_ERROR_SCALED,
    Quantity,
    RunResult,
)
from calibench.lab.store.examples import posterior_of, predictions_of
from calibench.metrics.paired import ece_terms
from calibench.posthoc import Temperature
from calibench.predictions import Predictions

NUM_BINS = 15  # of every stored binned metric

Vector = Float64[np.ndarray, " examples"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Test predictions as they are and, where a temperature was found, scaled by it.

    Attributes:
        posterior: The true probability of the predicted class; None where unknown.
            Temperature does not change which class that is.
    """

    run: RunResult
    epoch: int
    predictions: Predictions
    scaled: Predictions | None
    posterior: Vector | None

    def contributions(self) -> dict[Quantity, Vector]:
        """Return, for each quantity that has a value, the terms whose mean it is."""
        parts = {
            ECE: ece_terms(self.predictions, num_bins=NUM_BINS),
            NLL: -self.predictions.label_log_probs,
        }
        if self.scaled is not None:
            parts[ECE_SCALED] = ece_terms(self.scaled, num_bins=NUM_BINS)
        if self.posterior is not None:
            confidence = self.predictions.confidence
            parts[TRUE_ERROR] = np.abs(self.posterior - confidence)
            if self.scaled is not None:
                confidence = self.scaled.confidence
                parts[TRUE_ERROR_SCALED] = np.abs(self.posterior - confidence)
        return parts


def judged(run: RunResult, epoch: int) -> Judged | None:
    """Read the test predictions of an epoch; None where they were not kept."""
    if epoch not in run.kept_predictions:
        return None
    some = predictions_of(run.folder.predictions(epoch), "test")
    value = run.value(epoch, TEMPERATURE)
    return Judged(
        run=run,
        epoch=epoch,
        predictions=some,
        scaled=None if value is None else Temperature(value).apply(some),
        posterior=_posterior(run, some),
    )


def _posterior(run: RunResult, some: Predictions) -> Vector | None:
    known = posterior_of(run.folder.examples(), "test")
    if known is None:
        return None
    return np.asarray(known[np.arange(len(known)), some.predicted], dtype=np.float64)
