"""The rows of the Parquet benchmark have the numbers that it states in closed form."""

import importlib

import numpy as np
import pytest

from calibench.metrics.further import Further
from calibench.metrics.stream import MetricState
from calibench.metrics.stream_evaluation import evaluate_state
from calibench.predictions import Predictions
from pages import ROOT


@pytest.mark.slow
def test_a_row_group_has_the_numbers_in_closed_form(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    billion_parquet = importlib.import_module("billion_parquet")
    table = billion_parquet.row_group()
    probs, labels = (np.asarray(table[name]) for name in ("prob_1", "label"))
    some = Predictions.from_probs(probs, labels)
    further = Further.start(MetricState.of(some))
    while further.next_pass is not None:
        further = further.after(further.next_pass.sums_of(some))
    found = evaluate_state(MetricState.of(some), further=further, replicates=9)
    for name, expected in billion_parquet.closed_form().items():
        if name == "temperature":
            assert found.temperature.value == pytest.approx(expected, rel=1e-9)
        else:
            value = found.measurements[name].value
            assert value == pytest.approx(float(expected), rel=0, abs=1e-14), name
