"""Checks of the numbers in a recipe. NaN is out of every range."""

from math import isfinite

from calibench.errors import ParameterError


def check_least(name: str, value: float, least: float) -> None:
    """Refuse what is below `least` or not finite.

    Raises:
        ParameterError: Names the parameter, its range and its value.
    """
    if not (value >= least and isfinite(value)):
        msg = f"{name} must be in [{least}, inf), got {value}."
        raise ParameterError(msg)


def check_positive(name: str, value: float) -> None:
    """Refuse what is not positive or not finite.

    Raises:
        ParameterError: Names the parameter, its range and its value.
    """
    if not (value > 0 and isfinite(value)):
        msg = f"{name} must be in (0, inf), got {value}."
        raise ParameterError(msg)


def check_share(name: str, value: float) -> None:
    """Refuse what is not in [0, 1).

    Raises:
        ParameterError: Names the parameter, its range and its value.
    """
    if not 0 <= value < 1:
        msg = f"{name} must be in [0, 1), got {value}."
        raise ParameterError(msg)
