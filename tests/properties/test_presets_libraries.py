"""Every preset against the library whose number it claims to be."""

import warnings

import numpy as np
import pytest

from calibench.metrics.presets import PRESETS, NoNumberError
from calibench.metrics.presets.preset import Handed
from library_numbers import LIBRARY_CALLS
from reference import focal_calibration
from reference.generated_predictions import generated

REPOSITORIES = {
    name: getattr(focal_calibration, name)
    for name in (
        "guo2017_ece",
        "focal_calibration_adaece",
        "focal_calibration_classwise_ece",
    )
}
CALLS = LIBRARY_CALLS | REPOSITORIES

# Half a unit in the last place of float32 near 1.
ROUNDING = 2.0**-24


def on_edges(rng, n, k, num_bins):
    """Confidences on edges, at 1, and just beside both."""
    share = rng.integers(num_bins // 2 + 1, num_bins + 1, size=n) / num_bins
    beside = np.clip(np.nextafter(share, rng.choice([0, 2], size=n)), 0, 1)
    share = np.where(rng.random(n) < 0.3, beside, share)
    probs = np.zeros((n, k))
    top = rng.integers(k, size=n)
    probs[np.arange(n), top] = share
    probs[np.arange(n), (top + 1) % k] = 1 - share
    return probs


def drawn(seed):
    """Probabilities, labels and a number of bins, of every kind that has an edge."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.choice([1, 2, 3, 12, 60, 300])), int(rng.choice([2, 2, 3, 10]))
    num_bins = int(rng.choice([1, 2, 3, 10, 15, 20]))
    kind = seed % 4
    if kind == 0:
        probs = rng.dirichlet(np.full(k, 0.5), n)
    elif kind == 1:
        probs = on_edges(rng, n, k, max(num_bins, 2))
    elif kind == 2:  # few values, many ties
        probs = rng.dirichlet(np.full(k, 0.5), 5)[rng.integers(5, size=n)]
    else:  # half of them certain
        probs = rng.dirichlet(np.ones(k), n)
        sure = rng.random(n) < 0.5
        probs[sure] = np.eye(k)[rng.integers(k, size=sure.sum())]
    share = probs.max(axis=1)
    right = rng.random(n) < 0.9 * share
    labels = np.where(right, probs.argmax(axis=1), rng.integers(k, size=n))
    if seed % 7 == 0:
        labels[:] = labels[0]
    return probs, labels.astype(np.int64), num_bins


CASES = [drawn(seed) for seed in range(56)]
CASES += [
    (*generated(seed, 4000, 10, certain=9 * seed), bins)
    for seed, bins in enumerate((10, 15, 100))
]


def neighbors():
    """19 confidences, two of them neighboring float32 with an edge of 8 in between.

    In float32 that edge, at three quarters of the way, is the upper of the two.
    """
    confidence = np.linspace(0.55, 0.95, 19).astype(np.float32)
    confidence[5] = np.nextafter(confidence[4], np.float32(1))
    probs = np.stack([confidence, 1 - confidence], axis=1)
    return probs, np.where(np.arange(19) < 6, 1, 0), 8


CASES.append(neighbors())


def number_or_error(call):
    """What a library returns, or None where it stops or returns no number."""
    with warnings.catch_warnings():
        # scikit-learn's, of rows that sum to 1 within float32 only; and what torch
        # says of mapping one dtype on the other.
        warnings.filterwarnings("ignore", "The y_p", UserWarning)
        try:
            found = float(call())
        except (ArithmeticError, AssertionError, ValueError, RuntimeError, Warning):
            return None
    return None if np.isnan(found) else found


def tolerance(name, dtype, num_bins):
    """The distance allowed, which is that of the library's own rounding."""
    if name.startswith("torchmetrics") and (dtype == "float32" or "binary" not in name):
        # Sums over examples are the same bits, those over bins in any order.
        return (num_bins + 1) * ROUNDING
    if name in REPOSITORIES or dtype == "float32":
        # A mean in float32, in blocks: the last digits depend on the processor.
        return 16 * ROUNDING
    return 1e-12


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CALLS)
def test_a_preset_is_the_number_of_its_library(name, dtype):
    preset = PRESETS[name]
    compared = 0
    # A smoothing on thousands of grid points, eleven times: a third will do.
    every = 3 if name == "relplot_smece" else 1
    for case, (probs, labels, num_bins) in enumerate(CASES[::every]):
        if "binary" in name and probs.shape[1] > 2:
            continue
        given = probs.astype(dtype)
        theirs = number_or_error(
            lambda g=given, y=labels, m=num_bins: CALLS[name](g.copy(), y.copy(), m)
        )
        if theirs is None:
            with pytest.raises(NoNumberError):
                preset.compute(Handed(given, labels), num_bins)
            continue
        ours = preset.compute(Handed(given, labels), num_bins)
        allowed = tolerance(name, dtype, num_bins)
        if name.endswith("l2"):  # a root is steep at 0: compare what it is taken of
            theirs, ours = theirs**2, ours**2
        assert ours == pytest.approx(theirs, abs=allowed), (case, given.shape, num_bins)
        compared += 1
    assert compared >= 8


def test_every_preset_is_compared_with_something():
    kept = {name for name in PRESETS if name.startswith("torchmetrics_before_1")}
    assert CALLS.keys() | kept == PRESETS.keys()
