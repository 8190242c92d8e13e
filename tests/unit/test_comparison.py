"""Two sets of predictions compared: exact cases, false alarms, power, refusals."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from calibench import metrics
from calibench.errors import DataError, ParameterError
from calibench.lab.data.prediction_files import read_predictions
from calibench.metrics import paired, refinement_difference
from calibench.metrics.paired_shares import of_shares
from calibench.posthoc import Temperature
from calibench.predictions import Predictions
from shape_checks import without_shape_checks

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "predictions"
NAMES = ["accuracy", "nll", "brier", "top_label_ece", "debiased_l2"]
REFINED = ["nll_refinement", "brier_refinement"]


def drawn(num_examples, *sharpness, seed=0, seen=None):
    """Sets that see halves of what decides the label, sharpened after that."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(0, 1.5, (2, num_examples))
    labels = (rng.random(num_examples) < expit(parts.sum(axis=0))).astype(int)
    unseen = rng.normal(0, 1.5, (100, 1))
    sets = []
    for part, factor in zip(seen or itertools.count(), sharpness, strict=False):
        chance = expit(parts[part] + unseen).mean(axis=0)
        chance = expit(factor * np.log(chance / (1 - chance)))
        sets.append(Predictions.from_probs(np.stack([1 - chance, chance], 1), labels))
    return sets


def expit(x):
    return 1 / (1 + np.exp(-x))


def rows(some, chosen):
    return Predictions(some.labels[chosen], some.kind, some.values[chosen])


def test_identical_sets_do_not_differ():
    (some,) = drawn(200, 1.3)
    found = metrics.compare(some, some)
    assert list(found.differences) == NAMES + REFINED
    for each in found.differences.values():
        assert each.value == 0.0
        assert each.p_value == 1.0
        assert each.interval[0] <= 0 <= each.interval[1]
        assert each.first == each.second
    assert found.verdict.startswith("None of accuracy, NLL, Brier score tells")
    assert "not told apart" in found.verdict


def test_exchanging_the_sets_exchanges_the_signs():
    first, second = drawn(300, 1.0, 2.0)
    there, back = metrics.compare(first, second), metrics.compare(second, first)
    for name in NAMES:
        one, other = there.differences[name], back.differences[name]
        assert (one.first, one.second) == (other.second, other.first)
        assert one.value == -other.value != 0
        assert one.p_value == other.p_value
        low, high = other.interval
        assert one.interval == pytest.approx((-high, -low), abs=1e-15)
        assert one.interval[0] <= one.value <= one.interval[1]


def test_the_order_of_examples_does_not_matter():
    first, second = drawn(200, 1.0, 1.5)
    order = np.random.default_rng(1).permutation(200)
    found = metrics.compare(rows(first, order), rows(second, order))
    expected = metrics.compare(first, second)
    for name in NAMES:
        one, other = found.differences[name], expected.differences[name]
        assert one.value == pytest.approx(other.value, abs=1e-15)
        assert one.p_value == pytest.approx(other.p_value, rel=1e-9)
        assert one.interval == pytest.approx(other.interval, abs=1e-12)


def test_each_number_is_that_of_the_panel_and_carries_its_definition():
    first, second = drawn(100, 1.0, 2.0)
    found = metrics.compare(first, second, num_bins=7).differences
    for name in NAMES:
        each, options = found[name], {"num_bins": 7} if name in NAMES[3:] else {}
        assert each.first == getattr(metrics, name)(first, **options)
        assert each.second == getattr(metrics, name)(second, **options)
    assert found["top_label_ece"].definition.num_bins == 7
    assert "bootstrap-t, paired; 2000 rep" in found["nll"].definition.interval
    assert "McNemar" in found["accuracy"].definition.interval


@pytest.mark.parametrize(("gained", "lost"), [(4, 0), (0, 1), (7, 3), (5, 5), (90, 60)])
def test_mcnemar_is_the_binomial_test(gained, lost):
    expected = binomtest(gained, gained + lost).pvalue
    found = of_shares(gained, lost, 400)
    assert found.p_value == pytest.approx(expected, rel=1e-10)


def test_the_interval_of_accuracy():
    # At each end, the data are z of the standard errors that are most likely there.
    low, high = of_shares(9, 2, 50).interval
    for end in (low, high):
        grid = np.linspace(1e-9, 0.5, 200_001)
        share_lost, share_gained = grid, grid + end
        inside = (share_gained > 0) & (share_gained + share_lost < 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            likelihood = (
                9 * np.log(share_gained)
                + 2 * np.log(share_lost)
                + 39 * np.log(1 - share_gained - share_lost)
            )
        best = grid[np.nanargmax(np.where(inside, likelihood, -np.inf))]
        error = math.sqrt((2 * best + end - end**2) / 50)
        assert abs(0.14 - end) / error == pytest.approx(1.96, abs=1e-3)


def test_without_discordant_examples_accuracy_is_still_uncertain():
    # z^2 / (n + z^2) with z = 1.96 and n = 96.
    low, high = of_shares(0, 0, 96).interval
    assert (low, high) == pytest.approx((-0.03847, 0.03847), abs=1e-5)


def test_the_bootstrap_agrees_with_student_on_normal_terms():
    terms = np.random.default_rng(0).normal(0.2, 1, 100)
    found = paired.of_mean(terms, replicates=20_000)
    error = terms.std(ddof=1) / 10
    assert np.diff(found.interval)[0] / 2 / error == pytest.approx(1.98, abs=0.06)
    expected = 2 * norm.sf(terms.mean() / error)
    assert found.p_value == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("shift", np.linspace(0.15, 0.25, 9))
def test_the_bootstrap_interval_and_p_value_agree(shift):
    terms = np.random.default_rng(3).exponential(1, 80) - 1 + shift
    found = paired.of_mean(terms, replicates=399)
    assert (found.interval[0] > 0) == (found.p_value <= 0.05)


def test_the_least_p_value_of_the_bootstrap():
    terms = np.random.default_rng(0).normal(9, 1, 50)
    assert paired.of_mean(terms, replicates=99).p_value == 0.01


def test_very_many_examples_take_the_normal_limit(monkeypatch):
    terms = np.random.default_rng(0).normal(0, 1, 400)
    expected = paired.of_mean(terms)
    monkeypatch.setattr(paired, "MOST_DRAWS", 10)
    found = paired.of_mean(terms)
    assert found != expected
    assert found.interval == pytest.approx(expected.interval, abs=0.01)
    assert found.p_value == pytest.approx(expected.p_value, abs=0.05)


def test_the_jackknife_leaves_examples_out_one_by_one():
    (some,) = drawn(40, 1.5)
    everything = np.arange(40)
    expected = [
        metrics.debiased_l2(rows(some, everything != i), num_bins=6) for i in everything
    ]
    assert paired._left_out(some, 6) == pytest.approx(expected, abs=1e-14)


def test_the_jackknife_knows_the_spread_of_the_difference():
    values, errors = [], []
    for seed in range(150):
        pair = drawn(500, 1.5, 3.0, seed=seed, seen=(0, 0))
        found = paired.of_squared_size(*pair)
        values.append(sum(found.interval) / 2)
        errors.append(np.diff(found.interval)[0] / 2 / 1.96)
    # The spread of 150 values is known to 6 %.
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.2)


def false_alarms(sharpness, seen=(0, 1), trials=120):
    count = dict.fromkeys(NAMES + REFINED, 0)
    for seed in range(trials):
        pair = drawn(300, *sharpness, seed=seed, seen=seen)
        with without_shape_checks():
            found = metrics.compare(*pair, replicates=199)
        for name, each in found.differences.items():
            count[name] += each.p_value <= 0.05
    return count


@pytest.mark.parametrize("sharpness", [(1.0, 1.0), (2.0, 2.0)], ids=["good", "bad"])
def test_sets_that_are_alike_seldom_raise_an_alarm(sharpness):
    # 5 % of 120 is 6; more than 13 has a chance of 0.3 %.
    assert max(false_alarms(sharpness).values()) <= 13


def test_calibrated_sets_of_unequal_accuracy_are_alike_in_calibration():
    # One knows all that decides the label, one nothing of most of it: ECE differs by
    # its bias, and no test of calibration may take that for a difference.
    rng = np.random.default_rng(0)
    alarms = {"top_label_ece": 0, "debiased_l2": 0}
    for _ in range(60):
        chance = rng.uniform(0.4, 0.6, 400)
        sure = rng.random(400) < chance
        chances = [chance, np.where(sure, 0.999, 0.001)]
        labels = (rng.random(400) < chances[1]).astype(int)
        pair = [
            Predictions.from_probs(np.stack([1 - c, c], 1), labels) for c in chances
        ]
        sizes = [metrics.top_label_ece(each, num_bins=50) for each in pair]
        assert sizes[1] < sizes[0]
        alarms["top_label_ece"] += paired.of_size(*pair, num_bins=50).p_value <= 0.05
        square = paired.of_squared_size(*pair, num_bins=50)
        alarms["debiased_l2"] += square.p_value <= 0.05
    assert max(alarms.values()) <= 8


def test_clear_differences_are_found():
    found = metrics.compare(*drawn(2000, 1.0, 3.0, seen=(0, 0)))
    for name in NAMES[1:]:
        assert found.differences[name].value > 0
        assert found.differences[name].p_value < 0.001
    # Sharpening keeps the arg max.
    assert found.differences["accuracy"].value == 0
    first, second = found.verdict.split(". ", 1)
    assert first.startswith("The first predicts better by NLL 0.")
    assert "accuracy" not in first
    assert second.startswith("The first is better calibrated (debiased root mean squ")


def test_what_a_temperature_makes_up_for_is_no_difference_of_refinement():
    first, _ = drawn(400, 1.0, 1.0, seen=(0, 0))
    found = metrics.compare(first, Temperature(0.3).apply(first))
    assert found.differences["nll"].p_value < 0.001
    for name in REFINED:
        each = found.differences[name]
        assert (each.value, each.interval, each.p_value) == (0, (0, 0), 1)
    nll = f"{found.differences['nll_refinement'].first:.3f}"
    assert found.verdict.endswith(f"their NLL is not told apart ({nll} and {nll}).")


def test_a_model_that_knows_more_refines_more():
    first, second = drawn(600, 1.0, 1.0, seen=(0, 0))
    told = second.probs + 0.5 * np.eye(2)[second.labels]
    second = Predictions.from_probs(told / told.sum(axis=1)[:, None], second.labels)
    there, back = metrics.compare(first, second), metrics.compare(second, first)
    for name in REFINED:
        one, other = there.differences[name], back.differences[name]
        assert one.value == -other.value < 0
        assert one.p_value == other.p_value < 1e-6
        assert one.interval == (-other.interval[1], -other.interval[0])
        # Dealt jointly, so close to what is found alone and no more.
        assert one.first == pytest.approx(getattr(metrics, name)(first), rel=0.01)
    assert "the second has the lower NLL" in there.verdict
    assert "the first has the lower NLL" in back.verdict


def test_refinement_is_left_out_with_a_reason(monkeypatch):
    first, second = drawn(40, 1.0, 2.0)
    perfect = Predictions.from_logits(np.eye(2)[first.labels], first.labels)
    found = metrics.compare(first, perfect).differences["nll_refinement"]
    assert (found.value, found.interval, found.p_value) == (None, None, None)
    assert "every label has the largest" in found.definition.interval
    monkeypatch.setattr(refinement_difference, "MOST_NUMBERS", 79)
    found = metrics.compare(first, second)
    assert found.differences["nll_refinement"].value is None
    assert "above 79 numbers" in found.differences["nll_refinement"].definition.interval
    json.dumps(found.to_dict(), allow_nan=False)


def test_two_real_models():
    paths = [FOLDER / f"cifar10_{n}_netcal.npz" for n in ("lenet5", "wrn16-4")]
    if not all(path.exists() for path in paths):
        pytest.skip("the predictions are not beside this checkout")
    found = metrics.compare(*map(read_predictions, paths))
    values = [round(found.differences[name].value, 6) for name in NAMES[:4]]
    assert values == [0.3801, -0.991698, -0.470281, -0.054172]
    assert all(each.p_value < 0.001 for each in found.differences.values())
    assert found.verdict == (
        "The second predicts better by accuracy 91.09 % against 53.08 %, NLL 0.378 "
        "against 1.370 and Brier score 0.144 against 0.614. The second is better "
        "calibrated (debiased root mean square error 7.33 % against 11.21 %; ECE "
        "5.37 % against 10.79 %). With a temperature for each, the second has the "
        "lower NLL (0.275 against 1.312)."
    )


def test_all_pairs_are_adjusted_by_holm():
    sets = dict(zip("abc", drawn(400, 1.0, 1.3, 3.0, seen=(0, 0, 0)), strict=True))
    options = {"num_bins": 7, "replicates": 199, "seed": 3, "level": 0.9}
    found = metrics.compare_all(sets, **options)
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    alone = [metrics.compare(sets[a], sets[b], **options) for a, b in found]
    for name in NAMES:
        raw = [comparison.differences[name] for comparison in alone]
        each = [comparison.differences[name] for comparison in found.values()]
        assert [(d.first, d.interval, d.p_value) for d in each] == [
            (d.first, d.interval, d.p_value) for d in raw
        ]
        ascending = sorted(d.p_value for d in each)
        # Three times the least, twice the next and at least that, and so on.
        least = min(1, 3 * ascending[0])
        middle = min(1, max(least, 2 * ascending[1]))
        adjusted = [least, middle, max(middle, ascending[2])]
        assert sorted(d.p_adjusted for d in each) == pytest.approx(adjusted)


def test_the_verdicts_on_all_pairs_go_by_the_adjusted_p_values():
    (some, other), level = drawn(400, 1.0, 0.7, seen=(0, 0)), 0.95
    alone = metrics.compare(some, other).differences["nll"]
    sets = {f"copy {k}": some for k in range(6)} | {"other": other}
    found = metrics.compare_all(sets, level=level)["copy 0", "other"]
    assert found.differences["nll"].p_adjusted > alone.p_value
    assert alone.p_value <= 0.05 < found.differences["nll"].p_adjusted
    assert alone.is_clear(level)
    assert not found.differences["nll"].is_clear(level)
    assert "NLL 0" not in found.verdict


def test_a_label_of_probability_zero_leaves_the_nll_untested():
    (some,) = drawn(40, 1.0)
    probs = some.probs.copy()
    probs[0] = np.eye(2)[1 - some.labels[0]]
    other = Predictions.from_probs(probs, some.labels)
    found = metrics.compare(some, other)
    each = found.differences["nll"]
    assert (each.value, each.interval, each.p_value) == (math.inf, None, None)
    assert each.definition.interval == "none: a label was given probability 0"
    assert metrics.compare(other, other).differences["nll"].value is None
    # One example differs, which more than 5 % of the replicates leave out.
    brier = found.differences["brier"]
    assert brier.interval is None
    assert brier.p_value > 0.3
    assert brier.definition.interval.endswith("no interval: too few examples differ")
    json.dumps(found.to_dict(), allow_nan=False)
    both = metrics.compare_all({"a": some, "b": other, "c": some})
    assert both["a", "b"].differences["nll"].p_adjusted is None
    assert both["a", "c"].differences["nll"].p_adjusted == 1.0


def test_few_examples_get_no_interval_but_for_accuracy():
    first, second = drawn(29, 1.0, 2.0)
    found = metrics.compare(first, second).differences
    assert [name for name in NAMES if found[name].p_value is not None] == ["accuracy"]
    assert found["brier"].definition.interval == "none: fewer than 30 examples"


def test_other_examples_are_refused():
    (some,) = drawn(40, 1.0)
    labels = some.labels.copy()
    labels[[7, 9]] = 1 - labels[[7, 9]]
    other = Predictions.from_probs(some.probs, labels)
    with pytest.raises(DataError, match=r"at row 7: label .* \(2 of 40 rows differ\)"):
        metrics.compare(some, other)
    with pytest.raises(DataError, match=r"40 examples, the second 39\. Compare"):
        metrics.compare(some, rows(some, slice(1, None)))
    wide = Predictions.from_probs(np.full((40, 4), 0.25), some.labels)
    with pytest.raises(DataError, match="2 classes, the second 4"):
        metrics.compare(some, wide)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "between 0 and 1"),
        ({"replicates": 18}, "take at least 19"),
        ({"replicates": 0}, "replicates"),
        ({"num_bins": 0}, "num_bins"),
    ],
)
def test_bad_options_are_refused(options, message):
    (some,) = drawn(40, 1.0)
    with pytest.raises(ParameterError, match=message):
        metrics.compare(some, some, **options)


def test_nineteen_replicates_do_for_95_percent():
    (some,) = drawn(40, 1.0)
    assert metrics.compare(some, some, replicates=19).level == 0.95


def test_one_set_is_nothing_to_compare():
    (some,) = drawn(40, 1.0)
    with pytest.raises(ParameterError, match="at least two sets"):
        metrics.compare_all({"a": some})
