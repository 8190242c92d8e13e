"""Matrix scaling: an affine map of all logits."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from calibench.posthoc.affine import affine_map, finite_logits, fit_affine
from calibench.posthoc.calibrator import Calibrator, refuse_other_classes
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.parameters import (
    freeze,
    matrix,
    require_at_least_zero,
    vector,
)
from calibench.predictions import Matrix, Predictions


@dataclass(frozen=True, eq=False)
class MatrixScaling(Calibrator):
    """Replaces the logits z of an example by W z + b.

    The predicted class may change. Adding a constant to all logits of an example
    changes the outcome.

    Attributes:
        weights: W, one row for each class that is predicted.
        intercepts: b, one for each class.

    Example:
        >>> swap = MatrixScaling(np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros(2))
        >>> swap(np.array([[1.0, 3.0]])).tolist()
        [[3.0, 1.0]]
    """

    weights: Float64[np.ndarray, "rows columns"]
    intercepts: Float64[np.ndarray, " classes"]

    method: ClassVar = "matrix_scaling"
    parameters: ClassVar = {"weights": matrix, "intercepts": vector}

    def __post_init__(self) -> None:
        num_classes = len(self.weights)
        freeze(self, "weights", (num_classes, num_classes))
        freeze(self, "intercepts", (num_classes,))

    @classmethod
    def fit(
        cls,
        predictions: Predictions,
        *,
        off_diagonal_penalty: float = 0.01,
        intercept_penalty: float = 0.01,
    ) -> "MatrixScaling":
        """Find the affine map with the lowest penalized NLL.

        Minimizes mean NLL + off_diagonal_penalty * mean_(j != k)(W_kj^2)
        + intercept_penalty * mean_k(b_k^2), which is convex (ODIR). On these
        predictions its NLL is at most that of temperature scaling. Choose the
        penalties on the selection split.

        Raises:
            LeakageError: The predictions are of the test split.
            DataError: A probability was given as 0.
            FitError: A class has no example, or is told apart without error, so that
                there is no finite optimum.
            ParameterError: A penalty is not a finite number that is at least 0.

        Source:
            Guo et al. 2017, section 4.2; the penalties are those of Kull et al. 2019,
            section 3.2.
        """
        fitted_on = FittingSet.of(predictions, cls.method)
        penalty = odir(predictions.num_classes, off_diagonal_penalty, intercept_penalty)
        predictions = predictions.present
        logits = finite_logits(predictions, cls.method)
        point = fit_affine(logits, predictions, penalty, cls.method)
        return cls(point[:, :-1], point[:, -1], fitted_on=fitted_on)

    def _calibrated(self, predictions: Predictions) -> Matrix:
        refuse_other_classes(predictions, len(self.weights), self.method)
        logits = finite_logits(predictions, self.method)
        return affine_map(logits, self.weights, self.intercepts)


def odir(
    num_classes: int, off_diagonal_penalty: float, intercept_penalty: float
) -> Float64[np.ndarray, "classes columns"]:
    """Off-diagonal and intercept regularization: what each square costs.

    Raises:
        ParameterError: A penalty is not a finite number that is at least 0.

    Source:
        Kull et al. 2019, section 3.2.

    Example:
        >>> odir(2, 0.5, 1.0).tolist()
        [[0.0, 0.25, 0.5], [0.25, 0.0, 0.5]]
    """
    require_at_least_zero(off_diagonal_penalty, "off_diagonal_penalty")
    require_at_least_zero(intercept_penalty, "intercept_penalty")
    pairs = num_classes * (num_classes - 1)
    penalty = np.full((num_classes, num_classes + 1), off_diagonal_penalty / pairs)
    np.fill_diagonal(penalty, 0.0)
    penalty[:, -1] = intercept_penalty / num_classes
    return penalty
