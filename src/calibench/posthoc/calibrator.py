"""What all calibrators have in common: application, leakage, storage."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from calibench.errors import DataError, LeakageError, ParameterError
from calibench.posthoc.fitting_set import FittingSet
from calibench.predictions import Labels, Matrix, Predictions, Vector
from calibench.signatures import require_predictions


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrator(ABC):
    """A fitted map from logits to better calibrated logits.

    Subclasses are frozen dataclasses that hold fitted parameters, each with a
    classmethod `fit(predictions, **settings)`.

    Attributes:
        fitted_on: What it was fitted on; None where its parameters were given.
    """

    method: ClassVar[str]
    keeps_predicted: ClassVar[bool] = False
    gives_probs: ClassVar[bool] = False
    parameters: ClassVar[Mapping[str, Callable[[object, str], Any]]]
    fitted_on: FittingSet | None = field(default=None, repr=False)

    def __call__(self, logits: Any) -> Any:  # noqa: ANN401 - whatever numpy can read
        """Calibrate logits: one row per example in, float64 logits out.

        Calibrators of probabilities return their logarithms, which may be -inf. One
        column is the log-odds of class 1 and becomes two.

        Raises:
            DataError: The logits are not valid, or of another number of classes.
        """
        labels = np.zeros(len(logits), dtype=np.int64)
        return self._calibrated(Predictions.from_logits(logits, labels))

    def apply(
        self, predictions: Predictions, *, in_sample: bool = False
    ) -> Predictions:
        """Calibrate predictions; labels, weights and split stay.

        So does their kind, except that calibrators of probabilities give
        probabilities, which unlike logits can be 0.

        Args:
            predictions: Other examples than those of the fit.
            in_sample: Allow the examples of the fit, on which every calibrator looks
                better than it is.

        Raises:
            LeakageError: The predictions are of the split, or are the rows, that the
                calibrator was fitted on.
            DataError: They have another number of classes.
            ParameterError: They are an array; call the calibrator on logits.
        """
        require_predictions(predictions, f"{self.method}.apply")
        if not in_sample:
            self._refuse_fitting_set(predictions)
        values = self._calibrated(predictions)
        scaled = replace(predictions, kind="logits", values=values)
        if predictions.kind == "logits" and not self.gives_probs:
            return scaled
        return replace(predictions, kind="probs", values=scaled.probs)

    def to_dict(self) -> dict[str, Any]:
        """Return method, parameters and fitting set, as JSON can hold them."""
        fitted_on = self.fitted_on
        return {
            "method": self.method,
            "parameters": {
                name: _plain(getattr(self, name)) for name in self.parameters
            },
            "fitted_on": None if fitted_on is None else fitted_on.to_dict(),
        }

    @classmethod
    def from_dict(cls, given: object) -> "Calibrator":
        """Read what `to_dict` wrote; nothing is repaired.

        Raises:
            DataError: A key is missing or unknown, or a parameter is not valid.
        """
        content = _exactly(given, {"method", "parameters", "fitted_on"}, "a calibrator")
        if content["method"] != cls.method:
            msg = f"is a calibrator {content['method']!r:.80}, not {cls.method!r}."
            raise DataError(msg)
        stored = _exactly(content["parameters"], set(cls.parameters), "parameters")
        values = {
            name: read(stored[name], name) for name, read in cls.parameters.items()
        }
        origin = content["fitted_on"]
        fitted_on = None if origin is None else FittingSet.from_dict(origin)
        try:
            return cls(**values, fitted_on=fitted_on)
        except ParameterError as error:
            raise DataError(str(error)) from error

    @abstractmethod
    def _calibrated(self, predictions: Predictions) -> Matrix:
        """Return the calibrated logits."""

    def _refuse_fitting_set(self, predictions: Predictions) -> None:
        if self.fitted_on is None or not self.fitted_on.holds(predictions):
            return
        split = self.fitted_on.split
        which = "these rows" if split is None else f"the {split} split"
        msg = (
            f"{self.method} was fitted on {which}, on which every calibrator "
            "looks better than it is. Apply it to other examples, or allow it with "
            "in_sample=True (--in-sample)."
        )
        raise LeakageError(msg)


def refuse_other_classes(
    predictions: Predictions, num_classes: int, method: str
) -> None:
    """Refuse predictions of another number of classes.

    Raises:
        DataError: They have another number.
    """
    if predictions.num_classes != num_classes:
        msg = (
            f"{method} was fitted for {num_classes} classes, but these predictions "
            f"have {predictions.num_classes}."
        )
        raise DataError(msg)


def keeping_predicted(logits: Matrix, predictions: Predictions) -> Matrix:
    """Keep each row's largest logit that of the predicted class.

    For maps that keep the order of classes, except that flat pieces and rounding may
    make two of them equal: the predicted class is then raised above the others by
    1e-12, which survives a softmax. An exact tie in the predictions stays one.
    """
    rows, top = np.arange(len(logits)), predictions.predicted
    runner_up = _largest_other(logits, top)
    floor = np.where(np.isfinite(runner_up), runner_up, 0.0)
    floor += np.maximum(1e-12, 2 * np.spacing(np.abs(floor)))
    is_ahead = predictions.values[rows, top] > _largest_other(predictions.values, top)
    is_close = np.isfinite(runner_up) & (logits[rows, top] < floor)
    lost = logits.argmax(axis=1) != top
    raised = logits.copy()
    raised[rows, top] = np.where((is_ahead & is_close) | lost, floor, logits[rows, top])
    return raised


def _largest_other(values: Matrix, top: Labels) -> Vector:
    others = values.copy()
    others[np.arange(len(others)), top] = -np.inf
    return others.max(axis=1)


def _exactly(given: object, keys: set[str], what: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        msg = f"{what} must be a table of {', '.join(sorted(keys))}, got {given!r:.80}."
        raise DataError(msg)
    unknown, missing = set(given) - keys, keys - set(given)
    if unknown or missing:
        wrong = [f"no {name!r}" for name in sorted(missing)]
        wrong += [f"unknown {name!r:.80}" for name in sorted(unknown)]
        msg = f"{what}: {', '.join(wrong)}."
        raise DataError(msg)
    return given


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value
