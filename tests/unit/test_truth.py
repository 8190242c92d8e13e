"""What is a truth, what is not, and what an evaluation against it says."""

import json
import math

import numpy as np
import pytest

from calibench import metrics
from calibench.errors import DataError, ParameterError
from calibench.metrics import Truth
from calibench.predictions import Predictions

PAIR = Predictions.from_probs([[0.75, 0.25], [0.25, 0.75]], [0, 1])


def draw(n=2000, sharpness=1.0, judges=20, seed=0):
    """Predictions of sharpened logits, the posterior, and counts drawn from it."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((n, 4))
    labels = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    some = Predictions.from_logits(sharpness * logits, labels)
    posterior = Predictions.from_logits(logits, labels).probs
    counts = rng.multinomial(np.full(n, judges), posterior)
    return some, posterior, counts


def test_soft_label_ece_in_bins_of_either_scheme():
    # Two bins of equal width: all in the upper one, where the gaps cancel. Of equal
    # mass: both in each err alike.
    confidence = np.array([0.6, 0.7, 0.8, 0.9])
    some = Predictions.from_probs(np.stack([confidence, 1 - confidence], 1), [0] * 4)
    share = confidence + np.array([-0.1, -0.1, 0.1, 0.1])
    known = np.stack([share, 1 - share], 1)
    by_width = metrics.soft_label_ece(some, known, num_bins=2)
    assert by_width == pytest.approx(0, abs=1e-15)
    by_mass = metrics.soft_label_ece(some, known, num_bins=2, scheme="equal_mass")
    assert by_mass == pytest.approx(0.1, abs=1e-15)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 1]], r"counts has shape \(1, 2\), the predictions \(2, 2\)"),
        ([[1, 1, 1]] * 2, r"counts has shape \(2, 3\)"),
        ([[1, 1], [0, 1]], "counts: 1.0 in row 1 .* is the sum of a row; 1 of 2 rows"),
        ([[1, 1], [0, 0]], "counts: 0.0 in row 1 .* is the sum of a row"),
        ([[1, 1], [3, -1]], "-1.0 in row 1, column 1 .* is no count"),
        ([[0.5, 0.5], [1, 1]], "0.5 in row 0, column 0 .* declare shares as a post"),
        ([[1, math.nan], [1, 1]], "nan in row 0, column 1"),
        ([[1, math.inf], [1, 1]], "inf in row 0"),
        ([[2**32, 1], [1, 1]], "4294967296.0 in row 0"),
        ([3, 4], r"one column per class, got shape \(2, 1\)"),
        ([], "counts has no rows"),
        ([["a", "b"]] * 2, "counts must hold real numbers"),
    ],
)
def test_what_are_no_counts(counts, message):
    with pytest.raises(DataError, match=message):
        metrics.true_calibration_error(PAIR, Truth.from_counts(counts))


def test_one_column_of_a_posterior_is_that_of_class_1():
    known = Truth.from_posterior([0.25, 0.75])
    assert known.kind == "posterior"
    assert metrics.true_canonical_l1(PAIR, known) == 0


def test_a_probability_of_0_costs_only_where_the_truth_is_not_0():
    sure = Predictions.from_probs([[1.0, 0.0]], [0])
    assert metrics.soft_label_nll(sure, [[1.0, 0.0]]) == 0
    assert metrics.true_kl(sure, [[1.0, 0.0]]) == 0
    assert metrics.soft_label_nll(sure, [[0.5, 0.5]]) == math.inf
    assert metrics.true_kl(sure, [[0.5, 0.5]]) == math.inf


def test_logits_keep_a_divergence_that_probabilities_lose():
    some = Predictions.from_logits([[0.0, -1000.0]], [0])
    # .5 ln .5 twice, plus .5 * 1000.
    expected = 500 - math.log(2)
    assert metrics.true_kl(some, [[0.5, 0.5]]) == pytest.approx(expected, rel=1e-15)


def test_a_model_that_knows_the_posterior_is_at_its_floor():
    some, _, counts = draw()
    found = metrics.evaluate_truth(some, Truth.from_counts(counts)).measurements
    for name in ("true_calibration_error", "true_canonical_l1", "true_kl"):
        measured = found[name]
        assert measured.floor.mean == pytest.approx(measured.value, rel=0.05)
        assert measured.floor.p_value > 0.01
        assert measured.interval[0] == 0
    for name in ("true_squared_calibration_error", "true_canonical_l2_squared"):
        assert abs(found[name].value) < 1e-3
        assert found[name].interval[0] < 0 < found[name].interval[1]
        assert found[name].floor.mean == pytest.approx(0, abs=1e-4)


def test_a_model_that_does_not_is_above_it():
    some, posterior, counts = draw(sharpness=2.0)
    known = metrics.evaluate_truth(some, Truth.from_posterior(posterior)).measurements
    found = metrics.evaluate_truth(some, Truth.from_counts(counts)).measurements
    for name, measured in found.items():
        assert known[name].floor is None
        lo, hi = measured.interval
        assert lo <= known[name].value <= hi, name
        if measured.floor:
            assert measured.floor.p_value == 1 / 201, name
    assert found["true_canonical_l1"].value > known["true_canonical_l1"].value


def test_soft_labels_estimate_the_same_error_with_less_noise():
    hard, soft = [], []
    for seed in range(40):
        some, posterior, _ = draw(n=300, sharpness=1.5, seed=seed)
        soft.append(metrics.soft_label_ece(some, posterior))
        hard.append(metrics.top_label_ece(some))
    # Both are lifted by chance, labels more than examples.
    assert np.mean(soft) < np.mean(hard)
    assert np.std(soft) < np.std(hard)


def test_json_and_definitions():
    some, _, counts = draw(n=50)
    found = metrics.evaluate_truth(some, Truth.from_counts(counts), num_bins=7)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (plain["kind"], plain["n"], plain["fewest_counts"]) == ("counts", 50, 20)
    assert plain["replicates"] == 200
    entry = plain["metrics"]["soft_label_ece"]
    assert entry["value"] == metrics.soft_label_ece(
        some, Truth.from_counts(counts), num_bins=7
    )
    assert entry["definition"]["num_bins"] == 7
    for name, each in plain["metrics"].items():
        assert each["definition"]["debiased"] == ("squared" in name)
        assert each["value"] == getattr(metrics, name)(
            some,
            Truth.from_counts(counts),
            **({"num_bins": 7} if "ece" in name else {}),
        )


def test_too_few_or_infinite_have_no_interval_and_say_so():
    few = metrics.evaluate_truth(PAIR, Truth.from_posterior([[0.5, 0.5]] * 2))
    for each in few.measurements.values():
        assert each.interval is None
        assert each.definition.interval == "none: fewer than 30 examples"
    sure = Predictions.from_probs([[1.0, 0.0]] * 40, [0] * 40)
    found = metrics.evaluate_truth(sure, Truth.from_counts([[5, 1]] * 40), replicates=5)
    entry = found.to_dict()["metrics"]["true_kl"]
    assert (entry["value"], entry["interval"]) == (None, None)
    assert "given probability 0" in entry["definition"]["interval"]
    assert found.measurements["true_kl"].floor.mean == 0


def test_shuffled_rows_are_noticed():
    some, posterior, _ = draw(n=500)
    right = metrics.evaluate_truth(some, Truth.from_posterior(posterior))
    wrong = metrics.evaluate_truth(some, Truth.from_posterior(np.roll(posterior, 1, 0)))
    assert right.label_agreement > 0.6
    assert right.agreement_by_chance < 0.3
    assert not right.may_be_misaligned
    assert wrong.may_be_misaligned
    assert wrong.agreement_by_chance == right.agreement_by_chance


def test_one_class_that_always_agrees_is_not_called_misaligned():
    found = metrics.evaluate_truth(
        Predictions.from_probs([[1.0, 0.0]] * 3, [0] * 3),
        Truth.from_posterior([[1.0, 0.0]] * 3),
    )
    assert (found.label_agreement, found.agreement_by_chance) == (1, 1)
    assert not found.may_be_misaligned


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicates": 0}, "replicates must be at least 1"),
        ({"level": 1.5}, "level must be between 0 and 1"),
        ({"num_bins": 0}, "num_bins must be at least 1"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ParameterError, match=message):
        metrics.evaluate_truth(PAIR, Truth.from_counts([[1, 1]] * 2), **options)
