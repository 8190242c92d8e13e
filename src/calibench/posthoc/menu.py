"""The calibrators by name."""

import inspect
from collections.abc import Mapping
from typing import Any

from calibench.errors import ParameterError
from calibench.posthoc.calibrator import Calibrator
from calibench.posthoc.dirichlet import Dirichlet
from calibench.posthoc.focal_link import FocalLink
from calibench.posthoc.histogram_binning import HistogramBinning
from calibench.posthoc.isotonic import Isotonic, OrderPreservingIsotonic
from calibench.posthoc.loss_link import LossLink
from calibench.posthoc.matrix_scaling import MatrixScaling
from calibench.posthoc.temperature import Temperature
from calibench.posthoc.temperature_by_ece import TemperatureByEce
from calibench.posthoc.vector_scaling import VectorScaling
from calibench.predictions import Predictions
from calibench.validation import member

CALIBRATORS: dict[str, type[Calibrator]] = {
    "temperature": Temperature,
    "temperature_by_ece": TemperatureByEce,
    "vector_scaling": VectorScaling,
    "matrix_scaling": MatrixScaling,
    "dirichlet": Dirichlet,
    "histogram_binning": HistogramBinning,
    "isotonic": Isotonic,
    "order_preserving_isotonic": OrderPreservingIsotonic,
    "focal_link": FocalLink,
    "loss_link": LossLink,
}

_KINDS: dict[Any, tuple[str, Any]] = {
    bool: ("true or false", bool),
    int: ("a whole number", int),
    float: ("a number", int | float),
    str: ("a name", str),
}


def fit(
    predictions: Predictions, method: str, settings: Mapping[str, Any] | None = None
) -> Calibrator:
    """Fit the calibrator of a name, with its settings by name.

    Raises:
        ParameterError: There is no such method or setting, or a setting is missing.
        LeakageError: The predictions are of the test split.
        DataError: The method cannot take these predictions.
        FitError: There is no finite optimum.

    Example:
        >>> some = Predictions.from_logits([[4.0, 0.0]] * 4, [0, 0, 0, 1])
        >>> fit(some, "temperature").method
        'temperature'
    """
    given = dict(settings or {})
    # A menu of classes whose fits differ in their settings, which are checked here.
    chosen: Any = CALIBRATORS[member(method, tuple(CALIBRATORS), "method")]
    _, *known = inspect.signature(chosen.fit).parameters.values()
    for name, value in given.items():
        _check_setting(name, value, method, {each.name: each for each in known})
    for each in known:
        if each.default is each.empty and each.name not in given:
            msg = f"{method} needs a value for {each.name} (--set {each.name}=...)."
            raise ParameterError(msg)
    return chosen.fit(predictions, **given)


def _check_setting(
    name: str, value: object, method: str, known: Mapping[str, inspect.Parameter]
) -> None:
    if not known:
        msg = f"{method} has no settings, got {name}."
        raise ParameterError(msg)
    member(name, tuple(known), f"setting of {method}")
    kind, allowed = _KINDS[known[name].annotation]
    if not isinstance(value, allowed) or isinstance(value, bool) != (allowed is bool):
        msg = f"{method}: {name} must be {kind}, got {value!r:.80}."
        raise ParameterError(msg)
