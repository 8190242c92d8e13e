"""Checks of the parameters of losses."""

import math
from collections.abc import Callable
from numbers import Real

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


def _as_float(value: Real) -> float:
    try:
        # Adding zero turns -0.0, which would be printed differently, into 0.0.
        return float(value) + 0.0
    except OverflowError:
        return math.nan
