"""Sets of predictions on the same examples, compared number by number."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from calibench.errors import ParameterError
from calibench.metrics import paired
from calibench.metrics.calibration_error import debiased_l2, top_label_ece
from calibench.metrics.comparison_verdict import verdict_between
from calibench.metrics.definitions import Definition, definitions
from calibench.metrics.difference import Difference
from calibench.metrics.floor import check_drawing
from calibench.metrics.intervals import FEWEST_FOR_A_MEAN
from calibench.metrics.paired import Outcome
from calibench.metrics.paired_shares import of_shares
from calibench.metrics.refinement_difference import of_refinement
from calibench.metrics.same_examples import refuse_other_examples
from calibench.metrics.scores import accuracy, brier, brier_terms, nll
from calibench.options import confidence_level
from calibench.predictions import Predictions
from calibench.signatures import of_predictions
from calibench.sums import counted


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; `to_dict` is what `evaluate --against --json` prints.

    Attributes:
        n: How many examples.
        num_classes: How many classes.
        level: Of the intervals; 1 - level is where the verdict calls a difference real.
        differences: By name; each is the second's number minus the first's.
        verdict: Two or three plain sentences.
    """

    n: int
    num_classes: int
    level: float
    differences: Mapping[str, Difference]
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "n": self.n,
            "num_classes": self.num_classes,
            "level": self.level,
            "differences": {k: each.to_dict() for k, each in self.differences.items()},
            "verdict": self.verdict,
        }


@of_predictions
def compare(
    first: Predictions,
    second: Predictions,
    *,
    num_bins: int = 15,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Test whether two sets of predictions on the same examples differ, paired.

    Each p-value is for one number by itself. Examples count as independent draws; the
    spread over training seeds is another matter.

    Args:
        first: Predictions of one model.
        second: Those of another, for the same examples in the same order, with the same
            weights if there are any.
        num_bins: How many bins for the binned metrics.
        replicates: How many data sets to draw for NLL and Brier score.
        seed: Of the drawing.
        level: Of the intervals.

    Raises:
        DataError: The labels, the weights or the numbers of classes are not the same,
            or the weights are not whole numbers.
        ParameterError: `num_bins` is below 1, `level` is not between 0 and 1, or
            `replicates` are too few for it.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1])
        >>> compare(some, some).differences["top_label_ece"].value
        0.0
    """
    _check_options(replicates, seed, level)
    refuse_other_examples(first, second)
    num_examples = first.num_examples
    first, second = first.present, second.present
    values = {
        "accuracy": accuracy,
        "nll": nll,
        "brier": brier,
        "top_label_ece": lambda each: top_label_ece(each, num_bins=num_bins),
        "debiased_l2": lambda each: debiased_l2(each, num_bins=num_bins),
    }
    found = _averages(first, second, replicates=replicates, seed=seed, level=level)
    found |= _errors(first, second, num_bins, level)
    known = definitions(num_bins)
    differences = {
        name: _difference(value(first), value(second), *found[name], known[name])
        for name, value in values.items()
    }
    differences |= of_refinement(first, second, level)
    return Comparison(
        n=num_examples,
        num_classes=first.num_classes,
        level=level,
        differences=differences,
        verdict=verdict_between(differences, level),
    )


def compare_all(
    sets: Mapping[str, Predictions],
    *,
    num_bins: int = 15,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[tuple[str, str], Comparison]:
    """Compare every two of several sets of predictions on the same examples.

    For each number, `p_adjusted` is Holm's over all pairs: the chance of any false
    alarm among them is at most 1 - level. The verdicts go by it. The least p-value of
    a bootstrap is 1 / (1 + replicates), so many pairs take more replicates.

    Args:
        sets: By name, at least two.
        num_bins: As for `compare`, like the others.
        replicates: How many data sets to draw.
        seed: Of the drawing.
        level: Of the intervals, which are for one pair by itself.

    Returns:
        By the names of first and second, in the order given.

    Raises:
        DataError: As for `compare`.
        ParameterError: As for `compare`, or there are fewer than two sets.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25], [1.0, 0.0]], [0, 1])
        >>> list(compare_all({"a": some, "b": some, "c": some}))
        [('a', 'b'), ('a', 'c'), ('b', 'c')]
    """
    if len(sets) < 2:
        msg = f"give at least two sets of predictions to compare, got {len(sets)}."
        raise ParameterError(msg)
    found = {
        (one, other): compare(
            sets[one],
            sets[other],
            num_bins=num_bins,
            replicates=replicates,
            seed=seed,
            level=level,
        )
        for one, other in combinations(sets, 2)
    }
    return dict(zip(found, _adjusted(list(found.values())), strict=True))


def _adjusted(found: list[Comparison]) -> list[Comparison]:
    columns: list[dict[str, Difference]] = [{} for _ in found]
    for name in found[0].differences:
        each = [comparison.differences[name] for comparison in found]
        tested = [d.p_value for d in each if d.p_value is not None]
        p_values = iter(paired.holm(tested))
        for column, difference in zip(columns, each, strict=True):
            p_value = None if difference.p_value is None else next(p_values)
            column[name] = replace(difference, p_adjusted=p_value)
    return [
        replace(
            comparison,
            differences=column,
            verdict=verdict_between(column, comparison.level),
        )
        for comparison, column in zip(found, columns, strict=True)
    ]


def _averages(
    first: Predictions,
    second: Predictions,
    *,
    replicates: int,
    seed: int,
    level: float,
) -> dict[str, tuple[Outcome | None, str]]:
    n, counts = int(first.total_weight), first.counts
    side = second.correct.astype(np.int64) - first.correct
    sides = counted(side + 1, 3, counts)
    shares = of_shares(int(sides[2]), int(sides[0]), n, level)
    found: dict[str, tuple[Outcome | None, str]] = {
        "accuracy": (shares, "Tango's score interval; p by McNemar's exact test")
    }
    with np.errstate(invalid="ignore"):
        terms = {
            "nll": first.label_log_probs - second.label_log_probs,
            "brier": brier_terms(second) - brier_terms(first),
        }
    drawn = f"{replicates} replicates, seed {seed}"
    if n * replicates > paired.MOST_DRAWS:
        drawn = "by its normal limit, as there are so many examples"
    for name, each in terms.items():
        if n < FEWEST_FOR_A_MEAN:
            found[name] = None, f"none: fewer than {FEWEST_FOR_A_MEAN} examples"
        elif not np.isfinite(each).all():
            found[name] = None, "none: a label was given probability 0"
        else:
            outcome = paired.of_mean(
                each, counts=counts, replicates=replicates, seed=seed, level=level
            )
            few = "" if outcome.interval else "; no interval: too few examples differ"
            found[name] = outcome, f"symmetric bootstrap-t, paired; {drawn}{few}"
    return found


def _errors(
    first: Predictions, second: Predictions, num_bins: int, level: float
) -> dict[str, tuple[Outcome | None, str]]:
    if first.total_weight < FEWEST_FOR_A_MEAN:
        few = f"none: fewer than {FEWEST_FOR_A_MEAN} examples"
        return {"top_label_ece": (None, few), "debiased_l2": (None, few)}
    size = paired.of_size(first, second, num_bins=num_bins, level=level)
    square = paired.of_squared_size(first, second, num_bins=num_bins, level=level)
    return {
        "top_label_ece": (
            size,
            "covers at least as stated: paired normal theory with the signs of the "
            "bins as given, reaching out by the most that either bias can be",
        ),
        "debiased_l2": (square, "normal theory, its variance by a paired jackknife"),
    }


def _difference(
    first: float,
    second: float,
    outcome: Outcome | None,
    method: str,
    definition: Definition,
) -> Difference:
    both = math.isinf(first) and math.isinf(second)
    return Difference(
        first=first,
        second=second,
        value=None if both else second - first,
        interval=outcome and outcome.interval,
        p_value=outcome and outcome.p_value,
        definition=replace(definition, interval=method),
    )


def _check_options(replicates: int, seed: int, level: float) -> None:
    check_drawing(replicates, seed)
    confidence_level(level)
    if math.ceil(level * (replicates + 1)) > replicates:
        least = math.ceil(level / (1 - level))
        msg = (
            f"{replicates} replicates are too few for level {level}: take at least "
            f"{least}, better 2000."
        )
        raise ParameterError(msg)
