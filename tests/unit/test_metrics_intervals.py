"""Intervals: closed forms where they exist, and coverage where the truth is known."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from calibench.binning import equal_mass, equal_width, summarize
from calibench.metrics import intervals
from calibench.metrics.folded import fold_bias
from calibench.metrics.smooth import smooth_ece
from calibench.metrics.smooth_interval import _variance, of_smooth_error
from calibench.predictions import Predictions
from reference import smooth_error

LEVEL = 0.95


def binary(confidence, correct):
    probs = np.stack([confidence, 1 - confidence], axis=1)
    return Predictions.from_probs(probs, np.where(correct, 0, 1))


def test_wilson():
    # Roots of (p - 8/10)^2 = z^2 p (1 - p) / 10.
    z2 = stats.norm.ppf(0.975) ** 2
    roots = np.roots([1 + z2 / 10, -(1.6 + z2 / 10), 0.64])
    assert intervals.of_share(8, 10, LEVEL) == pytest.approx(sorted(roots), abs=1e-12)
    assert intervals.of_share(10, 10, LEVEL)[1] == 1


def test_the_mean_of_thirty():
    values = np.arange(30.0)
    half = stats.norm.ppf(0.975) * values.std(ddof=1) / math.sqrt(30)
    assert intervals.of_mean(values, LEVEL) == pytest.approx((14.5 - half, 14.5 + half))
    assert intervals.of_mean(values[:29], LEVEL) is None
    assert intervals.of_mean(np.append(values, np.inf), LEVEL) is None


@pytest.mark.parametrize("center", [0.0, 0.3, -1.0, 4.0])
def test_fold_bias(center):
    folded, _ = integrate.quad(
        lambda x: abs(x) * stats.norm.pdf(x, center, 0.7), -9, 9, points=[0, center]
    )
    bias = fold_bias(np.array([center]), np.array([0.7]))
    assert bias[0] == pytest.approx(folded - abs(center), abs=1e-9)


def test_no_spread_folds_nothing():
    zero = np.zeros(2)
    assert fold_bias(np.array([0.0, 0.5]), zero).tolist() == [0.0, 0.0]


def test_the_chernoff_band_of_a_bin_that_is_all_right():
    # n KL(1 || p) = -n ln p <= ln(2 / 0.05), so p >= 0.05 / 2 to the power of 1 / n.
    confidence = np.full(20, 0.6)
    bins = summarize(equal_width(confidence, 15), confidence, np.ones(20, dtype=bool))
    lo, hi = intervals.of_largest_size(bins, LEVEL)
    assert lo == pytest.approx(0.025 ** (1 / 20) - 0.6, abs=1e-12)
    assert hi == pytest.approx(0.4, abs=1e-12)


def test_variance_of_the_smoothed_gap():
    rng = np.random.default_rng(0)
    confidence = np.concatenate([rng.uniform(0.5, 1, 10), np.ones(3), np.zeros(2)])
    square, width, size = rng.random(15), 0.07, 512
    t = np.arange(size + 1) / size
    direct = np.mean(
        [
            q * smooth_error.smoothed_gap(t, [c], [1.0], width) ** 2
            for c, q in zip(confidence, square, strict=True)
        ],
        axis=0,
    )
    found = _variance(confidence, square, width, size, 15)
    assert found == pytest.approx(direct, abs=1e-6)


OF_BINS = {
    "mean_size": (intervals.of_mean_size, lambda m, _: np.abs(m).sum()),
    "mean_excess": (intervals.of_mean_excess, lambda m, _: np.maximum(m, 0).sum()),
    "mean_shortfall": (
        intervals.of_mean_shortfall,
        lambda m, _: np.maximum(-m, 0).sum(),
    ),
    "pair_products": (intervals.of_pair_products, lambda m, w: (m**2 / w).sum()),
}


def population(power):
    """Confidences in [0.5, 1) and the probability of being right at each."""
    confidence = (np.arange(100_000) + 0.5) / 200_000 + 0.5
    return confidence, confidence**power


@pytest.mark.parametrize("scheme", [equal_width, equal_mass])
@pytest.mark.parametrize("power", [1.0, 1.05, 2.0], ids=["calibrated", "near", "over"])
def test_intervals_of_bins_cover_the_population(power, scheme):
    rng = np.random.default_rng(7)
    confidence, truth = population(power)
    trials, covered = 300, dict.fromkeys(OF_BINS, 0)
    for _ in range(trials):
        rows = rng.integers(len(confidence), size=1000)
        drawn = rng.random(1000) < truth[rows]
        bins = scheme(confidence[rows], 10)
        found = summarize(bins, confidence[rows], drawn)
        # The same bins over the whole population.
        index = np.searchsorted(found.hi[:-1], confidence, side="left")
        share = np.bincount(index) / len(confidence)
        mass = np.bincount(index, confidence - truth) / len(confidence)
        for name, (interval, functional) in OF_BINS.items():
            lo, hi = interval(found, LEVEL)
            covered[name] += lo - 1e-12 <= functional(mass, share) <= hi + 1e-12
    # Three standard deviations of 300 trials at 95 %.
    for name, count in covered.items():
        assert count / trials >= 0.95 - 0.038, name
    # The debiased one is to be exact, not only safe: an interval of everything fails.
    assert covered["pair_products"] / trials <= 0.995


def test_the_interval_of_the_smooth_error_covers():
    rng = np.random.default_rng(10)
    trials, at_zero, covered = 60, 0, 0
    for _ in range(trials):
        # Calibrated: the error is 0, which a value above it must not exclude.
        confidence = rng.uniform(0.5, 1, 400)
        correct = rng.random(400) < confidence
        some = binary(confidence, correct)
        at_zero += of_smooth_error(some, smooth_ece(some), LEVEL)[0] == 0
        # Right with half the odds: every gap has one sign, so the error is its mean,
        # the integral of c - c / (2 - c) from 1/2 to 1, times 2.
        correct = rng.random(400) < confidence / (2 - confidence)
        some = binary(confidence, correct)
        lo, hi = of_smooth_error(some, smooth_ece(some), LEVEL)
        covered += lo <= 2 * (0.375 + 0.5 - 2 * math.log(1.5)) <= hi
    assert at_zero >= 0.9 * trials
    assert covered >= 0.88 * trials


def test_the_interval_of_the_maximum_covers():
    rng = np.random.default_rng(8)
    confidence, truth = population(1.5)
    trials, covered = 200, 0
    for _ in range(trials):
        rows = rng.integers(len(confidence), size=200)
        bins = equal_width(confidence[rows], 10)
        found = summarize(bins, confidence[rows], rng.random(200) < truth[rows])
        gaps = np.bincount(bins.index, confidence[rows] - truth[rows])
        largest = np.abs(gaps[gaps != 0] / found.count).max()
        lo, hi = intervals.of_largest_size(found, LEVEL)
        covered += lo <= largest <= hi
    assert covered / trials >= 0.95


def test_intervals_narrow_as_examples_come_in():
    rng = np.random.default_rng(9)
    confidence, truth = population(2.0)
    widths = []
    for n in (300, 3000, 30_000):
        rows = rng.integers(len(confidence), size=n)
        bins = equal_width(confidence[rows], 10)
        found = summarize(bins, confidence[rows], rng.random(n) < truth[rows])
        lo, hi = intervals.of_mean_size(found, LEVEL)
        widths.append(hi - lo)
    assert widths[0] > 2.5 * widths[1] > 6 * widths[2]
