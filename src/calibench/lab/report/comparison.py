"""Which differences between losses exceed the noise of a finite test set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from calibench.lab.report.judged import Judged, Vector
from calibench.lab.report.results import Quantity
from calibench.lab.report.summary import SIGNIFICANCE
from calibench.metrics.paired import holm, standard_error, two_sided


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
    error = standard_error(by_example)
    return Comparison(
        quantity=quantity,
        model=model,
        first=first,
        second=second,
        difference=difference,
        standard_error=error,
        p_value=two_sided(difference, error),
        seeds=seeds,
        signs_agree=len(signs) == 1,
    )
