"""Values that random floats never take: edges, their neighbors, 0 and 1."""

import numpy as np
import pytest

from calibench.binning import (
    Bins,
    equal_mass,
    equal_width,
    scheme_named,
    summarize,
)
from calibench.errors import ParameterError
from calibench.sums import exact_sums


def test_an_edge_belongs_to_the_bin_below_it():
    edges = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    assert equal_width(edges, 4).index.tolist() == [0, 0, 1, 2, 3]


def test_the_neighbors_of_an_edge_part_at_it():
    below, above = np.nextafter(0.25, 0), np.nextafter(0.25, 1)
    assert equal_width(np.array([below, above]), 4).index.tolist() == [0, 1]


@pytest.mark.parametrize("num_bins", [1, 3, 7, 10, 15, 49, 100])
def test_every_quotient_is_on_its_edge(num_bins):
    # 3 / 10 and 0.3 are one float64; np.linspace(0, 1, 11)[3] is the next one.
    on_edges = np.array([b / num_bins for b in range(1, num_bins + 1)])
    assert equal_width(on_edges, num_bins).index.tolist() == list(range(num_bins))


def test_a_third_is_on_the_fifth_edge_of_fifteen():
    third = np.array([1 / 3, np.nextafter(1 / 3, 1)])
    assert equal_width(third, 15).index.tolist() == [4, 5]


def test_one_bin_holds_everything():
    values = np.array([0.0, 0.5, 1.0])
    assert equal_width(values, 1).index.tolist() == [0, 0, 0]
    assert equal_mass(values, 1).index.tolist() == [0, 0, 0]


def test_equal_mass_keeps_ties_in_the_bin_of_their_lowest_rank():
    # Ranks 0, 1, 1, 1, 4, 5 of 6 in 3 bins: floor(rank * 3 / 6).
    values = np.array([0.1, 0.4, 0.4, 0.4, 0.8, 0.9])
    bins = equal_mass(values, 3)
    assert bins.index.tolist() == [0, 0, 0, 0, 2, 2]
    # The second bin is empty, so it has no width.
    assert bins.edges.tolist() == [0.0, 0.4, 0.4, 1.0]


def test_equal_mass_with_fewer_examples_than_bins():
    bins = equal_mass(np.array([0.9, 0.7]), 5)
    assert bins.index.tolist() == [2, 0]
    assert bins.edges.tolist() == [0.0, 0.7, 0.7, 1.0, 1.0, 1.0]


def test_a_summary_leaves_empty_bins_out():
    values = np.array([0.125, 0.25, 1.0])
    stats = summarize(equal_width(values, 4), values, np.array([True, False, True]))
    assert stats.count.tolist() == [2, 1]
    assert stats.confidence.tolist() == [0.1875, 1.0]
    assert stats.accuracy.tolist() == [0.5, 1.0]
    assert stats.gap.tolist() == [-0.3125, 0.0]
    # ((0.125 - 1)^2 + 0.25^2) / 2 = (0.765625 + 0.0625) / 2
    assert stats.squared_gap.tolist() == [0.4140625, 0.0]
    assert stats.weight.tolist() == [2 / 3, 1 / 3]
    assert (stats.lo.tolist(), stats.hi.tolist()) == ([0.0, 0.75], [0.25, 1.0])


def test_sums_do_not_drift():
    # Left to right, float64 adds ten tenths to 0.9999999999999999.
    tenth = np.full(10, 0.1)
    assert exact_sums(np.zeros(10, dtype=np.int64), tenth, 1).tolist() == [1.0]


def test_sums_run_on_across_blocks(monkeypatch):
    monkeypatch.setattr("calibench.sums._BLOCK", 3)
    index = np.array([0, 1, 0, 1, 0, 1, 0])
    values = np.array([0.5, 0.25, 0.5, 0.25, 1.0, 0.25, 0.125])
    assert exact_sums(index, values, 2).tolist() == [2.125, 0.75]


def test_a_function_is_a_scheme():
    def halves(confidence, num_bins):
        assert num_bins == 2
        edges = np.array([0.0, 0.9, 1.0])
        return Bins((confidence > 0.9).astype(np.int64), edges)

    assert scheme_named(halves) is halves


@pytest.mark.parametrize("scheme", [equal_width, equal_mass])
@pytest.mark.parametrize("num_bins", [0, -1])
def test_no_bins_are_refused(scheme, num_bins):
    with pytest.raises(ParameterError, match=f"at least 1, got {num_bins}"):
        scheme(np.array([0.5]), num_bins)


def test_an_unknown_scheme_is_refused_with_a_suggestion():
    with pytest.raises(
        ParameterError, match=r"'equal_with'. Did you mean 'equal_width"
    ):
        scheme_named("equal_with")
