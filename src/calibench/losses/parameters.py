"""Checks of the parameters of losses."""

import math
from collections.abc import Callable
from numbers import Real
from typing import NoReturn

from calibench.errors import ParameterError


def require_real(
    name: str, value: object, *, allowed: Callable[[float], bool], interval: str
) -> float:
    """Return `value` as a float, so that 3 and 3.0 are one configuration.

    Args:
        name: The parameter as the user knows it, with the loss it belongs to.
        value: What was given.
        allowed: Whether a number lies in the interval; false for NaN.
        interval: The interval in words, for the message.

    Raises:
        ParameterError: The value is no real number or lies outside the interval.

    >>> require_real("gamma", 3, allowed=lambda x: x >= 0, interval="at least 0")
    3.0
    """
    # True and False are integers to Python; as a coefficient they are a slip.
    is_bool = isinstance(value, bool)
    if isinstance(value, Real) and not is_bool:
        number = _as_float(value)
        if allowed(number):
            return number
    msg = f"{name} must be a number {interval}, got {value!r}."
    raise ParameterError(msg)


def require_coefficient(name: str, value: object) -> float:
    """Return `value` as a float in [0, inf).

    Raises:
        ParameterError: The value is not a finite number that is at least 0.

    >>> require_coefficient("alpha", 1)
    1.0
    """
    return require_real(
        name,
        value,
        allowed=lambda number: 0 <= number < math.inf,
        interval="in [0, inf)",
    )


def require_flag(name: str, value: object) -> None:
    """Refuse a switch that is neither on nor off.

    Raises:
        ParameterError: The value is not a bool; 0 and 1 are not either.

    >>> require_flag("detached", True)
    """
    if not isinstance(value, bool):
        msg = f"{name} must be true or false, got {value!r}."
        raise ParameterError(msg)


def require_num_classes(num_classes: object) -> int:
    """Return the number of classes K, at least 2.

    Raises:
        ParameterError: It is not a whole number or is below 2.

    >>> require_num_classes(10)
    10
    """
    is_bool = isinstance(num_classes, bool)
    if is_bool or not isinstance(num_classes, int) or num_classes < 2:
        msg = f"num_classes must be a whole number, at least 2, got {num_classes!r}."
        raise ParameterError(msg)
    return num_classes


def require_target(target: object, num_classes: int) -> float:
    """Return a target confidence as a float in (1/K, 1].

    Raises:
        ParameterError: It is not, or the number of classes is not valid.

    >>> require_target(1, num_classes=10)
    1.0
    """
    require_num_classes(num_classes)
    return require_real(
        "target confidence",
        target,
        allowed=lambda number: number * num_classes > 1 and number <= 1,
        interval=f"above 1/num_classes = {1 / num_classes:g} and at most 1",
    )


def refuse_target(
    loss: str, parameter: str, target: object, num_classes: object
) -> NoReturn:
    """Refuse to choose a parameter whose every value has target confidence 1.

    Raises:
        ParameterError: Always.

    >>> refuse_target("Focal", "gamma", 0.95, num_classes=10)
    Traceback (most recent call last):
    calibench.errors.ParameterError: Focal: no gamma has target confidence 0.95 ...
    """
    msg = (
        f"{loss}: no {parameter} has target confidence {target!r} (of {num_classes} "
        f"classes) for its own: it is 1 for every {parameter}. Choose {parameter} "
        "itself."
    )
    raise ParameterError(msg)


def require_sequence(
    name: str, values: object, *, allowed: Callable[[float], bool], interval: str
) -> tuple[float, ...]:
    """Return numbers as a tuple of floats.

    Raises:
        ParameterError: It is no list or tuple, or one of its numbers is not allowed.

    >>> require_sequence("gammas", [5], allowed=lambda x: x >= 0, interval=">= 0")
    (5.0,)
    """
    if not isinstance(values, (list, tuple)):
        msg = f"{name} must be a list of numbers {interval}, got {values!r}."
        raise ParameterError(msg)
    return tuple(
        require_real(name, value, allowed=allowed, interval=interval)
        for value in values
    )


def require_steps(
    loss: str, gammas: object, places: object, what: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return gammas and the ascending places in (0, 1) where one gives way to the next.

    Raises:
        ParameterError: They are no such numbers, or not one more gamma than places.

    >>> require_steps("FLSD", (5, 3), (0.2,), "edges")
    ((5.0, 3.0), (0.2,))
    """
    steps = require_sequence(
        f"{loss}: gammas",
        gammas,
        allowed=lambda number: 0 <= number < math.inf,
        interval="in [0, inf)",
    )
    ends = require_sequence(
        f"{loss}: {what}",
        places,
        allowed=lambda number: 0 < number < 1,
        interval="in (0, 1)",
    )
    if len(steps) != len(ends) + 1 or list(ends) != sorted(set(ends)):
        msg = (
            f"{loss}: gammas must be one more than {what}, which ascend; got gammas "
            f"{list(steps)} and {what} {list(ends)}."
        )
        raise ParameterError(msg)
    return steps, ends


def logit_gap(target: float, num_classes: int) -> float:
    """Return the label's logit above all others, which are equal, at a target below 1.

    ln[(K - 1) p / (1 - p)], exact also where p is barely above 1/K.

    >>> round(logit_gap(0.9, num_classes=10), 4)  # ln 81
    4.3944
    """
    return math.log1p((num_classes * target - 1) / (1 - target))


def confidence_of_gap(gap: float, num_classes: int) -> float:
    """Return the label's probability where its logit is `gap` above all others.

    >>> round(confidence_of_gap(6, num_classes=10), 3)
    0.978
    """
    return 1 / (1 + (num_classes - 1) * math.exp(-gap))


def _as_float(value: Real) -> float:
    try:
        # Adding zero turns -0.0, which would be printed differently, into 0.0.
        return float(value) + 0.0
    except OverflowError:
        return math.nan
