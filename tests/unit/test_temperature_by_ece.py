"""The temperature that published code chooses: the least ECE on a grid."""

import numpy as np
import pytest

from calibench import metrics, posthoc
from calibench.errors import FitError, LeakageError, ParameterError
from calibench.posthoc import Temperature, TemperatureByEce
from calibench.predictions import Predictions


def overconfident():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(800, 5))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return Predictions.from_logits(2.5 * logits, labels, split="calibration")


def test_it_is_the_first_of_the_least_on_the_grid():
    some = overconfident()
    grid = [k / 10 for k in range(1, 101)]
    errors = [
        metrics.top_label_ece(Predictions.from_logits(some.logits / t, some.labels))
        for t in grid
    ]
    best = min(range(100), key=lambda k: (round(errors[k], 12), k))
    found = TemperatureByEce.fit(some)
    assert found.value == grid[best]
    assert found.apply(some, in_sample=True).predicted.tolist() == (
        some.predicted.tolist()
    )


def test_its_likelihood_is_no_better_than_that_of_the_likelihood():
    some = overconfident()
    by_ece = TemperatureByEce.fit(some).apply(some, in_sample=True)
    by_nll = Temperature.fit(some).apply(some, in_sample=True)
    assert metrics.nll(by_nll) < metrics.nll(by_ece) < metrics.nll(some)
    assert metrics.top_label_ece(by_ece) <= metrics.top_label_ece(by_nll) + 0.01


def test_the_grid_is_the_callers():
    some = overconfident()
    found = TemperatureByEce.fit(some, num_steps=3, highest=6.0)
    assert found.value in {2.0, 4.0, 6.0}
    assert TemperatureByEce.fit(some, num_steps=1, highest=3.5).value == 3.5


@pytest.mark.parametrize(
    "settings", [{"num_steps": 0}, {"highest": 0.0}, {"num_bins": 0}]
)
def test_impossible_grids_are_refused(settings):
    with pytest.raises(ParameterError):
        TemperatureByEce.fit(overconfident(), **settings)


def test_nothing_is_chosen_on_test_or_without_a_choice():
    some = overconfident()
    test = Predictions.from_logits(some.logits, some.labels, split="test")
    with pytest.raises(LeakageError):
        TemperatureByEce.fit(test)
    equal = Predictions.from_logits(np.zeros((5, 3)), [0, 1, 2, 0, 1])
    with pytest.raises(FitError, match="the same at every temperature"):
        posthoc.fit(equal, "temperature_by_ece")
