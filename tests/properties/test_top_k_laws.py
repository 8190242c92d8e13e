"""Calibration of the k most probable classes: definitions and laws."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calibench import metrics
from calibench.errors import ParameterError
from calibench.predictions import Predictions
from reference import exact_metrics as exact
from strategies import edge_predictions, predictions

BOTH = ["top_k_ece", "kth_class_ece"]
SCHEMES = ["equal_width", "equal_mass"]
ANY = predictions(max_examples=12) | edge_predictions(10)


@st.composite
def tied(draw):
    """Rows of quarters and eighths, exact in binary, where classes tie."""
    rows = draw(
        st.lists(
            st.permutations([0.25, 0.25, 0.25, 0.125, 0.125]), min_size=1, max_size=8
        )
    )
    labels = draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    return Predictions.from_probs(rows, labels)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", BOTH)
@given(some=tied() | edge_predictions(10), data=st.data())
def test_they_are_their_definitions(name, scheme, some, data):
    k = data.draw(st.integers(1, some.num_classes))
    expected = getattr(exact, name)(some.probs, some.labels, k, 10, scheme)
    value = getattr(metrics, name)(some, k=k, num_bins=10, scheme=scheme)
    # Sums of probabilities are rounded, and may so cross an edge.
    if name == "kth_class_ece" or some.num_classes == 5:
        assert value == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", BOTH)
@given(some=ANY)
def test_the_first_is_the_predicted_class(name, scheme, some):
    value = getattr(metrics, name)(some, k=1, scheme=scheme)
    assert value == metrics.top_label_ece(some, scheme=scheme)


@given(ANY)
def test_all_classes_hold_the_label(some):
    assert metrics.top_k_ece(some, k=some.num_classes) <= 1e-12


@given(predictions(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_relabeling_the_classes_changes_no_bit(some, k, random):
    assume(len(np.unique(some.probs)) == some.probs.size)
    k = min(k, some.num_classes)
    classes = list(range(some.num_classes))
    random.shuffle(classes)
    position = np.argsort(classes)
    one = Predictions.from_probs(some.probs, some.labels)
    other = Predictions.from_probs(some.probs[:, classes], position[some.labels])
    for name in BOTH:
        assert getattr(metrics, name)(other, k=k) == getattr(metrics, name)(one, k=k)


def test_of_equal_probabilities_the_lowest_classes_come_first():
    some = Predictions.from_probs([[0.25, 0.25, 0.25, 0.25]] * 4, [0, 1, 2, 3])
    # The first two classes claim .5 and hold the labels 0 and 1; rank 2 is class 1.
    assert metrics.top_k_ece(some, k=2) == 0
    assert metrics.kth_class_ece(some, k=2) == 0
    some = Predictions.from_probs([[0.25, 0.25, 0.25, 0.25]] * 4, [0, 0, 2, 0])
    assert metrics.top_k_ece(some, k=2) == 0.75 - 0.5
    assert metrics.kth_class_ece(some, k=2) == 0.25


@pytest.mark.parametrize("k", [0, -1, 4])
@pytest.mark.parametrize("name", BOTH)
def test_other_ranks_are_refused(name, k):
    some = Predictions.from_probs([[0.5, 0.25, 0.25]], [0])
    with pytest.raises(
        ParameterError, match=f"k must be from 1 to the 3 classes, got {k}"
    ):
        getattr(metrics, name)(some, k=k)
