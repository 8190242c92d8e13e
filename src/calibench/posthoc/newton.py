"""Newton's method for smooth convex functions, with conjugate gradients inside."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float64

from calibench.errors import FitError

Parameters: TypeAlias = Float64[np.ndarray, "classes columns"]
Curvature: TypeAlias = Callable[[Parameters], Parameters]

_GRADIENT = 1e-8
_REACH = 1e-3
# What rounding leaves of a gradient of order 1.
_NOISE = 1e-13
_STEPS = 300
_PRODUCTS = 400


@dataclass(frozen=True, eq=False)
class Local:
    """A function around one point: its value, gradient and Hessian times a vector."""

    value: float
    gradient: Parameters
    curvature: Curvature


@runtime_checkable
class Objective(Protocol):
    """A convex function of logits that are linear in the parameters."""

    def at(self, point: Parameters) -> Local:
        """Return the function around a point."""

    def value(self, point: Parameters) -> float:
        """Return the value alone."""

    def reach(self, step: Parameters) -> float:
        """Return by how much a step changes any difference of two logits."""


def minimize(objective: Objective, start: Parameters) -> Parameters:
    """Find the minimum; its value is never above that of the start.

    Ends where the gradient is below 1e-8 and a Newton step would move no logit by
    more than 1e-3 against another. Where the function falls for ever towards
    infinity, the gradient vanishes while Newton's steps do not: each goes about as far
    as the last. That is how a missing minimum is told from a flat one.

    Raises:
        FitError: There is no minimum, or rounding hides it.

    Source:
        Nocedal and Wright 2006, algorithm 7.1 (line search Newton-CG).
    """
    point = start
    for _ in range(_STEPS):
        here = objective.at(point)
        size = float(np.abs(here.gradient).max())
        step = _newton_step(here)
        reach = objective.reach(step)
        if size <= _GRADIENT and reach <= _REACH:
            return point
        if size <= _NOISE:
            break
        length = _line_search(objective, here, point, step)
        if length == 0:
            if size <= _GRADIENT:
                return point
            break
        point = point + length * step
    msg = (
        "the NLL falls for ever as the parameters grow, because some classes are told "
        "apart without error; or else rounding hides its minimum."
    )
    raise FitError(msg)


def _newton_step(here: Local) -> Parameters:
    """Solve curvature(step) = -gradient roughly, by conjugate gradients."""
    residual = -here.gradient
    squared = float((residual**2).sum())
    # Looser far from the minimum; the square root makes convergence superlinear.
    goal = squared * min(0.01, squared**0.5)
    step = np.zeros_like(residual)
    direction = residual
    for _ in range(min(residual.size + 10, _PRODUCTS)):
        if squared <= goal or squared == 0:
            break
        image = here.curvature(direction)
        bend = float((direction * image).sum())
        if bend <= 0:
            # No curvature left in float64; a first direction is still downhill.
            return step if step.any() else direction
        length = squared / bend
        step = step + length * direction
        residual = residual - length * image
        previous, squared = squared, float((residual**2).sum())
        direction = residual + squared / previous * direction
    return step


def _line_search(
    objective: Objective, here: Local, point: Parameters, step: Parameters
) -> float:
    """Halve the step until the value falls enough; 0 where rounding forbids it."""
    slope = float((here.gradient * step).sum())
    slack = 4e-16 * abs(here.value)
    length = 1.0
    for _ in range(60):
        value = objective.value(point + length * step)
        if value <= here.value + 1e-4 * length * slope + slack:
            return length
        length /= 2
    return 0.0
