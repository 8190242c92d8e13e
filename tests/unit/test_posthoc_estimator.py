"""The classifier for scikit-learn keeps scikit-learn's contract."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from calibench.errors import DataError, FitError, ParameterError
from calibench.posthoc import Temperature
from calibench.posthoc.estimator import CalibratedClassifier
from calibench.predictions import Predictions


def noisy(num_examples=150):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_examples, 2))
    y = (x[:, 0] + rng.logistic(size=num_examples) > 0).astype(int)
    return x, np.array(["no", "yes"])[y]


@pytest.mark.filterwarnings("ignore")
def test_the_whole_contract():
    results = check_estimator(
        CalibratedClassifier(method="histogram_binning"), on_fail=None, on_skip=None
    )
    assert len(results) > 50
    assert [each for each in results if each["status"] == "failed"] == []


@pytest.mark.filterwarnings("ignore")
def test_the_contract_where_there_is_an_optimum():
    results = check_estimator(
        CalibratedClassifier(), legacy=False, on_fail=None, on_skip=None
    )
    failures = [each for each in results if each["status"] == "failed"]
    assert len(results) - len(failures) > 10
    # Data that are told apart without error, or labels drawn at random, have no
    # optimal temperature; nothing else may fail.
    reasons = {each["check_name"]: each["exception"] for each in failures}
    assert {name: e for name, e in reasons.items() if not isinstance(e, FitError)} == {}


def test_the_calibrator_sees_cross_validated_probabilities():
    x, y = noisy()
    model = CalibratedClassifier(cv=3).fit(x, y)
    base = LogisticRegression()
    held_out = cross_val_predict(
        base, x, y == "yes", cv=StratifiedKFold(3), method="predict_proba"
    )
    some = Predictions.from_probs(held_out, y == "yes")
    assert model.calibrator_.value == Temperature.fit(some).value
    plain = base.fit(x, y).predict_proba(x)
    scaled = Temperature(model.calibrator_.value).apply(
        Predictions.from_probs(plain, [0] * len(x))
    )
    assert model.predict_proba(x) == pytest.approx(scaled.probs, abs=1e-15)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.predict(x).tolist() == base.predict(x).tolist()


def test_any_classifier_and_settings():
    x, y = noisy()
    model = CalibratedClassifier(
        DecisionTreeClassifier(max_depth=2, random_state=0),
        method="histogram_binning",
        settings={"num_bins": 3},
    ).fit(x, y)
    assert model.calibrator_.frequencies.shape == (2, 3)
    assert 0.5 < model.score(x, y) < 1


def test_what_is_refused():
    x, y = noisy(20)
    with pytest.raises(ParameterError, match="cv must be at least 2"):
        CalibratedClassifier(cv=1).fit(x, y)
    with pytest.raises(ParameterError, match="unknown method"):
        CalibratedClassifier(method="none").fit(x, y)
    with pytest.raises(DataError, match="smallest with 1"):
        CalibratedClassifier().fit(x, ["a"] + ["b"] * 19)
    with pytest.raises(FitError, match="T = 0"):
        CalibratedClassifier().fit([[-5.0]] * 10 + [[5.0]] * 10, [0] * 10 + [1] * 10)
