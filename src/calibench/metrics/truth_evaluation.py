"""Every number against the truth, with its interval, noise floor and definition."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibench.metrics import soft_scores, truth
from calibench.metrics.floor import NoiseFloor, check_drawing, floor_of
from calibench.metrics.intervals import FEWEST_FOR_A_MEAN
from calibench.metrics.measurement import Measurement
from calibench.metrics.scores import exact_mean
from calibench.metrics.truth import Terms, Truth, TruthKind
from calibench.metrics.truth_definitions import truth_definitions
from calibench.metrics.truth_intervals import of_soft_ece, of_truth_mean
from calibench.options import confidence_level
from calibench.predictions import Labels, Predictions, unweighted
from calibench.signatures import of_predictions

_MEANS: dict[str, Callable[[Predictions, Truth], Terms]] = {
    "true_calibration_error": truth.top_sizes,
    "true_squared_calibration_error": truth.squared_top_gaps,
    "true_canonical_l1": truth.sizes,
    "true_canonical_l2": truth.lengths,
    "true_canonical_l2_squared": truth.squares,
    "true_kl": soft_scores.divergences,
    "soft_label_nll": soft_scores.cross_entropies,
    "soft_label_brier": soft_scores.brier_scores,
}
_BINNED = "soft_label_ece"
_SCORES = ("soft_label_nll", "soft_label_brier")


@dataclass(frozen=True)
class TruthEvaluation:
    """What was found against the truth.

    Attributes:
        kind: Whether the truth is a posterior or counts.
        n: How many examples.
        level: Of the intervals.
        replicates: How many sets of counts were redrawn for the floors; 0 for a
            posterior, against which a calibrated model scores 0.
        fewest_counts: The fewest judges of an example; None for a posterior.
        label_agreement: The share of examples whose label is the likeliest class of
            the truth.
        agreement_by_chance: What it would be if the rows of the truth were shuffled.
        measurements: By name.
    """

    kind: TruthKind
    n: int
    level: float
    replicates: int
    fewest_counts: int | None
    label_agreement: float
    agreement_by_chance: float
    measurements: Mapping[str, Measurement]

    @property
    def may_be_misaligned(self) -> bool:
        """Whether labels agree with the truth no better than with shuffled rows."""
        chance = self.agreement_by_chance
        spread = math.sqrt(chance * (1 - chance) / self.n)
        return self.label_agreement <= chance + 2 * spread and chance < 1

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "kind": self.kind,
            "n": self.n,
            "level": self.level,
            "replicates": self.replicates,
            "fewest_counts": self.fewest_counts,
            "label_agreement": self.label_agreement,
            "agreement_by_chance": self.agreement_by_chance,
            "may_be_misaligned": self.may_be_misaligned,
            "metrics": {name: m.to_dict() for name, m in self.measurements.items()},
        }


@of_predictions
def evaluate_truth(
    some: Predictions,
    known: Truth,
    *,
    num_bins: int = 15,
    replicates: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> TruthEvaluation:
    """Measure predictions against a known posterior, or against counts of judges.

    Against counts, floors come from counts redrawn from the model's probabilities: what
    a model would score that is right about every example.

    Args:
        some: The predictions. Their labels serve only to see whether the rows match.
        known: The truth about the same examples, in the same order.
        num_bins: How many bins for `soft_label_ece`.
        replicates: How many sets of counts to redraw.
        seed: Of the redrawing.
        level: Of the intervals.

    Raises:
        DataError: The truth is of other examples or classes, or there are weights.
        ParameterError: `num_bins` or `replicates` is below 1, or `level` is not
            between 0 and 1.

    Example:
        >>> some = Predictions.from_probs([[0.75, 0.25]], [0])
        >>> found = evaluate_truth(some, Truth.from_posterior([[0.5, 0.5]]))
        >>> found.measurements["true_calibration_error"].value
        0.25
    """
    check_drawing(replicates, seed)
    confidence_level(level)
    known = truth.truth_for(unweighted(some, "evaluate_truth"), known)
    terms = {name: of(some, known) for name, of in _MEANS.items()}
    values = {name: exact_mean(each) for name, each in terms.items()}
    values[_BINNED] = truth.soft_label_ece(some, known, num_bins=num_bins)
    found = {n: of_truth_mean(n, some, known, each, level) for n, each in terms.items()}
    found[_BINNED] = of_soft_ece(some, known, num_bins, level)
    floors = _floors(some, known, num_bins, values, (replicates, seed))
    given = truth_definitions(num_bins, known.kind)
    measurements = {}
    for name, interval in found.items():
        definition = given[name]
        if interval is None:
            definition = definition.without_interval(_reason(values[name]))
        measurements[name] = Measurement(
            values[name], interval, floors.get(name), definition
        )
    likeliest = known.probs.argmax(axis=1)
    return TruthEvaluation(
        kind=known.kind,
        n=some.num_examples,
        level=level,
        replicates=replicates if floors else 0,
        fewest_counts=None if known.totals is None else int(known.totals.min()),
        label_agreement=float(np.mean(likeliest == some.labels)),
        agreement_by_chance=_chance(likeliest, some.labels, some.num_classes),
        measurements=measurements,
    )


def _reason(value: float) -> str:
    if not math.isfinite(value):
        return "a class that occurs was given probability 0"
    return f"fewer than {FEWEST_FOR_A_MEAN} examples"


def _chance(one: Labels, other: Labels, num_classes: int) -> float:
    """How often two labels agree if the rows of one are shuffled."""
    counts = [np.bincount(labels, minlength=num_classes) for labels in (one, other)]
    return float(counts[0] @ counts[1]) / len(one) ** 2


def _floors(
    some: Predictions,
    known: Truth,
    num_bins: int,
    values: Mapping[str, float],
    drawing: tuple[int, int],
) -> dict[str, NoiseFloor]:
    if known.totals is None:
        return {}
    # Sorted, so that the draws do not depend on the order of the examples.
    order = np.lexsort((known.totals, *some.probs.T))
    totals = known.totals[order]
    ordered = Predictions(some.labels[order], some.kind, some.values[order])
    probs = ordered.probs / ordered.probs.sum(axis=1, keepdims=True)
    replicates, seed = drawing
    rng = np.random.default_rng(seed)
    scores: dict[str, list[float]] = {n: [] for n in values if n not in _SCORES}
    for _ in range(replicates):
        counts = rng.multinomial(totals.astype(np.int64), probs)
        drawn = Truth(counts / totals[:, None], totals)
        for name, each in scores.items():
            each.append(_score(name, ordered, drawn, num_bins))
    return {
        name: floor_of(np.array(each), values[name]) for name, each in scores.items()
    }


def _score(name: str, some: Predictions, known: Truth, num_bins: int) -> float:
    if name == _BINNED:
        return truth.soft_label_ece(some, known, num_bins=num_bins)
    return float(_MEANS[name](some, known).mean())
