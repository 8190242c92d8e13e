"""Both theorems, checked on the logits that a store has."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float64

from calibench.lab.study.claim_runs import AbsentError, ClaimRuns
from calibench.predictions import Predictions
from calibench.theory import focal_bound, log_top_shortfall

# What float64 may lose in either side, relative to it.
ROUNDING = 1e-9
_SCALES = (1.0, 1.5, 2.0, 5.0)
_GAMMAS = (0.5, 1.0, 3.0)

Vector = Float64[np.ndarray, " cases"]
Sides = tuple[Vector, Vector]


@dataclass(frozen=True, kw_only=True)
class TheoremCheck:
    """An inequality, tried on stored predictions. It is no estimate: it holds or not.

    Attributes:
        num_examples: How many predictions, over all runs.
        num_checks: Times the scales, or the gammas, that were tried.
        num_violations: Those beyond rounding.
        worst_margin: The smallest margin as a fraction of the larger side; 0 also where
            neither side has a digit left.
    """

    name: str
    statement: str
    num_runs: int
    num_examples: int
    num_checks: int
    num_violations: int
    worst_margin: float

    @property
    def verdict(self) -> str:
        """Whether it holds throughout; undecided without any prediction."""
        if not self.num_checks:
            return "undecided"
        return "refuted" if self.num_violations else "confirmed"

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        values = asdict(self)
        del values["name"], values["statement"]
        return values


def theorem_checks(runs: ClaimRuns) -> list[TheoremCheck]:
    """Try both theorems on the test logits of the last epoch of every finished run.

    Raises:
        IntegrityError: A stored file is not what was written.
    """
    own = {loss["gamma"] for loss in runs.spec["loss"] if loss["kind"] == "focal"}
    gammas = sorted({*_GAMMAS, *(float(gamma) for gamma in own)})
    tried: dict[str, list[Sides]] = {"T1": [], "T2": []}
    sizes = []
    for some in _last_predictions(runs):
        sizes.append(some.num_examples)
        tried["T1"] += _scaling(some)
        tried["T2"] += _focal(some, gammas)
    return [
        _check(name, statement, sizes, tried[name])
        for name, statement in (
            (
                "T1",
                "Scaling the logits by t > 1 raises the top probability "
                f"(t to {', '.join(f'{t:g}' for t in _SCALES[1:])}).",
            ),
            (
                "T2",
                "Focal loss is at least cross-entropy minus gamma times the entropy "
                f"(gamma {', '.join(f'{gamma:g}' for gamma in gammas)}).",
            ),
        )
    ]


def _last_predictions(runs: ClaimRuns) -> Iterator[Predictions]:
    for run in runs.all():
        try:
            yield run.predictions(run.last_epoch)
        except AbsentError:
            continue


def _scaling(some: Predictions) -> Iterator[Sides]:
    """How far ln top is below its limit, which must fall from scale to scale."""
    falling = [log_top_shortfall(some.logits, scale) for scale in _SCALES]
    yield from pairwise(falling)


def _focal(some: Predictions, gammas: Iterable[float]) -> Iterator[Sides]:
    for gamma in gammas:
        bound = focal_bound(some.logits, some.labels, gamma)
        yield bound.total, bound.saving


def _check(
    name: str, statement: str, sizes: list[int], tried: list[Sides]
) -> TheoremCheck:
    relative = [_relative(larger, smaller) for larger, smaller in tried]
    return TheoremCheck(
        name=name,
        statement=statement,
        num_runs=len(sizes),
        num_examples=sum(sizes),
        num_checks=sum(map(len, relative)),
        num_violations=sum(int((each < -ROUNDING).sum()) for each in relative),
        worst_margin=float(min((each.min() for each in relative), default=0.0)),
    )


def _relative(larger: Vector, smaller: Vector) -> Vector:
    size = np.maximum(np.abs(larger), np.abs(smaller))
    # Below the smallest normal number nothing has all of its digits.
    has_digits = size > np.finfo(np.float64).tiny
    margin = larger - smaller
    return np.divide(margin, size, out=np.zeros_like(margin), where=has_digits)
