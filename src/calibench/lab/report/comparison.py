"""Which differences between losses exceed the noise of a finite test set."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from calibench.lab.report.judged import Judged, Vector
from calibench.lab.report.results import Quantity
from calibench.lab.report.summary import SIGNIFICANCE


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two losses on one model: the mean over seeds of `second` minus `first`.

    Attributes:
        standard_error: Over test examples, paired; the temperature counts as given.
        p_value: Two-sided, adjusted by Holm for all pairs of losses on all models.
        seeds: The seeds that both have.
        signs_agree: Whether the difference has one sign in all of those seeds.
    """

    quantity: Quantity
    model: str
    first: str
    second: str
    difference: float
    standard_error: float
    p_value: float
    seeds: tuple[int, ...]
    signs_agree: bool

    @property
    def is_told_apart(self) -> bool:
        """Whether the losses differ by more than noise, and alike in all seeds."""
        return self.signs_agree and self.p_value < SIGNIFICANCE


def compared(judged: Sequence[Judged], quantity: Quantity) -> list[Comparison]:
    """Compare every two losses on every model, paired by seed and test example.

    Args:
        judged: Finished runs.
        quantity: One that `Judged.contributions` knows.

    Returns:
        The comparisons, with `p_value` adjusted over all of them.
    """
    terms: dict[tuple[str, str], dict[int, Vector]] = {}
    for each in judged:
        parts = each.contributions()
        if quantity in parts:
            cell = terms.setdefault((each.run.model, each.run.loss), {})
            cell[each.run.seed] = parts[quantity]
    raw = [
        comparison
        for (model, first), (other, second) in combinations(terms, 2)
        if model == other
        and (comparison := _pair(quantity, (model, first, second), terms))
    ]
    adjusted = holm([comparison.p_value for comparison in raw])
    return [
        replace(comparison, p_value=p_value)
        for comparison, p_value in zip(raw, adjusted, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that any error among them has the stated probability.

    Source:
        Holm 1979: the i-th smallest of m is multiplied by m - i + 1, never falling.

    Example:
        >>> holm([0.25, 0.125])
        [0.25, 0.25]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted


def _pair(
    quantity: Quantity,
    names: tuple[str, str, str],
    terms: Mapping[tuple[str, str], Mapping[int, Vector]],
) -> Comparison | None:
    model, first, second = names
    of_first, of_second = terms[model, first], terms[model, second]
    seeds = tuple(seed for seed in of_first if seed in of_second)
    if not seeds:
        return None
    by_seed = np.stack([of_second[seed] - of_first[seed] for seed in seeds])
    signs = set(np.sign(by_seed.mean(axis=1)).tolist())
    # The seeds share test examples, so an example is averaged over seeds first.
    by_example = by_seed.mean(axis=0)
    difference = float(by_example.mean())
    error = _standard_error(by_example)
    return Comparison(
        quantity=quantity,
        model=model,
        first=first,
        second=second,
        difference=difference,
        standard_error=error,
        p_value=_two_sided(difference, error),
        seeds=seeds,
        signs_agree=len(signs) == 1,
    )


def _standard_error(terms: Vector) -> float:
    """Of the mean; infinite where one example tells nothing about spread."""
    count = len(terms)
    return float(terms.std(ddof=1) / math.sqrt(count)) if count > 1 else math.inf


def _two_sided(difference: float, standard_error: float) -> float:
    if standard_error == 0:
        return 1.0 if difference == 0 else 0.0
    return math.erfc(abs(difference) / standard_error / math.sqrt(2))
