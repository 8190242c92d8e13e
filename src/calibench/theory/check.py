"""How far both theorems are from failing, over many kinds of predictions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float64

from calibench.errors import ParameterError
from calibench.theory.focal import focal_bound, textbook_step
from calibench.theory.log_softmax import Logits
from calibench.theory.scaling import log_top_shortfall

# At scale 20 the widest gap leaves exp(-600) for the others: small, but a float64.
_GAPS = (1e-6, 0.1, 1.0, 5.0, 30.0)
_SPREADS = (0.1, 1.0, 3.0)
_DRAWS = 8


@dataclass(frozen=True, kw_only=True)
class Margin:
    """The smallest margin of one theorem over many predictions of K classes.

    Attributes:
        theorem: "scaling" or "focal bound".
        num_classes: K.
        gamma: The focusing parameter; none for scaling.
        scales: For scaling the step from one scale to the next, whose margin is the
            rise of ln top; for a focal bound all scales of the logits that were tried.
        strict: Whether the theorem promises a margin above 0, or only at least 0.
        num_cases: How many predictions (and labels) were tried.
        margin: The smallest margin, in nats.
        relative: The smallest margin as a fraction of the larger side, in [0, 1]: of
            what ln top had left to rise, or of gamma * entropy.
        where: The prediction with the smallest relative margin.
    """

    theorem: str
    num_classes: int
    gamma: float | None
    scales: tuple[float, ...]
    strict: bool
    num_cases: int
    margin: float
    relative: float
    where: str

    @property
    def holds(self) -> bool:
        """Whether no margin breaks the promise."""
        return self.margin > 0 if self.strict else self.margin >= 0

    def to_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {**asdict(self), "holds": self.holds}


def margins(
    *,
    num_classes: Sequence[int] = (2, 3, 10, 1000),
    gammas: Sequence[float] = (0.0, 0.1, 0.5, 0.9, 1.0, 2.0, 3.0, 5.0),
    scales: Sequence[float] = (0.0, 0.5, 1.0, 2.0, 5.0, 20.0),
) -> list[Margin]:
    """Check both theorems on tied, nearly tied, graded, saturated and random logits.

    For each number of classes: the scaling theorem for equal logits (no rise) and for
    all others at each step of the scale, then the focal bound for each gamma. Scales
    above 20 may leave no probability that a float64 can hold, and no margin.

    Raises:
        ParameterError: A gamma or a scale is negative, the scales do not increase, or
            there are fewer than 2 classes.

    >>> rows = margins(num_classes=[2], gammas=[0.5], scales=[1.0, 2.0])
    >>> [(row.theorem, row.strict, row.holds) for row in rows]
    [('scaling', False, True), ('scaling', True, True), ('focal bound', True, True)]
    """
    if any(after <= before for before, after in pairwise(scales)):
        msg = f"scales must increase, got {list(scales)}."
        raise ParameterError(msg)
    rows: list[Margin] = []
    for classes in num_classes:
        names, logits = predictions_to_try(classes)
        rows += _scaling_margins(names, logits, scales)
        rows += _focal_margins(names, logits, gammas, scales)
    return rows


def table(rows: Sequence[Margin]) -> str:
    """Return the rows as aligned text, and where the textbook proof would fail.

    >>> print(table(margins(num_classes=[2], gammas=[], scales=[0.0, 1.0])[:1]))
    theorem  K  gamma  t     cases  margin    relative  where      holds
    scaling  2  -      0..1      1  0.00e+00  0.00e+00  all equal  yes
    """
    cells = [
        ["theorem", "K", "gamma", "t", "cases", "margin", "relative", "where", "holds"],
        *(_cells(row) for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column == 4 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    gammas = sorted({row.gamma for row in rows if row.gamma and row.gamma < 1})
    lines += [
        f"textbook step, gamma {step.gamma:g}: {step.margin:.4f} at p = "
        f"{step.probability:.2f}; Bernoulli's inequality needs gamma >= 1"
        for step in map(textbook_step, gammas)
    ]
    return "\n".join(lines)


def _cells(row: Margin) -> list[str]:
    return [
        row.theorem,
        str(row.num_classes),
        "-" if row.gamma is None else f"{row.gamma:g}",
        f"{row.scales[0]:g}..{row.scales[-1]:g}",
        str(row.num_cases),
        f"{row.margin:.2e}",
        f"{row.relative:.2e}",
        row.where,
        "yes" if row.holds else "NO",
    ]


def predictions_to_try(num_classes: int) -> tuple[list[str], Logits]:
    """Return names and logits of predictions; in the first all logits are equal.

    Raises:
        ParameterError: There are fewer than 2 classes.

    >>> names, logits = predictions_to_try(3)
    >>> names[1], logits[1]
    ('one above the rest by 1e-06', array([1.e-06, 0.e+00, 0.e+00]))
    """
    if num_classes < 2:
        msg = f"num_classes must be at least 2, got {num_classes}."
        raise ParameterError(msg)
    named = {"all equal": np.zeros(num_classes)}
    for gap in _GAPS:
        one = np.zeros(num_classes)
        one[0] = gap
        named[f"one above the rest by {gap:g}"] = one
        if num_classes > 2:
            named[f"one below the rest, all tied, by {gap:g}"] = -one
            named[f"two tied above the rest by {gap:g}"] = one + np.roll(one, 1)
        named[f"evenly spaced over {gap:g}"] = np.linspace(0, gap, num_classes)
    generator = np.random.default_rng(0)
    for spread in _SPREADS:
        for draw in range(_DRAWS):
            logits = generator.normal(scale=spread, size=num_classes)
            named[f"normal of spread {spread:g}, draw {draw}"] = logits
    return list(named), np.stack(list(named.values()))


def _scaling_margins(
    names: list[str], logits: Logits, scales: Sequence[float]
) -> Iterator[Margin]:
    falling = np.stack([log_top_shortfall(logits, scale) for scale in scales])
    row = partial(Margin, theorem="scaling", num_classes=logits.shape[1], gamma=None)
    yield _smallest(
        partial(row, scales=tuple(scales), strict=False),
        names[:1] * (len(scales) - 1),
        falling[:-1, 0],
        falling[1:, 0],
    )
    for step, before, after in zip(
        pairwise(scales), falling[:-1, 1:], falling[1:, 1:], strict=True
    ):
        yield _smallest(
            partial(row, scales=step, strict=True), names[1:], before, after
        )


def _focal_margins(
    names: list[str], logits: Logits, gammas: Sequence[float], scales: Sequence[float]
) -> Iterator[Margin]:
    order = logits.argsort(axis=1, kind="stable")
    likely = {
        "least": order[:, 0],
        "medium": order[:, order.shape[1] // 2],
        "most": order[:, -1],
    }
    cases = [
        f"{name}, t = {scale:g}, {which} likely label"
        for scale in scales
        for which in likely
        for name in names
    ]
    scaled = np.concatenate([np.tile(scale * logits, (3, 1)) for scale in scales])
    labels = np.tile(np.concatenate(list(likely.values())), len(scales))
    row = partial(Margin, theorem="focal bound", num_classes=logits.shape[1])
    for gamma in gammas:
        bound = focal_bound(scaled, labels, gamma)
        yield _smallest(
            partial(row, gamma=gamma, scales=tuple(scales), strict=gamma > 0),
            cases,
            bound.total,
            bound.saving,
        )


def _smallest(
    row: Callable[..., Margin],
    names: list[str],
    larger: Float64[np.ndarray, " cases"],
    smaller: Float64[np.ndarray, " cases"],
) -> Margin:
    margin = larger - smaller
    relative = np.divide(margin, larger, out=np.zeros_like(margin), where=larger > 0)
    worst = int(relative.argmin())
    return row(
        num_cases=len(margin),
        margin=float(margin.min()),
        relative=float(relative[worst]),
        where=names[worst],
    )
