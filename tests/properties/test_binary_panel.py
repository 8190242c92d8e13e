"""A binary problem in one column and in two is one problem, for the whole panel."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from calibench import metrics
from calibench.predictions import Predictions
from strategies import edge_predictions, predictions

BINARY = predictions(max_classes=2) | edge_predictions(15).filter(
    lambda some: some.num_classes == 2
)


def panel(some):
    return metrics.evaluate(some, replicates=2)


@settings(max_examples=6)
@given(BINARY, st.booleans())
def test_probabilities_in_one_or_two_columns(some, as_column):
    column = some.probs[:, 1]
    # A column of ones under labels of 0 is refused: it is the softmax of one class.
    as_column = as_column and bool((column < 1).any() or some.labels.any())
    two = Predictions.from_probs(np.stack([1 - column, column], axis=1), some.labels)
    one = Predictions.from_probs(column[:, None] if as_column else column, some.labels)
    assert json.dumps(panel(one).to_dict()) == json.dumps(panel(two).to_dict())


@settings(max_examples=6)
@given(predictions(max_classes=2))
def test_logits_in_one_or_two_columns(some):
    odds = some.logits[:, 1] - some.logits[:, 0]
    zeros = Predictions.from_logits(np.stack([0 * odds, odds], axis=1), some.labels)
    one, two = panel(Predictions.from_logits(odds, some.labels)), panel(zeros)
    for name, there in two.measurements.items():
        here = one.measurements[name]
        assert here.value == pytest.approx(
            there.value, rel=1e-12, abs=1e-12, nan_ok=True
        ), name


@settings(max_examples=6)
@given(BINARY)
def test_naming_the_classes_the_other_way_round(some):
    assume((some.probs[:, 0] != some.probs[:, 1]).all())
    flipped = Predictions.from_probs(some.probs[:, ::-1], 1 - some.labels)
    as_given = Predictions.from_probs(some.probs, some.labels)
    one, two = panel(as_given).measurements, panel(flipped).measurements
    for name, there in two.items():
        assert one[name].value == pytest.approx(
            there.value, rel=1e-12, abs=1e-12, nan_ok=True
        ), name
