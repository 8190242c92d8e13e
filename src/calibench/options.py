"""Options of a call: what is refused before anything is computed with it."""

from numbers import Integral, Real
from typing import Any

from calibench.errors import ParameterError

# A number of a caller who may not use a type checker: 1.5 bins must not give a number.
Given = Any


def whole_number(
    given: Given,
    name: str,
    least: int | None = None,
    most: int | None = None,
    hint: str = "",
) -> int:
    """Check an option that counts something; numpy's integers are fine too.

    Raises:
        ParameterError: It is no whole number, or out of range.

    Example:
        >>> whole_number(15, "num_bins", least=1)
        15
    """
    # True counts as 1, but nobody means one bin by it.
    if isinstance(given, bool) or not isinstance(given, Integral):
        msg = f"{name} must be a whole number, got {given!r}."
        raise ParameterError(msg)
    number = int(given)
    if least is not None and number < least:
        msg = f"{name} must be at least {least}, got {number}.{hint}"
        raise ParameterError(msg)
    if most is not None and number > most:
        msg = f"{name} must be at most {most:,}, got {number:,}.{hint}"
        raise ParameterError(msg)
    return number


def between(given: Given, name: str, low: float = 0.0, high: float = 1.0) -> float:
    """Check an option that lies strictly between two numbers.

    Raises:
        ParameterError: It is no number, or out of range.

    Example:
        >>> between(0.95, "level")
        0.95
    """
    if isinstance(given, Real) and low < float(given) < high:
        return float(given)
    msg = f"{name} must be between {low:g} and {high:g}, got {given!r}."
    raise ParameterError(msg)


def fraction(given: Given, name: str) -> float:
    """Check an option that lies from 0 to 1, ends included.

    Raises:
        ParameterError: It is no number, or out of range.
    """
    if isinstance(given, Real) and 0 <= float(given) <= 1:
        return float(given)
    msg = f"{name} must be in [0, 1], got {given!r}."
    raise ParameterError(msg)


def confidence_level(given: Given) -> float:
    """Check the level of an interval, which must leave a tail.

    Raises:
        ParameterError: It is not between 0 and 1.
    """
    return between(given, "level", high=1 - 2.0**-52)
