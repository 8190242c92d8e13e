import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench.metrics.cells import NUM_ODDS, odds_index, odds_range
from calibench.predictions import Predictions


@given(
    st.lists(st.floats(-45, 45), min_size=1, max_size=40),
    st.integers(2, 1000),
)
def test_the_log_odds_lie_within_their_cells(values, num_classes):
    logits = np.zeros((len(values), num_classes))
    logits[:, 0] = values
    some = Predictions.from_logits(logits, np.zeros(len(values), int))
    least, most = odds_range(odds_index(some.confidence))
    assert (least <= some.log_odds).all()
    assert (some.log_odds <= most).all()


def test_cells_follow_each_other_without_a_gap():
    least, most = odds_range(np.arange(NUM_ODDS))
    assert least[0] == -math.inf
    assert most[-1] == math.inf
    assert (least[1:] <= most[:-1]).all()
    assert (least[1:] >= least[:-1]).all()
    assert (most[1:] >= most[:-1]).all()


def test_cells_are_narrow_where_rounding_does_not_count():
    least, most = odds_range(np.arange(NUM_ODDS))
    inner = (least > -15) & (most < 28)
    assert inner.sum() > 3500
    assert (most - least)[inner].max() < 1 / 47


@pytest.mark.parametrize(
    ("confidence", "index"),
    [(1.0, NUM_ODDS - 1), (1 - 2.0**-53, NUM_ODDS - 2), (1e-9, 0), (2.0**-30, 0)],
)
def test_the_outermost_cells(confidence, index):
    assert odds_index(np.array([confidence])) == [index]


def test_one_half_has_a_cell_of_its_own():
    around = np.array([np.nextafter(0.5, 0), 0.5, np.nextafter(0.5, 1)])
    assert np.diff(odds_index(around)).tolist() == [1, 1]
