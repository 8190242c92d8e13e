"""Weights at their edges: what is refused, and what is drawn and covered."""

import math

import numpy as np
import pytest

from calibench import metrics, posthoc
from calibench.binning import Bins, equal_mass, equal_width
from calibench.errors import DataError, LeakageError, ParameterError
from calibench.metrics import intervals
from calibench.metrics.presets import PRESETS
from calibench.metrics.presets.counterparts import OURS
from calibench.metrics.redraw import Drawing, redrawn_bins
from calibench.metrics.redraw_labels import redrawn_classwise
from calibench.metrics.redraw_smooth import redrawn_smooth
from calibench.metrics.scores import exact_mean
from calibench.metrics.stream import MetricState
from calibench.metrics.sweep import redrawn_sweep
from calibench.predictions import Predictions, unweighted

PROBS = [[0.75, 0.25], [1.0, 0.0], [0.6, 0.4]]
LABELS = [0, 1, 0]


def some(weights):
    return Predictions.from_probs(PROBS, LABELS, weights=weights)


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        ([1, -1, 2], r"weights: -1 in row 1 .* is no weight; 1 of 3 rows"),
        ([1.0, 2.0, math.nan], "weights: nan in row 2"),
        ([math.inf, 2.0, 1.0], "weights: inf in row 0"),
        ([0, 0, 0], "weights are all 0"),
        ([1, 2], r"each of the 3 examples, got shape \(2,\)"),
        ([[1], [2], [3]], r"got shape \(3, 1\)"),
        (["a", "b", "c"], "weights must hold real numbers"),
        ([1e308, 1e308, 1e308], "weights sum to inf: scale them"),
        ([1e-200, 1e-200, 0], "weights sum to 2e-200: scale them"),
        (np.ma.masked_equal([1, 2, 3], 2), "weights has masked entries"),
    ],
)
@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_what_is_no_weight_is_refused(kind, weights, complaint):
    make = getattr(Predictions, f"from_{kind}")
    with pytest.raises(DataError, match=complaint):
        make(PROBS, LABELS, weights=weights)


@pytest.mark.parametrize(
    ("weights", "kind", "total"),
    [
        ([2, 0, 3], "i", 5),
        ([2.0, 0.0, 3.0], "i", 5),
        (np.array([True, False, True]), "i", 2),
        (np.array([2, 1, 3], dtype=np.uint8), "i", 6),
        ([0.5, 0.25, 0.0], "f", 0.75),
        # As many as a state has room for, or more, are not counted.
        ([2**33 - 1, 0, 0], "i", 2**33 - 1),
        ([2**33, 0, 0], "f", 2**33),
    ],
)
def test_whole_numbers_count(weights, kind, total):
    found = some(weights)
    assert found.weights.dtype.kind == kind
    assert found.total_weight == total
    assert found.num_examples == 3
    assert not found.weights.flags.writeable


def test_no_weights_are_ones():
    assert some(None).weights is None
    assert some([1, 1, 1]).weights is None
    assert some(None).total_weight == 3


def test_weights_are_not_changed():
    weights = np.array([2.0, 0.0, 1.0])
    metrics.scalars(some(weights))
    assert weights.tolist() == [2.0, 0.0, 1.0]


def test_an_example_of_weight_0_may_be_impossible():
    # Its loss is infinite, but it is not there.
    assert some([1, 0, 1]).present.num_examples == 2
    assert some([1, 0, 1]).present.weights is None
    expected = -(math.log(0.75) * 2 + math.log(0.6)) / 3
    assert metrics.nll(some([2, 0, 1])) == pytest.approx(expected, rel=1e-15)
    assert metrics.nll(some([2, 0.5, 1])) == math.inf


def test_weighted_averages_by_hand():
    # (1/2 x .25 + 1/4 x .4) / .75: the wrong one has no weight.
    found = some([0.5, 0.0, 0.25])
    assert metrics.accuracy(found) == 1
    assert metrics.confidence_gap(found) == pytest.approx(-0.3, abs=1e-15)
    assert metrics.top_label_ece(found) == pytest.approx(0.3, abs=1e-15)
    posterior = [[0.75, 0.25], [0.0, 1.0], [0.9, 0.1]]
    error = metrics.true_calibration_error(found, posterior)
    assert error == pytest.approx(0.3 * 0.25 / 0.75, abs=1e-15)


def test_equal_mass_ranks_by_the_weight_below():
    confidence = np.array([0.5, 0.6, 0.7, 0.8])
    # Ranks 0, 1, 2, 7 of 8: bins floor(rank x 4 / 8).
    weights = np.array([1, 1, 5, 1])
    assert equal_mass(confidence, 4, weights).index.tolist() == [0, 0, 1, 3]
    # Ten times .1 is 1 but for rounding, which must not move the second half.
    tenths = np.full(10, 0.1)
    index = equal_mass(np.linspace(0.5, 1, 10), 2, tenths).index
    assert index.tolist() == [0] * 5 + [1] * 5
    index = equal_mass(np.linspace(0.5, 1, 10), 10, tenths).index
    assert index.tolist() == list(range(10))


def test_what_has_to_count_examples_refuses_fractions():
    found = some([0.5, 0.25, 1.0])
    for refused in (
        metrics.debiased_l2,
        metrics.noise_floor,
        MetricState.of,
        lambda each: metrics.compare(each, each),
    ):
        with pytest.raises(DataError, match="weights are not whole numbers"):
            refused(found)


def test_a_binning_of_the_callers_does_not_see_weights():
    def halves(confidence, num_bins):
        return Bins(np.zeros(len(confidence), np.int64), np.array([0.0, 1.0]))

    assert metrics.top_label_ece(some(None), scheme=halves) < 1
    with pytest.raises(ParameterError, match="of your own does not see the weights"):
        metrics.top_label_ece(some([2, 1, 1]), scheme=halves)


def test_what_takes_no_weights_says_so():
    with pytest.raises(DataError, match=r"^X takes no weights\. Repeat the rows"):
        unweighted(some([2, 1, 1]), "X")
    assert unweighted(some([1, 1, 1]), "X").num_examples == 3
    weighted = some([2, 1, 1])
    known = metrics.Truth.from_posterior(PROBS)
    with pytest.raises(DataError, match="evaluate_truth takes no weights"):
        metrics.evaluate_truth(weighted, known)
    for preset in PRESETS.values():
        with pytest.raises(DataError, match="takes no weights"):
            preset(weighted)
    for name, ours in OURS.items():
        if name.startswith("class_1_") or name == "classwise_debiased_rms_equal_mass":
            with pytest.raises(DataError, match="takes no weights"):
                ours(weighted, 15)
        else:
            assert ours(weighted, 15) == ours(some(None).rows([0, 0, 1, 2]), 15), name


def test_compared_sets_need_the_same_weights():
    with pytest.raises(DataError, match=r"weights are not the same, first at row 2: "):
        metrics.compare(some([2, 1, 1]), some([2, 1, 3]))
    with pytest.raises(DataError, match="weight 2 in the first set, 1 in the second"):
        metrics.compare(some([2, 1, 1]), some(None))


def test_calibrators_keep_the_weights():
    fitted = posthoc.fit(some([2, 1, 1]), "histogram_binning")
    for calibrator in (fitted, posthoc.Temperature(2.0)):
        after = calibrator.apply(some([3, 0, 1]), in_sample=True)
        assert after.weights.tolist() == [3, 0, 1]
    # The rows are known again whatever they weigh.
    with pytest.raises(LeakageError, match="fitted on these rows"):
        fitted.apply(some([3, 0, 1]))


def test_sums_of_losses_too_large_for_a_float():
    values, counts = np.array([1e308, 1e308, -1e308]), np.array([3, 1, 4])
    assert exact_mean(values, counts) == 0
    assert exact_mean(np.array([np.inf, 1.0]), np.array([1, 3])) == math.inf


def drawn_from(n, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1, n).round(2)
    return confidence, rng.integers(1, 6, n)


def assert_same_distribution(one, other):
    """Means within four standard errors, spreads within 15 %."""
    error = math.sqrt((one.var() + other.var()) / len(one))
    assert abs(one.mean() - other.mean()) <= 4 * error
    assert one.std() == pytest.approx(other.std(), rel=0.15)


def redrawn_of(confidence, counts, seed, replicates=1500):
    """Redrawn summaries of ten bins, and smooth errors, of weights or of repeats."""
    bins = equal_width(confidence, 10)
    drawing = Drawing(confidence, replicates, seed, counts)
    fewer = Drawing(confidence, 300, seed, counts)
    return redrawn_bins(bins, drawing), redrawn_smooth(fewer), redrawn_sweep(fewer)


def test_floors_of_few_repetitions_are_those_of_the_repeated_rows():
    confidence, counts = drawn_from(60)
    bins, smooth, sweep = redrawn_of(confidence, counts, 1)
    repeated = redrawn_of(np.repeat(confidence, counts), None, 1)
    for name in ("count", "confidence", "accuracy", "lo", "hi"):
        assert getattr(bins, name).tolist() == getattr(repeated[0], name).tolist()
    assert bins.squared_gap == pytest.approx(repeated[0].squared_gap, abs=1e-14)
    assert smooth == pytest.approx(repeated[1], rel=1e-9)
    assert sweep == pytest.approx(repeated[2], rel=1e-12)


def test_floors_of_many_repetitions_are_so_in_distribution(monkeypatch):
    monkeypatch.setattr("calibench.metrics.redraw._ONE_BY_ONE", 0)
    confidence, counts = drawn_from(60)
    bins, smooth, sweep = redrawn_of(confidence, counts, 1)
    repeated = redrawn_of(np.repeat(confidence, counts), None, 2)
    assert bins.count.tolist() == repeated[0].count.tolist()
    for name in ("accuracy", "squared_gap"):
        pairs = zip(getattr(bins, name).T, getattr(repeated[0], name).T, strict=True)
        for one, other in pairs:
            assert_same_distribution(one, other)
    assert_same_distribution(smooth, repeated[1])
    assert_same_distribution(sweep, repeated[2])


def test_the_floor_of_classes_has_the_bits_of_the_repeated_rows():
    rng = np.random.default_rng(3)
    probs, counts = rng.dirichlet(np.ones(4), 30), rng.integers(0, 5, 30) + 1
    rows = np.repeat(np.arange(30), counts)
    one = redrawn_classwise(probs, 10, "equal_width", 40, 5, counts)
    other = redrawn_classwise(probs[rows], 10, "equal_width", 40, 5)
    assert one.tolist() == other.tolist()


def test_the_floor_of_classes_from_counts_draws_the_same():
    rng = np.random.default_rng(4)
    probs, counts = rng.dirichlet(np.ones(3), 20), rng.integers(20, 60, 20)
    rows = np.repeat(np.arange(20), counts)
    assert counts.sum() > 8 * probs.size
    one = redrawn_classwise(probs, 10, "equal_width", 800, 5, counts)
    other = redrawn_classwise(probs[rows], 10, "equal_width", 800, 6)
    assert_same_distribution(one, other)


def test_a_floor_does_not_mind_the_order_of_the_examples():
    confidence, counts = drawn_from(40)
    labels = np.zeros(40, dtype=int)

    def floor(order):
        rows = Predictions.from_probs(
            np.stack([confidence, 1 - confidence], axis=1)[order],
            labels,
            weights=counts[order],
        )
        return metrics.evaluate(rows, replicates=20).to_dict()

    assert floor(np.arange(40)) == floor(np.arange(40)[::-1])


def test_ten_thousand_million_examples_in_three_rows():
    # Beyond any row by row redrawing; the floors take as long as for three rows.
    found = metrics.evaluate(some([2**32, 2**31, 2**31 - 1]), replicates=20)
    share = (2**32 + 2**31 - 1) / (2**33 - 1)
    assert found.measurements["accuracy"].value == share
    assert found.measurements["top_label_ece"].floor.mean < 1e-4
    assert found.measurements["classwise_ece"].floor.mean < 1e-4
    assert found.measurements["smooth_ece"].floor.mean < 2e-4


def test_fractions_have_values_and_intervals_of_means_alone():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 100)
    found = metrics.evaluate(
        Predictions.from_probs(
            probs, rng.integers(3, size=100), weights=rng.random(100)
        ),
        replicates=9,
    )
    means = {"accuracy", "nll", "brier", "confidence_gap"}
    for name, each in found.measurements.items():
        assert each.floor is None
        assert (each.interval is None) == (name not in means), name
        assert each.definition.interval.startswith(
            "normal theory of a ratio"
            if name in means
            else "none: weights are not whole numbers"
        )
    assert found.to_dict()["metrics"]["debiased_l2"]["value"] is None
    assert found.to_dict()["total_weight"] == found.total_weight
    # No n, no chance and no temperature: none of them is known.
    assert found.verdict == (
        "Over-confident by 22.97 points: weighted mean confidence 58.18 %, accuracy "
        "35.20 % (ECE 23.47 %)."
    )
    few = metrics.evaluate(some([0.5, 0.0, 0.25]), replicates=9)
    assert few.verdict == (
        "ECE 30.00 %, weighted: what chance alone makes is not known."
    )


def test_few_examples_in_effect_have_no_interval():
    values = np.arange(100.0)
    assert intervals.of_mean(values, 0.95, np.full(100, 0.3)) is not None
    # (100 + 1)^2 / (100^2 + 99 / 99^2): about one.
    lopsided = np.append(np.full(99, 1 / 99), 100.0)
    assert intervals.of_mean(values, 0.95, lopsided) is None
    assert intervals.of_mean(np.ones(100), 0.95, np.full(100, 0.3)) is None


def test_the_interval_of_a_weighted_mean_covers():
    # The weight x turns draws of the density 1 into 2 x, under which x^2 averages 1/2.
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(600):
        x = rng.random(200)
        lo, hi = intervals.of_mean(x**2, 0.95, 1.7 * x)
        covered += lo <= 0.5 <= hi
    # Three standard deviations of 600 trials at 95 %.
    assert abs(covered / 600 - 0.95) < 0.027
