"""The focal bound: focal >= cross-entropy - gamma * entropy.

For every K >= 2, every gamma >= 0, all logits and every label; strictly for gamma > 0.
Proof: docs/theory.md.
"""

from dataclasses import dataclass

import numpy as np

from calibench.theory.log_softmax import (
    Labels,
    Logits,
    PerExample,
    log_probs,
    require_at_least_zero,
)


@dataclass(frozen=True, kw_only=True)
class FocalBound:
    """The chain of inequalities behind the focal bound, one value for each example.

    saving <= product <= binary <= total, with p the label's probability and q = 1 - p:

    Attributes:
        saving: Cross-entropy minus focal, -(1 - q^gamma) ln p.
        product: gamma ln p ln q.
        binary: gamma times the entropy of (p, q).
        total: gamma times the entropy of the whole prediction.
    """

    saving: PerExample
    product: PerExample
    binary: PerExample
    total: PerExample

    @property
    def margin(self) -> PerExample:
        """Focal less the bound; by the theorem never negative."""
        return self.total - self.saving


def focal_bound(logits: Logits, labels: Labels, gamma: float) -> FocalBound:
    """Return every link of focal >= cross-entropy - gamma * entropy.

    The textbook proof goes by Bernoulli's inequality and needs gamma >= 1; these links
    hold for every gamma >= 0.

    Raises:
        ParameterError: gamma is negative.

    >>> bound = focal_bound(np.array([[0.0, 0.0]]), np.array([0]), gamma=1.0)
    >>> float(bound.saving[0] / np.log(2))  # (1 - 1/2) ln 2 of ln 2
    0.5
    >>> float(bound.total[0] / np.log(2))
    1.0
    """
    require_at_least_zero("gamma", gamma)
    log_all = log_probs(logits)
    log_p = np.take_along_axis(log_all, labels[:, None], axis=1)[:, 0]
    p = np.exp(log_p)
    log_q, q = _complement(log_all, labels, p)
    return FocalBound(
        saving=log_p * np.expm1(gamma * log_q),
        product=gamma * log_p * log_q,
        binary=-gamma * (p * log_p + q * log_q),
        total=-gamma * (np.exp(log_all) * log_all).sum(axis=1),
    )


@dataclass(frozen=True, kw_only=True)
class TextbookStep:
    """How far focal >= (1 - gamma p) * cross-entropy holds, over all p in (0, 1).

    Attributes:
        gamma: The focusing parameter.
        margin: The least of focal - (1 - gamma p) * cross-entropy, in nats.
        probability: The label's probability p at which it is attained.
    """

    gamma: float
    margin: float
    probability: float


def textbook_step(gamma: float, *, num_points: int = 100_000) -> TextbookStep:
    """Return the worst case of the step by (1 - p)^gamma >= 1 - gamma p.

    That is Bernoulli's inequality, true for gamma >= 1 and reversed for 0 < gamma < 1.

    Args:
        gamma: The focusing parameter, at least 0.
        num_points: How many equally spaced p are tried.

    Raises:
        ParameterError: gamma is negative.

    >>> round(textbook_step(0.5).margin, 4)
    -0.0365
    >>> textbook_step(2.0).margin > 0
    True
    """
    require_at_least_zero("gamma", gamma)
    p = np.arange(1, num_points) / num_points
    gap = np.expm1(gamma * np.log1p(-p)) + gamma * p
    # At gamma = 1 the step is an equality, and this all that rounding leaves of it.
    margin = -np.log(p) * np.where(np.abs(gap) < 1e-15, 0.0, gap)
    worst = int(margin.argmin())
    return TextbookStep(
        gamma=gamma, margin=float(margin[worst]), probability=float(p[worst])
    )


def _complement(
    log_all: Logits, labels: Labels, p: PerExample
) -> tuple[PerExample, PerExample]:
    """Return ln q and q for q = 1 - p, both to full relative precision."""
    others = log_all.copy()
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    largest = others.max(axis=1)
    log_sum = largest + np.log(np.exp(others - largest[:, None]).sum(axis=1))
    # A sum of the others is exact for small q, and 1 - p for small p.
    log_q = np.where(p < 0.5, np.log1p(-np.minimum(p, 0.5)), log_sum)
    return log_q, np.where(p < 0.5, 1 - p, np.exp(log_sum))
