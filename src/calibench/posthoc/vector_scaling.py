"""Vector scaling: a weight and an intercept for each class."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from calibench.posthoc.affine import affine_map, finite_logits, fit_affine
from calibench.posthoc.calibrator import Calibrator, refuse_other_classes
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.parameters import freeze, require_at_least_zero, vector
from calibench.predictions import Matrix, Predictions


@dataclass(frozen=True, eq=False)
class VectorScaling(Calibrator):
    """Multiplies each class's logit by its own weight and adds its own intercept.

    The predicted class may change, and a weight may be negative. Adding a constant to
    all logits of an example changes the outcome, unless all weights are equal.

    Attributes:
        weights: w, one for each class.
        intercepts: b, one for each class; they sum to 0.

    Example:
        >>> double = VectorScaling(np.array([2.0, 2.0]), np.array([0.5, -0.5]))
        >>> double(np.array([[1.0, 3.0]])).tolist()
        [[2.5, 5.5]]
    """

    weights: Float64[np.ndarray, " inputs"]
    intercepts: Float64[np.ndarray, " classes"]

    method: ClassVar = "vector_scaling"
    parameters: ClassVar = {"weights": vector, "intercepts": vector}

    def __post_init__(self) -> None:
        freeze(self, "weights", (len(self.weights),))
        freeze(self, "intercepts", (len(self.weights),))

    @classmethod
    def fit(
        cls, predictions: Predictions, *, intercept_penalty: float = 0.0
    ) -> "VectorScaling":
        """Find the weights and intercepts with the lowest penalized NLL.

        Minimizes mean NLL + intercept_penalty * mean_k(b_k^2), which is convex. Its
        NLL is at most that of temperature scaling, on these predictions.

        Raises:
            LeakageError: The predictions are of the test split.
            DataError: A probability was given as 0.
            FitError: A class has no example, or is told apart without error, so that
                there is no finite optimum.
            ParameterError: The penalty is not a finite number that is at least 0.

        Source:
            Guo et al. 2017, section 4.2.
        """
        require_at_least_zero(intercept_penalty, "intercept_penalty")
        fitted_on = FittingSet.of(predictions, cls.method)
        predictions = predictions.present
        logits = finite_logits(predictions, cls.method)
        penalty = np.zeros((predictions.num_classes, 2))
        penalty[:, 1] = intercept_penalty / predictions.num_classes
        weights, intercepts = fit_affine(logits, predictions, penalty, cls.method).T
        return cls(weights, intercepts, fitted_on=fitted_on)

    def _calibrated(self, predictions: Predictions) -> Matrix:
        refuse_other_classes(predictions, len(self.weights), self.method)
        logits = finite_logits(predictions, self.method)
        return affine_map(logits, self.weights[:, None], self.intercepts)
