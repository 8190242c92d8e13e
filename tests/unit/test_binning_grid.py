"""The index without a search is that of the search, on every edge of every grid."""

import numpy as np
import pytest

from calibench.binning import equal_width, equal_width_index
from calibench.sums import from_limbs, limb_sums


@pytest.mark.parametrize("num_bins", [*range(1, 101), 120, 600, 7200, 7680])
def test_edges_and_their_neighbors(num_bins):
    edges = np.arange(num_bins + 1) / num_bins
    values = np.concatenate([np.nextafter(edges, 0), edges, np.nextafter(edges, 1)])
    expected = equal_width(values, num_bins).index
    assert equal_width_index(values, num_bins).tolist() == expected.tolist()


@pytest.mark.parametrize("num_bins", [7, 30, 120, 600])
def test_bins_of_a_fine_grid_are_the_bins(num_bins):
    fine = 12 * num_bins
    edges = np.arange(num_bins + 1) / num_bins
    values = np.concatenate([np.nextafter(edges, 0), edges, np.nextafter(edges, 1)])
    coarse = equal_width(values, num_bins).index
    assert (equal_width_index(values, fine) // 12).tolist() == coarse.tolist()


def test_limbs_of_parts_add_up():
    values = np.random.default_rng(0).random(1000)
    index = np.zeros(1000, dtype=np.int64)
    parts = limb_sums(index[:7], values[:7], 1) + limb_sums(index[7:], values[7:], 1)
    assert parts.tolist() == limb_sums(index, values, 1).tolist()
    assert from_limbs(parts)[0] == pytest.approx(values.sum(), rel=1e-14)
