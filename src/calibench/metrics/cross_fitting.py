"""Scores of predictions recalibrated by fits on other examples: cross-fitting."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from calibench.errors import DataError, FitError
from calibench.metrics.scores import brier_terms
from calibench.metrics.students_t import student
from calibench.options import whole_number
from calibench.posthoc import CALIBRATORS, Calibrator, fit
from calibench.predictions import Predictions
from calibench.validation import member

Terms: TypeAlias = Float64[np.ndarray, " examples"]
Rows: TypeAlias = Int64[np.ndarray, " examples"]

# With fewer, too little is left to fit on, and to tell how much a fit varies.
FEWEST_FOLDS = 5

# Numbers of examples repeated by their weights: 1 GB.
_MOST_REPEATED = 2**27

SCORES: dict[str, Callable[[Predictions], Terms]] = {
    "nll": lambda some: -some.label_log_probs,
    "brier": brier_terms,
}


@dataclass(frozen=True, eq=False)
class Recalibrated:
    """The score of each example, before and after recalibration.

    Attributes:
        given: The score of each example as it was given.
        held_out: After recalibration by the fit on the other folds.
        in_sample: After recalibration by the fit on all examples, itself included.
        by_fold: For each fold left out, the mean over all examples after that fit.
    """

    given: Terms
    held_out: Terms
    in_sample: Terms
    by_fold: Float64[np.ndarray, " folds"]

    def fit_error(self, level: float) -> float:
        """How far the mean score may be off because the fit might have been another.

        A jackknife that leaves out one fold at a time, times Student's quantile. Near
        0 for the score that the fit minimizes.
        """
        return jackknife_error(self.by_fold) * student(level, len(self.by_fold) - 1)


def recalibrated(
    some: Predictions, dealt: tuple[Rows, Rows], recalibrator: str
) -> dict[str, Recalibrated]:
    """Every score of `SCORES`, before and after, in the order of the deal.

    Args:
        some: The predictions.
        dealt: Of `deal`.
        recalibrator: The name of a method of `calibench.posthoc`.

    Raises:
        ParameterError: There is no such method, or it needs a setting.
        FitError: A fit has no optimum, or cannot take these predictions.
    """
    member(recalibrator, tuple(CALIBRATORS), "recalibrator")
    order, folds = dealt
    # As logits, because probabilities raised to a power may underflow. No split: a
    # fold is fitted on to judge the others, nothing is chosen.
    rows = Predictions(some.labels[order], "logits", some.logits[order])
    whole = _whole_fit(rows, some, recalibrator)
    in_sample = _scores(whole.apply(rows, in_sample=True))
    held_out = {name: np.empty_like(terms) for name, terms in in_sample.items()}
    by_fold: dict[str, list[float]] = {name: [] for name in SCORES}
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        fitted = _fold_fit(rows, ~held, recalibrator, fold)
        for name, terms in _scores(fitted.apply(rows, in_sample=True)).items():
            held_out[name][held] = terms[held]
            by_fold[name].append(float(terms.mean()))
    given = {name: score(some)[order] for name, score in SCORES.items()}
    return {
        name: Recalibrated(
            given[name], held_out[name], in_sample[name], np.array(by_fold[name])
        )
        for name in SCORES
    }


def repeated(some: Predictions) -> Predictions:
    """Each example as often as its weight says: a fold takes whole examples.

    Raises:
        DataError: The weights are not whole numbers, or sum to too many examples.
    """
    counts = some.counts
    if counts is None:
        return some
    if some.total_weight * some.num_classes > _MOST_REPEATED:
        msg = (
            f"weights of {some.total_weight:,} examples of {some.num_classes} classes "
            "are too many to deal into folds. Take a part of them."
        )
        raise DataError(msg)
    rows = np.repeat(np.arange(some.num_examples), counts)
    return replace(some.rows(rows), weights=None)


def deal(sets: tuple[Predictions, ...], num_folds: int, seed: int) -> tuple[Rows, Rows]:
    """An order of the examples that does not depend on theirs, and a fold for each.

    Sorted by the log-odds of the predicted class, ties by all numbers of a row, then
    dealt by a random permutation of the ranks. So folds and everything after are a
    function of the multiset of rows, bit for bit. Of several sets on the same examples
    the numbers are added up, so that all are dealt alike, whichever comes first.

    Raises:
        ParameterError: `num_folds` is below 5, or `seed` below 0.
        FitError: There are fewer examples than folds.
    """
    whole_number(num_folds, "num_folds", FEWEST_FOLDS)
    whole_number(seed, "seed", 0)
    count = sets[0].num_examples
    if count < num_folds:
        msg = f"{num_folds} folds need as many examples, got {count}. Give more."
        raise FitError(msg)
    log_odds = np.sum([some.log_odds for some in sets], axis=0)
    values = np.sum([some.log_probs for some in sets], axis=0)
    # Adding 0 makes -0 and 0 one number. Bytes in any order will do for ties.
    columns = np.column_stack([sets[0].labels, values + 0.0]).astype("<f8")
    keys = columns.view(np.dtype((np.void, columns.shape[1] * 8))).ravel()
    order = np.argsort(keys, kind="stable")
    order = order[np.argsort(log_odds[order], kind="stable")]
    return order, np.random.default_rng(seed).permutation(count) % num_folds


def jackknife_error(by_fold: Float64[np.ndarray, " folds"]) -> float:
    """The standard error of a mean from its values without each fold.

    Source:
        Efron and Stein 1981, with groups in place of examples.
    """
    count = len(by_fold)
    return math.sqrt((count - 1) * float(by_fold.var()))


def _scores(some: Predictions) -> dict[str, Terms]:
    return {name: score(some) for name, score in SCORES.items()}


def _whole_fit(rows: Predictions, some: Predictions, recalibrator: str) -> Calibrator:
    try:
        return fit(rows, recalibrator)
    except (FitError, DataError):
        # Again in the order given, so that the error names the caller's row.
        unsorted = Predictions(some.labels, some.kind, some.values)
        try:
            return fit(unsorted, recalibrator)
        except DataError as error:
            raise FitError(str(error)) from error


def _fold_fit(
    rows: Predictions, kept: np.ndarray, recalibrator: str, fold: int
) -> Calibrator:
    part = Predictions(rows.labels[kept], rows.kind, rows.values[kept])
    try:
        return fit(part, recalibrator)
    except FitError as error:
        msg = f"without fold {fold + 1}, {error}"
        raise FitError(msg) from error
