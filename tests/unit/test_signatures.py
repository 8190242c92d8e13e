"""An array where predictions are meant is refused by name, wherever it is given."""

import inspect

import numpy as np
import pytest

from calibench import metrics, posthoc
from calibench.errors import ParameterError
from calibench.metrics.stream import MetricState
from calibench.posthoc import CALIBRATORS, Temperature
from calibench.predictions import Predictions
from calibench.signatures import of_predictions
from calibrator_settings import SETTINGS_OF
from shape_checks import without_shape_checks

ARRAY = np.full((3, 2), 0.5)
SOME = Predictions.from_probs(ARRAY, [0, 1, 1])
TAKERS = {
    name: [p.name for p in parameters if p.annotation is Predictions]
    for name in metrics.__all__
    if inspect.isfunction(getattr(metrics, name))
    for parameters in [
        list(inspect.signature(getattr(metrics, name)).parameters.values())
    ]
}


@pytest.fixture(autouse=True)
def as_without_a_type_checker():
    with without_shape_checks():
        yield


def test_most_of_the_metrics_are_functions_of_predictions():
    assert [name for name, taken in TAKERS.items() if not taken] == ["compare_all"]
    assert len(TAKERS) > 40


@pytest.mark.parametrize("name", [name for name, taken in TAKERS.items() if taken])
@pytest.mark.parametrize("given", [ARRAY, [[0.5, 0.5]], None, 0.5])
def test_metrics(name, given):
    function = getattr(metrics, name)
    others = [None] * (len(inspect.signature(function).parameters) - 1)
    kind = type(given).__name__
    with pytest.raises(ParameterError, match=f"^{name} takes Predictions, got {kind}"):
        function(given, *others)
    first = next(iter(inspect.signature(function).parameters))
    with pytest.raises(ParameterError, match=r"Predictions.from_logits\(logits, lab"):
        function(**{first: given})


def test_the_second_of_two():
    with pytest.raises(ParameterError, match="compare takes Predictions, got ndarray"):
        metrics.compare(SOME, ARRAY)
    with pytest.raises(ParameterError, match="compare takes Predictions, got ndarray"):
        metrics.compare(SOME, second=ARRAY)


def test_only_parameters_of_that_annotation_are_looked_at():
    @of_predictions
    def times(factor: float, some: Predictions, *, other: int = 2) -> float:
        return factor * some.num_examples * other

    assert times(0.5, SOME, other=3) == 4.5
    with pytest.raises(ParameterError, match="times takes Predictions, got float"):
        times(0.5, 0.5)


@pytest.mark.parametrize("method", CALIBRATORS)
def test_calibrators(method):
    with pytest.raises(ParameterError, match=f"^{method}.fit takes Predictions, got n"):
        posthoc.fit(ARRAY, method, SETTINGS_OF.get(method))
    with pytest.raises(ParameterError, match=r"^temperature\.apply takes Predictions"):
        Temperature(2.0).apply(ARRAY)


def test_states():
    with pytest.raises(ParameterError, match=r"^MetricState takes Predictions, got nd"):
        MetricState.of(ARRAY)
    with pytest.raises(ParameterError, match=r"^MetricState takes Predictions, got nd"):
        MetricState.of(SOME).update(ARRAY)
