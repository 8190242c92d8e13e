"""A scikit-learn classifier whose probabilities a calibrator of ours has corrected.

Importing this imports scikit-learn, which nothing else here does.
"""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from calibench.errors import DataError, ParameterError
from calibench.posthoc.menu import fit
from calibench.predictions import Predictions
from calibench.weights import weight_numbers


class CalibratedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fits a classifier, and a calibrator on cross-validated probabilities of it.

    No example judges itself: the calibrator sees each one's probabilities from a
    classifier that was fitted without it. The classifier that predicts is then fitted
    on all examples, as scikit-learn's CalibratedClassifierCV does with ensemble=False.

    Args:
        estimator: The classifier, with `predict_proba`; logistic regression if None.
        method: Name of a calibrator in `CALIBRATORS`.
        settings: Of the method, by name.
        cv: How many folds, at least 2; fewer where a class has fewer examples. Or what
            else scikit-learn takes: a splitter, or pairs of train and test rows, in
            which every row is tested once.

    Example:
        >>> x = np.array([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]] * 5)
        >>> y = np.array([0, 0, 1, 1, 1, 0] * 5)
        >>> model = CalibratedClassifier(method="histogram_binning").fit(x, y)
        >>> model.predict([[1.0]]).tolist()
        [1]
    """

    # scikit-learn wants any value accepted here, and judged in fit.
    def __init__(
        self,
        estimator: Any = None,  # noqa: ANN401
        *,
        method: Any = "temperature",  # noqa: ANN401
        settings: Any = None,  # noqa: ANN401
        cv: Any = 5,  # noqa: ANN401
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.settings = settings
        self.cv = cv

    def fit(
        self,
        X: Any,  # noqa: ANN401, N803
        y: Any,  # noqa: ANN401
        sample_weight: Any = None,  # noqa: ANN401
    ) -> "CalibratedClassifier":
        """Fit the classifier and the calibrator.

        Args:
            X: The features, one row per example.
            y: The classes.
            sample_weight: How often each example counts, in both fits; None for once.
                A row with a whole number, all in one fold, counts as so many rows.

        Raises:
            FitError: The calibrator has no optimum, as where classes are told apart
                without error.
            DataError: There is one class, or a class has one example, or the weights
                are not one number from 0 for each, or all 0.
            ParameterError: `method`, `settings` or `cv` is not valid, or the classifier
                takes no weights.
        """
        X, y = validate_data(self, X, y)  # noqa: N806
        check_classification_targets(y)
        base = LogisticRegression() if self.estimator is None else self.estimator
        weights = self._weights(sample_weight, base, len(y))
        if weights is not None and self._counts_folds:
            # A row that is not there takes no place in a fold.
            there = weights > 0
            X, y, weights = X[there], y[there], weights[there]  # noqa: N806
        self.classes_, labels = np.unique(y, return_inverse=True)
        given = {} if weights is None else {"sample_weight": weights}
        held_out = cross_val_predict(
            clone(base),
            X,
            labels,
            cv=self._folds(labels),
            method="predict_proba",
            params=given,
        )
        predictions = Predictions.from_probs(held_out, labels, weights=weights)
        self.calibrator_ = fit(predictions, self.method, self.settings)
        self.estimator_ = clone(base).fit(X, labels, **given)
        return self

    def predict_proba(self, X: Any) -> Any:  # noqa: ANN401, N803
        """Return calibrated probabilities, one column for each of `classes_`."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)  # noqa: N806
        probs = self.estimator_.predict_proba(X)
        unlabeled = Predictions.from_probs(probs, np.zeros(len(probs), dtype=np.int64))
        return self.calibrator_.apply(unlabeled, in_sample=True).probs.copy()

    def predict(self, X: Any) -> Any:  # noqa: ANN401, N803
        """Return the most probable class of each row."""
        probs = self.predict_proba(X)
        return self.classes_[probs.argmax(axis=1)]

    @property
    def _counts_folds(self) -> bool:
        return isinstance(self.cv, Integral)

    def _folds(self, labels: np.ndarray) -> Any:  # noqa: ANN401 - a splitter, or splits
        if not self._counts_folds:
            return self.cv
        if self.cv < 2:
            msg = f"cv must be at least 2 folds, got {self.cv!r}."
            raise ParameterError(msg)
        counts = np.bincount(labels)
        if len(counts) < 2 or counts.min() < 2:
            msg = (
                "calibration needs at least 2 classes with 2 examples each, got "
                f"{len(counts)} class(es), the smallest with {counts.min()}."
            )
            raise DataError(msg)
        return StratifiedKFold(min(self.cv, int(counts.min())))

    @staticmethod
    def _weights(
        given: Any,  # noqa: ANN401
        base: Any,  # noqa: ANN401
        num_examples: int,
    ) -> np.ndarray | None:
        if given is None:
            return None
        if not has_fit_parameter(base, "sample_weight"):
            msg = f"{type(base).__name__} takes no sample_weight. Repeat the rows."
            raise ParameterError(msg)
        weights = weight_numbers(np.asarray(given), num_examples)
        if not weights.any():
            msg = "sample_weight is zero everywhere, so that no example is there."
            raise DataError(msg)
        return weights
