"""What functions of predictions refuse before they look at them."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from calibench.errors import ParameterError
from calibench.predictions import Predictions

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def require_predictions(given: Any, taker: str) -> None:  # noqa: ANN401 - of any type
    """Refuse what should be predictions and is something else, such as an array.

    Raises:
        ParameterError: It is something else.
    """
    if not isinstance(given, Predictions):
        msg = (
            f"{taker} takes Predictions, got {type(given).__name__}. Make them by "
            "Predictions.from_logits(logits, labels) or "
            "Predictions.from_probs(probs, labels)."
        )
        raise ParameterError(msg)


def of_predictions(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Have a function refuse all but `Predictions` where it is annotated to take them.

    Example:
        >>> @of_predictions
        ... def rows(some: Predictions) -> int:
        ...     return some.num_examples
        >>> rows(Predictions.from_probs([[0.75, 0.25]], [0]))
        1
        >>> rows([[0.75, 0.25]])
        Traceback (most recent call last):
            ...
        calibench.errors.ParameterError: rows takes Predictions, got list. Make them ...
    """
    taken = [
        (position, name)
        for position, (name, each) in enumerate(
            inspect.signature(function).parameters.items()
        )
        if each.annotation is Predictions
    ]

    @wraps(function)
    def checked(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        for position, name in taken:
            if position < len(args):
                require_predictions(args[position], function.__name__)
            elif name in kwargs:
                require_predictions(kwargs[name], function.__name__)
        return function(*args, **kwargs)

    return checked
