"""Refinement and calibration: the reference, laws, intervals, refusals."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from calibench import metrics
from calibench.errors import DataError, FitError, ParameterError
from calibench.metrics import unbinned
from calibench.metrics.cross_fitting import Recalibrated, deal, jackknife_error
from calibench.metrics.decomposition import decomposition_of
from calibench.metrics.students_t import student
from calibench.predictions import Predictions
from reference import decomposition as reference
from shape_checks import without_shape_checks

PARTS = ["nll_refinement", "nll_calibration", "brier_refinement", "brier_calibration"]
TERMS = {"nll": reference.nll_terms, "brier": reference.brier_terms}


def drawn(n, sharpness=1.0, num_classes=4, seed=0):
    """Labels drawn from softmax(z), predictions softmax(sharpness * z)."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((n, num_classes))
    labels = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    return Predictions.from_logits(sharpness * logits, labels)


def parts(some, **options):
    return [getattr(metrics, name)(some, **options) for name in PARTS]


@pytest.mark.parametrize("score", TERMS)
def test_it_is_the_reference(score):
    some = drawn(150, 1.7)
    order, folds = deal((some,), 7, seed=3)
    logits, labels = some.logits[order], some.labels[order]
    refined = reference.refined_terms(logits, labels, folds, TERMS[score]).mean()
    found = metrics.decompose(some, score=score, num_folds=7, seed=3)
    assert found.refinement == pytest.approx(refined, abs=1e-8)
    assert found.score == getattr(metrics, score)(some)
    assert found.calibration == found.score - found.refinement
    assert (found.num_folds, found.recalibrator) == (7, "temperature")
    assert "temperature fitted on the other folds of 7" in found.definition.quantity


@pytest.mark.parametrize(
    "options", [{}, {"recalibrator": "vector_scaling", "num_folds": 5}]
)
def test_each_function_is_a_part_of_the_decomposition(options):
    some = drawn(100, 2.0)
    nll = metrics.decompose(some, **options)
    brier = metrics.decompose(some, score="brier", **options)
    assert parts(some, **options) == [
        nll.refinement,
        nll.calibration,
        brier.refinement,
        brier.calibration,
    ]


def test_the_panel_has_the_parts_by_temperature():
    some = drawn(100, 2.0)
    nll = metrics.decompose(some)
    brier = metrics.decompose(some, score="brier")
    panel = metrics.evaluate(some, replicates=9).measurements
    assert parts(some) == [panel[name].value for name in PARTS]
    assert panel["nll_calibration"].interval == nll.interval
    assert panel["brier_refinement"].interval == brier.refinement_interval
    assert panel["nll_calibration"].definition == nll.definition


@pytest.mark.parametrize("recalibrator", ["temperature", "isotonic", "vector_scaling"])
def test_the_order_of_the_examples_changes_no_bit(recalibrator):
    some = drawn(120, 1.5)
    # Ties: whole rows twice, and rows that share their log-odds.
    logits = np.concatenate([some.logits, some.logits[:40], some.logits[:20, ::-1]])
    labels = np.concatenate([some.labels, some.labels[::-1][:40], some.labels[:20]])
    order = np.random.default_rng(1).permutation(len(labels))
    found = [
        metrics.decompose(
            Predictions.from_logits(logits[rows], labels[rows]),
            score="brier",
            recalibrator=recalibrator,
        )
        for rows in (order, order[::-1])
    ]
    assert found[0] == found[1]


def test_relabeling_the_classes_and_the_form_change_rounding_only():
    some = drawn(200, 1.5)
    turn = np.array([2, 0, 3, 1])
    labels = turn.argsort()[some.labels]
    relabeled = Predictions.from_logits(some.logits[:, turn], labels)
    assert parts(relabeled) == pytest.approx(parts(some), abs=1e-12)
    shifted = Predictions.from_logits(some.logits + some.logits[:, :1], some.labels)
    assert parts(shifted) == pytest.approx(parts(some), abs=1e-12)
    as_probs = Predictions.from_probs(some.probs, some.labels)
    assert parts(as_probs) == pytest.approx(parts(some), abs=1e-12)


def test_a_whole_number_weight_is_so_many_copies():
    some, counts = drawn(60, 1.5), np.arange(60) % 4
    weighted = Predictions.from_logits(some.logits, some.labels, weights=counts)
    rows = np.repeat(np.arange(60), counts)
    copied = Predictions.from_logits(some.logits[rows], some.labels[rows])
    assert metrics.decompose(weighted) == metrics.decompose(copied)
    half = Predictions.from_logits(some.logits, some.labels, weights=counts / 2)
    with pytest.raises(DataError, match="not whole numbers"):
        metrics.decompose(half)
    many = Predictions.from_logits(some.logits, some.labels, weights=counts * 10**6)
    with pytest.raises(DataError, match="90,000,000 examples of 4 classes are too m"):
        metrics.decompose(many)
    panel = metrics.evaluate(many, replicates=1).measurements
    assert "left out above" in panel["nll_refinement"].definition.interval


def test_one_and_two_columns_agree():
    some = drawn(100, 1.5, num_classes=2)
    log_odds = some.logits[:, 1] - some.logits[:, 0]
    one = Predictions.from_logits(log_odds, some.labels)
    assert parts(one) == pytest.approx(parts(some), abs=1e-12)


def test_a_temperature_moves_calibration_and_not_refinement():
    some = drawn(500)
    sharper = Predictions.from_logits(3 * some.logits, some.labels)
    before, after = parts(some), parts(sharper)
    # The same deal: log-odds of many classes change their order, but few of them.
    assert after[0] == pytest.approx(before[0], abs=2e-3)
    assert after[2] == pytest.approx(before[2], abs=2e-3)
    assert after[1] > before[1] + 0.3
    assert after[3] > before[3] + 0.04


def test_a_calibrated_model_has_nothing_to_gain():
    gains = [metrics.nll_calibration(drawn(400, seed=seed)) for seed in range(30)]
    # One parameter fitted: half a chi-squared of 1 less 1, over n, so -1 / (2 n).
    error = math.sqrt(1 / 2) / 400 / math.sqrt(30)
    assert np.mean(gains) == pytest.approx(-0.5 / 400, abs=3 * error)
    assert min(gains) < 0


def test_the_test_split_may_be_diagnosed():
    some = drawn(100, 1.5)
    test = Predictions(some.labels, some.kind, some.values, "test")
    assert metrics.decompose(test) == metrics.decompose(some)


@pytest.mark.parametrize("sharpness", [1.0, 1.15, 1.6])
def test_intervals_cover(sharpness):
    # The best temperature is the sharpness itself, so the population's gain is the
    # mean of the difference; 20,000 examples know it well enough.
    large = drawn(20_000, sharpness, seed=1)
    best = Predictions.from_logits(large.logits / sharpness, large.labels)
    trials, held = 60, dict.fromkeys(PARTS, 0)
    truth = {}
    for score, terms in TERMS.items():
        posterior = best.probs
        each = np.stack(
            [
                terms(large.logits, np.full(20_000, k))
                - terms(best.logits, np.full(20_000, k))
                for k in range(4)
            ],
            axis=1,
        )
        truth[f"{score}_calibration"] = float((posterior * each).sum(axis=1).mean())
        entropy = [terms(best.logits, np.full(20_000, k)) for k in range(4)]
        truth[f"{score}_refinement"] = float(
            (posterior * np.stack(entropy, axis=1)).sum(axis=1).mean()
        )
    for seed in range(trials):
        some = drawn(300, sharpness, seed=100 + seed)
        for score in TERMS:
            with without_shape_checks():
                found = metrics.decompose(some, score=score)
            for part, (low, high) in (
                ("calibration", found.interval),
                ("refinement", found.refinement_interval),
            ):
                name = f"{score}_{part}"
                held[name] += low <= truth[name] <= high
    # 95 % of 60 is 57; 52 or fewer have a chance of 1 %. Without what the interval
    # adds to the paired one, 40 of 60 hold the truth near calibration.
    assert min(held.values()) >= 53, held


def test_few_examples_get_no_interval():
    found = metrics.decompose(drawn(29, 1.5))
    assert (found.interval, found.refinement_interval) == (None, None)
    assert metrics.decompose(drawn(30, 1.5)).interval is not None
    panel = metrics.evaluate(drawn(29, 1.5), replicates=9).measurements
    reason = panel["nll_refinement"].definition.interval
    assert reason == "none: fewer than 30 examples"


def test_what_the_interval_is_made_of():
    rng = np.random.default_rng(0)
    given, held_out = rng.gamma(2, size=50), rng.gamma(2, size=50)
    in_sample, by_fold = held_out - 0.02 * rng.random(50), rng.normal(2, 0.01, 10)
    found = decomposition_of(
        Recalibrated(given, held_out, in_sample, by_fold), "nll", "temperature", 0.95
    )
    z, root = stats.norm.ppf(0.975), math.sqrt(50)
    by_fit = stats.t.ppf(0.975, 9) * math.sqrt(
        9 / 10 * ((by_fold - by_fold.mean()) ** 2).sum()
    )
    gain, most = given - held_out, given - in_sample
    low = gain.mean() - z * gain.std(ddof=1) / root - by_fit
    spread = max(gain.std(ddof=1), most.std(ddof=1)) / root
    high = most.mean() + z * spread + by_fit
    high += z**2 / 2 * (most.mean() - gain.mean())
    assert found.interval == pytest.approx((low, high), abs=1e-4)
    half = z * held_out.std(ddof=1) / root + by_fit
    ends = held_out.mean() - half, held_out.mean() + half
    assert found.refinement_interval == pytest.approx(ends, abs=1e-4)
    # In-sample fits that are no better take nothing away.
    worse = Recalibrated(given, held_out, held_out + 1, by_fold)
    found = decomposition_of(worse, "nll", "temperature", 0.95)
    assert found.interval[1] >= gain.mean() + z * gain.std(ddof=1) / root


@pytest.mark.parametrize("freedom", [4, 9, 19, 400])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_students_quantile(freedom, level):
    expected = stats.t.ppf((1 + level) / 2, freedom)
    assert student(level, freedom) == pytest.approx(expected, rel=3e-3)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=12)
    without = (values.sum() - values) / 11
    error = values.std(ddof=1) / math.sqrt(12)
    assert jackknife_error(without) == pytest.approx(error, rel=1e-12)


def test_folds_are_even_and_shared_by_sets_on_the_same_examples():
    first, second = drawn(103), drawn(103, 2.5, seed=1)
    second = Predictions.from_logits(second.logits, first.labels)
    order, folds = deal((first, second), 10, seed=0)
    assert sorted(order.tolist()) == list(range(103))
    assert sorted(np.bincount(folds).tolist()) == [10] * 7 + [11] * 3
    again = deal((second, first), 10, seed=0)
    assert (again[0].tolist(), again[1].tolist()) == (order.tolist(), folds.tolist())
    assert deal((first, second), 10, seed=1)[1].tolist() != folds.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "brierr"}, "unknown score 'brierr'. Did you mean 'brier'?"),
        ({"recalibrator": "temprature"}, "Did you mean 'temperature'?"),
        ({"num_folds": 4}, "num_folds must be at least 5, got 4"),
        ({"level": 1.0}, "level must be between 0 and 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ParameterError, match=message.replace("?", r"\?")):
        metrics.decompose(drawn(60), **options)


def test_too_few_examples_for_the_folds_are_refused():
    with pytest.raises(FitError, match="10 folds need as many examples, got 9"):
        metrics.nll_refinement(drawn(9))


def test_no_optimum_is_an_error_and_in_the_panel_a_reason():
    logits = np.eye(3)[[0, 1, 2] * 20]
    perfect = Predictions.from_logits(logits, [0, 1, 2] * 20)
    with pytest.raises(FitError, match="every label has the largest"):
        metrics.decompose(perfect)
    # One wrong example: without its fold there is no optimum.
    nearly = Predictions.from_logits(logits, [1, 1, 2] + [0, 1, 2] * 19)
    with pytest.raises(FitError, match=r"without fold \d+, temperature has no finite"):
        metrics.decompose(nearly)
    for some in (perfect, nearly):
        printed = metrics.evaluate(some, replicates=9).to_dict()["metrics"]
        for name in PARTS:
            assert (printed[name]["value"], printed[name]["interval"]) == (None, None)
            assert "every label has" in printed[name]["definition"]["interval"]
        json.dumps(printed, allow_nan=False)


def test_a_label_of_probability_zero_is_named_by_the_row_given():
    probs = np.tile([0.75, 0.25], (40, 1))
    probs[17] = [1.0, 0.0]
    labels = [0, 0, 0, 1] * 10
    labels[17] = 1
    some = Predictions.from_probs(probs, labels)
    with pytest.raises(FitError, match=r"row 17 \(counted from 0\)"):
        metrics.decompose(some, score="brier")
    with pytest.raises(FitError, match=r"matrix_scaling needs logarithms.*row 17"):
        metrics.decompose(some, recalibrator="matrix_scaling")


def test_an_infinite_score_after_recalibration_is_an_error():
    some = drawn(60, 1.0, seed=5)
    with pytest.raises(FitError, match=r"probability 0 \(isotonic\)"):
        metrics.decompose(some, recalibrator="isotonic")
    assert math.isfinite(metrics.brier_refinement(some, recalibrator="isotonic"))


def test_the_panel_leaves_it_out_where_it_would_take_long(monkeypatch):
    monkeypatch.setattr(unbinned, "MOST_NUMBERS", 399)
    found = metrics.evaluate(drawn(100, 1.5), replicates=9).measurements
    for name in PARTS:
        assert math.isnan(found[name].value)
        assert "left out above 399 numbers" in found[name].definition.interval
    assert found["aurc"].interval is not None
