import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench.binning import SCHEMES, summarize

CONFIDENCES = st.lists(
    st.floats(0, 1) | st.integers(0, 15).map(lambda b: b / 15), min_size=1, max_size=60
).map(np.array)
NUM_BINS = st.integers(1, 40)


@pytest.mark.parametrize("scheme", SCHEMES.values())
@given(CONFIDENCES, NUM_BINS)
def test_every_example_lies_within_the_edges_of_its_bin(scheme, confidence, num_bins):
    bins = scheme(confidence, num_bins)
    assert bins.num_bins == num_bins
    lo, hi = bins.edges[bins.index], bins.edges[bins.index + 1]
    assert ((lo < confidence) | (confidence == 0) & (bins.index == 0)).all()
    assert (confidence <= hi).all()
    assert (np.diff(bins.edges) >= 0).all()
    assert (bins.edges[0], bins.edges[-1]) == (0, 1)


@pytest.mark.parametrize("scheme", SCHEMES.values())
@given(CONFIDENCES, NUM_BINS)
def test_equal_confidences_share_a_bin(scheme, confidence, num_bins):
    index = scheme(confidence, num_bins).index
    for value in confidence:
        assert len(set(index[confidence == value])) == 1


@given(st.integers(1, 100), NUM_BINS)
def test_equal_mass_without_ties_is_as_even_as_it_can_be(num_examples, num_bins):
    confidence = np.random.default_rng(0).permutation(num_examples) / num_examples
    bins = SCHEMES["equal_mass"](confidence, num_bins)
    counts = np.bincount(bins.index, minlength=num_bins)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("scheme", SCHEMES.values())
@given(CONFIDENCES, NUM_BINS, st.integers(0, 2**32 - 1))
def test_a_summary_averages_its_members(scheme, confidence, num_bins, seed):
    correct = np.random.default_rng(seed).random(len(confidence)) < 0.5
    bins = scheme(confidence, num_bins)
    stats = summarize(bins, confidence, correct)
    occupied = np.unique(bins.index)
    assert len(stats.count) == len(occupied)
    for b, position in enumerate(occupied):
        members = bins.index == position
        gap = confidence[members] - correct[members]
        assert stats.count[b] == members.sum()
        assert stats.accuracy[b] == correct[members].mean()
        assert stats.confidence[b] == pytest.approx(
            confidence[members].mean(), abs=1e-15
        )
        assert stats.squared_gap[b] == pytest.approx((gap**2).mean(), abs=1e-15)
        assert stats.lo[b] == bins.edges[position]
        assert stats.hi[b] == bins.edges[position + 1]
    assert stats.weight.sum() == pytest.approx(1, abs=1e-15)
