"""Proper scores in two parts: what recalibration would gain, and what is left."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from calibench.errors import FitError
from calibench.metrics.cross_fitting import (
    SCORES,
    Recalibrated,
    deal,
    recalibrated,
    repeated,
)
from calibench.metrics.definitions import FITTED, Definition, definitions
from calibench.metrics.intervals import (
    FEWEST_FOR_A_MEAN,
    Interval,
    quantile,
)
from calibench.metrics.paired import standard_error
from calibench.metrics.scores import exact_mean
from calibench.options import confidence_level
from calibench.predictions import Predictions
from calibench.signatures import of_predictions
from calibench.validation import member

NUM_FOLDS = 10


@dataclass(frozen=True)
class Decomposition:
    """A proper score as the sum of refinement and calibration.

    Attributes:
        score: The mean score as given.
        refinement: The mean score after recalibration, each example by a fit on the
            other folds.
        calibration: Score minus refinement: what recalibration gains. Negative where
            there is nothing to gain and fitting costs more than it brings.
        interval: Of the calibration part, paired; None below 30 examples.
        refinement_interval: Of the refinement; None below 30 examples.
        recalibrator: The name of the method.
        num_folds: How many folds.
        definition: Of the calibration part.
    """

    score: float
    refinement: float
    calibration: float
    interval: Interval | None
    refinement_interval: Interval | None
    recalibrator: str
    num_folds: int
    definition: Definition


@of_predictions
def decompose(
    some: Predictions,
    *,
    score: str = "nll",
    recalibrator: str = "temperature",
    num_folds: int = NUM_FOLDS,
    seed: int = 0,
    level: float = 0.95,
) -> Decomposition:
    """Split a proper score into refinement and calibration by recalibration.

    In theory refinement is the score after the best of all recalibrations, and
    calibration what that gains. Here the best of a family stands in for it, and is
    fitted: the calibration part is score(p) - score(g(p)), each example recalibrated
    by a fit on the other folds. So the family says what counts as miscalibration: one
    temperature, or more with "isotonic" or "matrix_scaling", which cost more to fit.

    The result is a function of the multiset of rows (of rows with labels), bit for
    bit, and up to rounding the same after relabeling the classes. Repeating all
    examples changes it, because copies of an example then fall into different folds. A
    whole-number weight is that many copies.

    Args:
        some: The predictions, of any split: nothing is chosen, and no fit is returned.
        score: "nll" or "brier".
        recalibrator: The name of a method of `calibench.posthoc.CALIBRATORS`; it is
            fitted as always, mostly by NLL.
        num_folds: At least 5.
        seed: Of dealing the examples into folds.
        level: Of the intervals.

    Raises:
        ParameterError: A name is unknown, or a number not in its range.
        DataError: The weights are not whole numbers.
        FitError: There are fewer examples than folds, a fit has no optimum, or a score
            is infinite.

    Source:
        DeGroot and Fienberg 1983 and Brocker 2009 for the decomposition; estimated by
        recalibration, Ferrer and Ramos 2024 and Berta et al. 2025.

    Example:
        >>> sure = Predictions.from_logits([[4.0, 0.0]] * 4000, [0, 0, 0, 1] * 1000)
        >>> found = decompose(sure)
        >>> round(found.score, 3), round(found.refinement, 2)  # 98 %, entropy at 75 %
        (1.018, 0.56)
    """
    member(score, tuple(SCORES), "score")
    confidence_level(level)
    some = repeated(some)
    dealt = deal((some,), num_folds, seed)
    terms = recalibrated(some, dealt, recalibrator)[score]
    return decomposition_of(terms, score, recalibrator, level)


@of_predictions
def decompositions(
    some: Predictions, *, level: float = 0.95
) -> dict[str, Decomposition]:
    """What `decompose` says of each proper score, with its defaults: fitted once.

    Raises:
        ParameterError: `level` is not between 0 and 1.
        DataError: The weights are not whole numbers.
        FitError: There are fewer examples than folds, a fit has no optimum, or a score
            is infinite.
    """
    confidence_level(level)
    some = repeated(some)
    terms = recalibrated(some, deal((some,), NUM_FOLDS, seed=0), "temperature")
    return {
        score: decomposition_of(each, score, "temperature", level)
        for score, each in terms.items()
    }


@of_predictions
def nll_refinement(
    some: Predictions, *, recalibrator: str = "temperature", num_folds: int = NUM_FOLDS
) -> float:
    """The NLL that is left after recalibration, in nats; see `decompose`.

    Raises:
        ParameterError: As for `decompose`, like the others.
        DataError: The weights are not whole numbers.
        FitError: There are fewer examples than folds, a fit has no optimum, or a score
            is infinite.
    """
    return _part(some, "nll", recalibrator, num_folds, "refinement")


@of_predictions
def nll_calibration(
    some: Predictions, *, recalibrator: str = "temperature", num_folds: int = NUM_FOLDS
) -> float:
    """What recalibration would take off the NLL, in nats; see `decompose`.

    May be negative: on average -1 / (2 n) where a temperature has nothing to gain.

    Raises:
        ParameterError: As for `decompose`, like the others.
        DataError: The weights are not whole numbers.
        FitError: There are fewer examples than folds, a fit has no optimum, or a score
            is infinite.
    """
    return _part(some, "nll", recalibrator, num_folds, "calibration")


@of_predictions
def brier_refinement(
    some: Predictions, *, recalibrator: str = "temperature", num_folds: int = NUM_FOLDS
) -> float:
    """The Brier score that is left after recalibration, in [0, 2]; see `decompose`.

    Raises:
        ParameterError: As for `decompose`, like the others.
        DataError: The weights are not whole numbers.
        FitError: There are fewer examples than folds, or a fit has no optimum.
    """
    return _part(some, "brier", recalibrator, num_folds, "refinement")


@of_predictions
def brier_calibration(
    some: Predictions, *, recalibrator: str = "temperature", num_folds: int = NUM_FOLDS
) -> float:
    """What recalibration would take off the Brier score; see `decompose`.

    May be negative, the more so as the fit has the lowest NLL, not the lowest Brier
    score.

    Raises:
        ParameterError: As for `decompose`, like the others.
        DataError: The weights are not whole numbers.
        FitError: There are fewer examples than folds, or a fit has no optimum.
    """
    return _part(some, "brier", recalibrator, num_folds, "calibration")


def decomposition_of(
    terms: Recalibrated, score: str, recalibrator: str, level: float
) -> Decomposition:
    """The decomposition from the scores of the examples.

    Of the best recalibration in the family, the held-out gain is on average below the
    population's, the in-sample gain above. The interval of the calibration part goes
    from one to the other, each with its paired standard error; further out by what the
    score may vary with the fit (0 to first order for the score that is minimized); and
    up by half z^2 times the gap between the two gains, which is what a gain of z
    standard deviations near 0 hides: there it is chi-squared and not normal.

    Raises:
        FitError: A score is infinite.
    """
    for values, when in ((terms.given, "as given"), (terms.held_out, recalibrator)):
        if not np.isfinite(values).all():
            msg = f"a label has probability 0 ({when}), so its score is infinite."
            raise FitError(msg)
    refined, given = exact_mean(terms.held_out), exact_mean(terms.given)
    calibration, inside, outside = given - refined, None, None
    if len(terms.given) >= FEWEST_FOR_A_MEAN:
        z, by_fit = quantile(level), terms.fit_error(level)
        gains, optimistic = terms.given - terms.held_out, terms.given - terms.in_sample
        most = max(exact_mean(optimistic), calibration)
        error = standard_error(gains)
        reach = z * max(error, standard_error(optimistic)) + by_fit
        reach += z**2 / 2 * (most - calibration)
        outside = calibration - z * error - by_fit, most + reach
        half = z * standard_error(terms.held_out) + by_fit
        inside = refined - half, refined + half
    return Decomposition(
        score=given,
        refinement=refined,
        calibration=calibration,
        interval=outside,
        refinement_interval=inside,
        recalibrator=recalibrator,
        num_folds=len(terms.by_fold),
        definition=_definition(score, recalibrator, len(terms.by_fold)),
    )


def _definition(score: str, recalibrator: str, num_folds: int) -> Definition:
    known = definitions(15)[f"{score}_calibration"]
    by = f"g = {recalibrator} fitted on the other folds of {num_folds}"
    return replace(known, quantity=known.quantity.replace(FITTED, by))


def _part(
    some: Predictions,
    score: str,
    recalibrator: str,
    num_folds: int,
    part: Literal["refinement", "calibration"],
) -> float:
    found = decompose(some, score=score, recalibrator=recalibrator, num_folds=num_folds)
    return float(getattr(found, part))
