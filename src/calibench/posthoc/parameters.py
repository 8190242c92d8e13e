"""Parameters of calibrators: read from JSON, checked, and never changed."""

import math
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float64

from calibench.errors import DataError, ParameterError

Numbers = Float64[np.ndarray, "..."]


def number(given: object, name: str) -> float:
    """Read one finite number.

    Raises:
        DataError: It is something else.
    """
    if isinstance(given, bool) or not isinstance(given, int | float):
        msg = f"{name} must be a number, got {given!r:.80}."
        raise DataError(msg)
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        msg = f"{name} must be finite, got {given!r:.80}."
        raise DataError(msg)
    return value


def flag(given: object, name: str) -> bool:
    """Read true or false.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(given, bool):
        msg = f"{name} must be true or false, got {given!r:.80}."
        raise DataError(msg)
    return given


def vector(given: object, name: str) -> Float64[np.ndarray, " items"]:
    """Read a list of finite numbers.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(given, list):
        msg = f"{name} must be a list of numbers, got {given!r:.80}."
        raise DataError(msg)
    return np.array([number(each, name) for each in given], dtype=np.float64)


def matrix(given: object, name: str) -> Float64[np.ndarray, "rows columns"]:
    """Read a list of lists of finite numbers, all of the same length.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(given, list) or not given:
        msg = f"{name} must be a list of lists of numbers, got {given!r:.80}."
        raise DataError(msg)
    rows = [vector(each, name) for each in given]
    if len({len(row) for row in rows}) > 1:
        msg = f"{name}: its rows are of different lengths."
        raise DataError(msg)
    return np.stack(rows)


def freeze(owner: object, name: str, shape: tuple[int, ...]) -> None:
    """Check an array parameter of a frozen dataclass and replace it by a fixed copy.

    Raises:
        ParameterError: It is not finite, or of another shape.
    """
    value: Numbers = getattr(owner, name)
    if value.shape != shape:
        msg = f"{name} must have shape {shape}, got {value.shape}."
        raise ParameterError(msg)
    if not np.isfinite(value).all():
        msg = f"{name} must be finite."
        raise ParameterError(msg)
    copy = value.copy()
    copy.flags.writeable = False
    object.__setattr__(owner, name, copy)


def require_at_least_zero(value: Any, name: str) -> None:  # noqa: ANN401 - of any type
    """Refuse anything but a finite number that is at least 0.

    Raises:
        ParameterError: It is something else.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf:
        msg = f"{name} must be a finite number that is at least 0, got {value!r:.80}."
        raise ParameterError(msg)


def require_temperature(value: Any) -> None:  # noqa: ANN401 - of any type
    """Refuse anything but a finite number above 0.

    Raises:
        ParameterError: It is something else.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 < float(value) < math.inf:
        msg = f"temperature must be above 0 and finite, got {value!r:.80}."
        raise ParameterError(msg)
