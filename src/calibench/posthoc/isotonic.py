"""Isotonic regression: a rising function replaces the probability."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float64

from calibench.errors import DataError, ParameterError
from calibench.posthoc.calibrator import (
    Calibrator,
    keeping_predicted,
    refuse_other_classes,
)
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.one_vs_rest import log_normalized
from calibench.posthoc.parameters import vector
from calibench.predictions import Matrix, Predictions
from calibench.weights import Weights

Knots: TypeAlias = tuple[tuple[float, ...], ...]


def knots(given: object, name: str) -> Knots:
    """Read lists of numbers, one for each function.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(given, list):
        msg = f"{name} must be a list of lists of numbers, got {given!r:.80}."
        raise DataError(msg)
    return tuple(tuple(vector(each, name).tolist()) for each in given)


@dataclass(frozen=True)
class Isotonic(Calibrator):
    """Replaces each class's probability by a rising function of it, and normalizes.

    One against the rest: the function of a class is the isotonic regression of "is the
    label" on the class's probability, linear between its knots and constant beyond
    them. The predicted class may change, and probabilities may be 0, so that NLL may
    be infinite.

    Attributes:
        x: For each class, the ascending probabilities at its knots.
        y: Its values there.

    Example:
        >>> line = Isotonic(((0.0, 1.0), (0.0, 1.0)), ((0.0, 1.0), (0.0, 0.5)))
        >>> np.exp(line(np.log([[0.5, 0.5]]))).round(4).tolist()
        [[0.6667, 0.3333]]
    """

    x: Knots
    y: Knots

    method: ClassVar = "isotonic"
    gives_probs: ClassVar = True
    parameters: ClassVar = {"x": knots, "y": knots}

    def __post_init__(self) -> None:
        _check_functions(self.x, self.y, fewest=2)

    @classmethod
    def fit(cls, predictions: Predictions) -> "Isotonic":
        """Fit the rising function of each class by least squares.

        Needs scikit-learn. Equal probabilities are averaged first.

        Raises:
            LeakageError: The predictions are of the test split.

        Source:
            Zadrozny and Elkan 2002, section 4.
        """
        fitted_on = FittingSet.of(predictions, cls.method)
        some = predictions.present
        functions = [
            _rising(column, some.labels == k, some.weights)
            for k, column in enumerate(some.probs.T)
        ]
        x, y = zip(*functions, strict=True)
        return cls(x, y, fitted_on=fitted_on)

    def _calibrated(self, predictions: Predictions) -> Matrix:
        refuse_other_classes(predictions, len(self.x), self.method)
        columns = [
            np.interp(column, x, y)
            for column, x, y in zip(predictions.probs.T, self.x, self.y, strict=True)
        ]
        return log_normalized(np.stack(columns, axis=1), predictions)


@dataclass(frozen=True)
class OrderPreservingIsotonic(Calibrator):
    """Replaces all probabilities by one rising function of them, and normalizes.

    The function is shared by the classes, so that it never changes which of two
    classes is the more likely, except by making them equal; the predicted class is
    then kept above the others by a relative 1e-12.

    Attributes:
        x: The ascending probabilities at the knots, in one list.
        y: The values there.

    Example:
        >>> square = OrderPreservingIsotonic(((0.0, 1.0),), ((0.0, 0.5),))
        >>> np.exp(square(np.log([[0.75, 0.25]]))).round(12).tolist()
        [[0.75, 0.25]]
    """

    x: Knots
    y: Knots

    method: ClassVar = "order_preserving_isotonic"
    keeps_predicted: ClassVar = True
    gives_probs: ClassVar = True
    parameters: ClassVar = {"x": knots, "y": knots}

    def __post_init__(self) -> None:
        _check_functions(self.x, self.y, fewest=1)
        if len(self.x) > 1:
            msg = f"one function is shared by all classes, got {len(self.x)}."
            raise ParameterError(msg)

    @classmethod
    def fit(cls, predictions: Predictions) -> "OrderPreservingIsotonic":
        """Fit one rising function to the pairs (p_k, is k the label) of all classes.

        Needs scikit-learn. Equal probabilities are averaged first.

        Raises:
            LeakageError: The predictions are of the test split.

        Source:
            Zhang, Kailkhura and Han 2020, section 3.3 (IRM). They make the function
            strictly rising by adding a small multiple of p; here only ties of the
            predicted class are broken.
        """
        fitted_on = FittingSet.of(predictions, cls.method)
        some = predictions.present
        is_label = np.arange(some.num_classes) == some.labels[:, None]
        weights = some.weights
        if weights is not None:
            weights = np.repeat(weights, some.num_classes)
        x, y = _rising(some.probs.ravel(), is_label.ravel(), weights)
        return cls((x,), (y,), fitted_on=fitted_on)

    def _calibrated(self, predictions: Predictions) -> Matrix:
        values = np.interp(predictions.probs, self.x[0], self.y[0])
        return keeping_predicted(log_normalized(values, predictions), predictions)


def _rising(
    probs: Float64[np.ndarray, " examples"],
    came_true: np.ndarray,
    weights: Weights | None,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # In the optional dependency; applying a fitted function needs numpy only.
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415

    fitted: Any = IsotonicRegression(y_min=0.0, y_max=1.0)
    fitted.fit(probs, came_true.astype(np.float64), sample_weight=weights)
    return tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist())


def _check_functions(all_x: Knots, all_y: Knots, fewest: int) -> None:
    if len(all_x) != len(all_y) or len(all_x) < fewest:
        msg = (
            f"x and y must have a list for each of at least {fewest} functions, got "
            f"{len(all_x)} and {len(all_y)}."
        )
        raise ParameterError(msg)
    for x, y in zip(all_x, all_y, strict=True):
        if len(x) != len(y) or not x:
            msg = f"a function needs as many x as y, got {len(x)} and {len(y)}."
            raise ParameterError(msg)
        if not (_ascend(x, strictly=True) and _ascend(y, strictly=False)):
            msg = "the x of a function must ascend, and its y must not fall."
            raise ParameterError(msg)
        if not all(0 <= value <= 1 for value in (*x, *y)):
            msg = "the x and y of a function must be in [0, 1]."
            raise ParameterError(msg)


def _ascend(values: Iterable[float], *, strictly: bool) -> bool:
    steps = np.diff(np.asarray(tuple(values)))
    return bool((steps > 0).all() if strictly else (steps >= 0).all())
