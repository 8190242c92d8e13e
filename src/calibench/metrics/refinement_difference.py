"""Whether two sets differ in refinement, or only by what a temperature makes up for."""

import math
from dataclasses import replace

import numpy as np

from calibench.errors import FitError
from calibench.metrics import paired
from calibench.metrics.cross_fitting import (
    SCORES,
    Recalibrated,
    deal,
    jackknife_error,
    recalibrated,
    repeated,
)
from calibench.metrics.decomposition import NUM_FOLDS
from calibench.metrics.definitions import definitions
from calibench.metrics.difference import Difference
from calibench.metrics.intervals import FEWEST_FOR_A_MEAN, quantile
from calibench.metrics.scores import exact_mean
from calibench.metrics.students_t import student
from calibench.metrics.unbinned import MOST_NUMBERS
from calibench.predictions import Predictions

# Scores of models that are one but for a temperature differ by rounding.
_ROUNDING = 1e-9


def of_refinement(
    first: Predictions, second: Predictions, level: float
) -> dict[str, Difference]:
    """Compare NLL and Brier score after a temperature for each set, fitted on others.

    Both sets are dealt into the same folds, so each `first` and `second` may differ
    from `nll_refinement` of the set alone by the noise of dealing. The differences are
    paired; a jackknife over folds adds what they vary with the two fits.
    """
    names = [f"{score}_refinement" for score in SCORES]
    if first.total_weight * first.num_classes > MOST_NUMBERS:
        reason = f"left out above {MOST_NUMBERS:,} numbers"
        return {name: _left_out(name, reason) for name in names}
    try:
        first, second = repeated(first), repeated(second)
        dealt = deal((first, second), NUM_FOLDS, seed=0)
        before, after = (
            recalibrated(each, dealt, "temperature") for each in (first, second)
        )
    except FitError as error:
        return {name: _left_out(name, str(error)) for name in names}
    return {
        name: _difference(name, before[score], after[score], level)
        for name, score in zip(names, SCORES, strict=True)
    }


def _difference(
    name: str, first: Recalibrated, second: Recalibrated, level: float
) -> Difference:
    changes = second.held_out - first.held_out
    changes[np.abs(changes) <= _ROUNDING] = 0
    by_fit = jackknife_error(second.by_fold - first.by_fold) if changes.any() else 0.0
    by_fit *= student(level, NUM_FOLDS - 1) / quantile(level)
    value, outcome = exact_mean(changes), None
    method = f"none: fewer than {FEWEST_FOR_A_MEAN} examples"
    if len(changes) >= FEWEST_FOR_A_MEAN:
        error = paired.standard_error(changes) + by_fit
        outcome = paired.of_normal(value, error, level)
        method = "paired normal theory, and a jackknife over folds for the fits"
    return Difference(
        first=exact_mean(first.held_out),
        second=exact_mean(second.held_out),
        value=value,
        interval=outcome and outcome.interval,
        p_value=outcome and outcome.p_value,
        definition=replace(definitions(15)[name], interval=method),
    )


def _left_out(name: str, reason: str) -> Difference:
    definition = definitions(15)[name].without_interval(reason)
    return Difference(math.nan, math.nan, None, None, None, definition)
