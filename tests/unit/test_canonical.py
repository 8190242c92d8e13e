"""Kernel estimates of canonical calibration: edges, floors, truth."""

import importlib
import json
import tracemalloc

import numpy as np
import pytest

from calibench import cli, metrics
from calibench.errors import DataError, ParameterError
from calibench.lab import evaluation
from calibench.metrics.kernel_strips import SortedExamples
from calibench.metrics.skce import PairStatistics, median_distance
from calibench.predictions import Predictions
from pages import ROOT

NAMES = ["canonical_calibration_error", "squared_kernel_calibration_error"]


def model(n, sharpness, seed=0, k=3):
    """A model that says softmax(sharpness * z) where the truth is softmax(z)."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.standard_normal((n, k))
    labels = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    posterior = Predictions.from_logits(logits, labels).probs
    return Predictions.from_logits(sharpness * logits, labels), posterior


def test_a_zero_is_taken_at_its_word():
    # Row 0 has no other with a 0 in the last place. At it, the kernels of the others
    # are 0, so it adds 0; at theirs, its kernel counts: in the last place 0^0 is 1.
    probs = [[0.5, 0.5, 0.0], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]
    some = Predictions.from_probs(probs, [0, 1, 1])
    # a = p / (1/4) + 1. At row 1, row 0 has 6! (1/2)^2 (1/4)^2 / (2! 2!) = 2.8125 and
    # row 2 has 6! (1/2) (1/4)^2 (1/4) / 2! = 2.8125: shares (.5, .5, 0), and
    # |0| + |.25| + |.25| = .5.
    # At row 2, row 0 has the same 2.8125, row 1 6! (1/4)^2 (1/2) (1/4) / 2! = 2.8125,
    # and |.25| + |0| + |.25| = .5.
    value = metrics.canonical_calibration_error(some, bandwidth=0.25)
    assert value == pytest.approx((0 + 0.5 + 0.5) / 3, abs=1e-14)


def test_examples_that_share_nothing_are_compared_with_nothing():
    some = Predictions.from_probs(np.eye(3), [1, 1, 1])
    assert metrics.canonical_calibration_error(some) == 0
    # For the pairs of the other number, wrong on two of three: residuals (-1, 1, 0),
    # (0, 0, 0) and (0, 1, -1), of which one pair has an inner product, 1, at distance
    # root 2: exp(-2 / (2 * 2)) with the median distance, also root 2.
    value = metrics.squared_kernel_calibration_error(some)
    assert value == pytest.approx(np.exp(-0.5) / 3, rel=1e-14)


def test_saturated_logits_keep_their_kernel():
    # Probabilities underflow to 0, their logarithms do not.
    logits = np.array([[0.0, -800.0], [0.0, -801.0], [0.0, -802.0]])
    some = Predictions.from_logits(logits, [0, 0, 1])
    # All kernels are alike: the shares of others are (.5, .5), (.5, .5), (1, 0).
    value = metrics.canonical_calibration_error(some, bandwidth=0.01)
    assert value == pytest.approx((1 + 1 + 0) / 3, rel=1e-12)


def test_one_example():
    some = Predictions.from_probs([[0.5, 0.5]], [0])
    assert metrics.canonical_calibration_error(some) == 0
    assert metrics.squared_kernel_calibration_error(some) == 0
    found = metrics.canonical_measurements(some, replicates=3)
    assert found[NAMES[1]].interval is None


def test_the_kernel_error_of_equal_rows_is_that_of_their_labels():
    # k = 1 for all pairs: two wrong pairs of residuals (-1, 1) with inner product 2.
    some = Predictions.from_probs([[1.0, 0.0]] * 3, [1, 1, 0])
    assert metrics.squared_kernel_calibration_error(some) == pytest.approx(2 / 3)


def test_the_median_distance():
    some = Predictions.from_probs([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], [0, 0, 0])
    assert median_distance(SortedExamples(some)) == pytest.approx(np.sqrt(0.5))
    # Three of six pairs or more are equal: the mean of the others counts.
    some = Predictions.from_probs([[1.0, 0.0]] * 4 + [[0.0, 1.0]], [0] * 5)
    assert median_distance(SortedExamples(some)) == pytest.approx(0.4 * np.sqrt(2))
    some = Predictions.from_probs([[1.0, 0.0]] * 4, [0] * 4)
    assert median_distance(SortedExamples(some)) == 1


def test_a_calibrated_model_is_at_its_floor():
    some, _ = model(800, 1.0)
    found = metrics.canonical_measurements(some, replicates=60)
    for each in found.values():
        assert each.floor.p_value > 0.02
        assert each.value < each.floor.p95 * 1.2
    error, square = (found[name] for name in NAMES)
    assert error.floor.mean == pytest.approx(error.value, rel=0.2)
    assert square.interval[0] < 0 < square.interval[1]


def test_a_sharpened_model_is_found_and_its_error_recovered():
    some, posterior = model(3000, 2.0)
    found = metrics.canonical_measurements(some, replicates=20)
    error, square = (found[name] for name in NAMES)
    assert error.floor.p_value == square.floor.p_value == 1 / 21
    # The posterior is a function of the probabilities, so the truth is the distance.
    truth = metrics.true_canonical_l1(some, posterior)
    wide = metrics.canonical_calibration_error(some, bandwidth=0.01)
    assert 0.8 * truth < wide < 1.1 * truth
    # The likeliest bandwidth is narrow: noise lifts the estimate, but not by the floor.
    assert truth < error.value < truth + error.floor.mean
    assert square.interval[0] > 0
    assert square.interval[0] < expected_square(some, posterior) < square.interval[1]


def expected_square(some, posterior):
    """The kernel error with the posterior in place of labels, by its definition."""
    width = median_distance(SortedExamples(some))
    probs, gap = some.probs, posterior - some.probs
    square = ((probs[:, None] - probs) ** 2).sum(axis=2)
    terms = np.exp(-square / (2 * width**2)) * (gap @ gap.T)
    np.fill_diagonal(terms, 0)
    return terms.sum() / (len(probs) * (len(probs) - 1))


def test_the_kernel_error_has_no_bias():
    values = []
    for seed in range(150):
        some, posterior = model(60, 1.5, seed)
        width = 0.5
        values.append(metrics.squared_kernel_calibration_error(some, bandwidth=width))
        gap = posterior - some.probs
        square = ((some.probs[:, None] - some.probs) ** 2).sum(axis=2)
        terms = np.exp(-square / (2 * width**2)) * (gap @ gap.T)
        np.fill_diagonal(terms, 0)
        values[-1] -= terms.sum() / (60 * 59)
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert error < 0.002


@pytest.mark.parametrize(("sharpness", "slack"), [(1.0, 0.7), (2.0, 0.2)])
def test_the_interval_covers_in_both_regimes(sharpness, slack):
    found = [
        PairStatistics.of(SortedExamples(model(150, sharpness, seed)[0]), 0.5)
        for seed in range(150)
    ]
    values = np.array([each.value for each in found])
    low, high = np.array([each.interval(0.95) for each in found]).T
    # The truth, but for a twelfth of the spread.
    mean = values.mean()
    assert 0.91 <= ((low <= mean) & (mean <= high)).mean() <= 0.99
    # Near calibration the upper end allows for the variance of what it reaches.
    assert (high - low).mean() / 2 / 1.96 == pytest.approx(values.std(), rel=slack)


@pytest.mark.parametrize("num_classes", [10, 1000])
def test_memory_stays_bounded(num_classes):
    n = 1200
    some, _ = model(n, 1.0, k=num_classes)
    # The predictions' own view, made before.
    assert some.probs.shape == (n, num_classes)
    tracemalloc.start()
    metrics.canonical_measurements(some, replicates=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (NAMES[0], {"norm": "l3"}, "unknown norm 'l3'"),
        (NAMES[0], {"bandwidth": 0.0}, "bandwidth must be at least 1e-06, got 0.0"),
        (NAMES[0], {"bandwidth": float("nan")}, "bandwidth must be at least"),
        (NAMES[1], {"bandwidth": -1.0}, "bandwidth must be positive, got -1.0"),
        (NAMES[1], {"bandwidth": float("inf")}, "bandwidth must be positive"),
    ],
)
def test_impossible_options(name, options, message):
    with pytest.raises(ParameterError, match=message):
        getattr(metrics, name)(model(5, 1.0)[0], **options)


def test_evaluate_adds_both_and_changes_nothing_else():
    some, _ = model(60, 1.0)
    plain = metrics.evaluate(some, replicates=150)
    found = metrics.evaluate(some, replicates=150, canonical=True)
    assert list(found.measurements) == [*plain.measurements, *NAMES]
    assert found.verdict == plain.verdict
    both = metrics.canonical_measurements(some)
    for name in NAMES:
        assert found.measurements[name] == both[name]
        assert both[name].value == getattr(metrics, name)(some)
        assert both[name].floor.replicates == 100
    assert both[NAMES[0]].interval is None
    assert both[NAMES[0]].definition.interval.startswith("none: the kernel smooths")
    weighted = Predictions.from_logits(some.logits, some.labels, weights=[2] * 60)
    with pytest.raises(DataError, match="takes no weights"):
        metrics.evaluate(weighted, replicates=3, canonical=True)


def test_the_command(tmp_path, capsys, monkeypatch):
    some, _ = model(40, 1.0)
    path = tmp_path / "a.npz"
    np.savez(path, logits=some.logits, labels=some.labels)
    cli.app(["evaluate", str(path), "--canonical", "--json"], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)["metrics"]
    for name, each in metrics.canonical_measurements(some).items():
        assert printed[name] == each.to_dict()
    with pytest.raises(ParameterError, match="--canonical and --against"):
        cli.app(
            ["evaluate", str(path), "--canonical", "--against", "b.npz"],
            standalone_mode=False,
        )
    monkeypatch.setattr(evaluation, "_MOST_ROWS", 10)
    with pytest.raises(DataError, match="10 examples and"):
        cli.app(["evaluate", str(path), "--canonical"], standalone_mode=False)


def test_the_script_behind_the_printed_coverage_runs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module("canonical_coverage")
    monkeypatch.setattr(script, "POPULATION", 1000)
    population = script.Population(1.6)
    held = population.held(120, np.random.default_rng(0))
    assert NAMES[1] in held
    alone = population.held(120, np.random.default_rng(0), "kernel")
    assert alone == {NAMES[1]: held[NAMES[1]]}
    against = population.held(120, np.random.default_rng(0), "truth")
    assert {NAMES[1]: held[NAMES[1]]} | against == held
    # A posterior, few judges and many, of nine numbers each.
    assert len(held) == 1 + 3 * 9
    # Over pairs of different examples, as the slow definition has it.
    probs, gap = population.some.probs, population.posterior - population.some.probs
    square = ((probs[:, None] - probs) ** 2).sum(axis=2)
    terms = np.exp(-square / (2 * script.BANDWIDTH**2)) * (gap @ gap.T)
    np.fill_diagonal(terms, 0)
    expected = terms.sum() / (1000 * 999)
    assert population.kernel_truth == pytest.approx(expected, rel=1e-9)
