"""Dirichlet calibration: an affine map of all log-probabilities."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from calibench.posthoc.affine import affine_map, finite_logits, fit_affine
from calibench.posthoc.calibrator import Calibrator, refuse_other_classes
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.matrix_scaling import odir
from calibench.posthoc.parameters import freeze, matrix, vector
from calibench.predictions import Matrix, Predictions


@dataclass(frozen=True, eq=False)
class Dirichlet(Calibrator):
    """Replaces the log-probabilities of an example by W ln p + b.

    The posterior of probabilities that follow a Dirichlet distribution within each
    class. For two classes it is beta calibration without its constraint on signs. The
    predicted class may change.

    Attributes:
        weights: W, one row for each class that is predicted.
        intercepts: b, one for each class.

    Example:
        >>> square = Dirichlet(np.diag([2.0, 2.0]), np.zeros(2))
        >>> np.exp(square(np.log([[0.75, 0.25]]))).round(12).tolist()
        [[0.5625, 0.0625]]
    """

    weights: Float64[np.ndarray, "rows columns"]
    intercepts: Float64[np.ndarray, " classes"]

    method: ClassVar = "dirichlet"
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
    ) -> "Dirichlet":
        """Find the map with the lowest penalized NLL.

        As `MatrixScaling.fit`, on log-probabilities instead of logits: a constant
        that is added to all logits of an example changes nothing.

        Raises:
            LeakageError: The predictions are of the test split.
            DataError: A probability was given as 0.
            FitError: A class has no example, or is told apart without error, so that
                there is no finite optimum.
            ParameterError: A penalty is not a finite number that is at least 0.

        Source:
            Kull et al. 2019, equation 2 and section 3.2. They clip probabilities at
            the machine epsilon; nothing is clipped here.
        """
        fitted_on = FittingSet.of(predictions, cls.method)
        penalty = odir(predictions.num_classes, off_diagonal_penalty, intercept_penalty)
        predictions = predictions.present
        finite_logits(predictions, cls.method)
        point = fit_affine(predictions.log_probs, predictions, penalty, cls.method)
        return cls(point[:, :-1], point[:, -1], fitted_on=fitted_on)

    def _calibrated(self, predictions: Predictions) -> Matrix:
        refuse_other_classes(predictions, len(self.weights), self.method)
        finite_logits(predictions, self.method)
        return affine_map(predictions.log_probs, self.weights, self.intercepts)
