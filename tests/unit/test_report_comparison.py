import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench.lab.report.comparison import compared
from calibench.lab.report.judged import judged
from calibench.lab.report.results import ECE, ECE_SCALED, NLL, TRUE_ERROR, read_results
from calibench.metrics import top_label_ece
from calibench.metrics.paired import ece_terms, holm
from calibench.predictions import Predictions
from report_store import Course, write_store


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("comparison") / "store"
    courses = {
        ("resnet18", "focal-gamma3", 0): Course(sharpness=(1.0, 0.3)),
        ("resnet18", "focal-gamma3", 1): Course(sharpness=(1.0, 0.35)),
    }
    write_store(path, courses, models=("resnet18",), seeds=(0, 1))
    return read_results(path)


@pytest.fixture(scope="module")
def last(results):
    return [judged(run, 2) for run in results.runs]


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_the_mean_of_the_terms_is_ece(seed, num_examples):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (num_examples, 3))
    some = Predictions.from_logits(logits, generator.integers(0, 3, num_examples))
    assert ece_terms(some).mean() == pytest.approx(top_label_ece(some), abs=1e-12)


@pytest.mark.parametrize("quantity", [ECE, ECE_SCALED, NLL, TRUE_ERROR])
def test_contributions_average_to_the_stored_number(last, quantity):
    for each in last:
        stored = each.run.value(2, quantity)
        assert each.contributions()[quantity].mean() == pytest.approx(stored, abs=1e-9)


def test_a_difference_is_paired_by_seed_and_example(last):
    (comparison,) = compared(last, ECE)
    terms = {(e.run.loss, e.run.seed): e.contributions()[ECE] for e in last}
    by_seed = [terms["focal-gamma3", s] - terms["cross_entropy", s] for s in (0, 1)]
    by_example = (by_seed[0] + by_seed[1]) / 2
    error = by_example.std(ddof=1) / math.sqrt(400)
    assert (comparison.first, comparison.second) == ("cross_entropy", "focal-gamma3")
    assert comparison.seeds == (0, 1)
    assert comparison.difference == pytest.approx(by_example.mean(), rel=1e-12)
    assert comparison.standard_error == pytest.approx(error, rel=1e-12)
    assert comparison.signs_agree
    assert comparison.is_told_apart


@dataclass(frozen=True)
class FakeRun:
    model: str
    loss: str
    seed: int


@dataclass(frozen=True)
class FakeJudged:
    run: FakeRun
    terms: np.ndarray

    def contributions(self):
        return {NLL: self.terms}


def fake(model, loss, seed, *terms):
    return FakeJudged(FakeRun(model, loss, seed), np.array(terms))


def compare(*each, quantity=NLL):
    # Beyond the reach of the type checks: these are stand-ins.
    return compared.__wrapped__(list(each), quantity)


def test_the_p_value_by_hand():
    # Differences 0, 2: mean 1, standard deviation sqrt(2), standard error 1.
    (found,) = compare(fake("m", "a", 0, 1.0, 1.0), fake("m", "b", 0, 1.0, 3.0))
    assert found.difference == 1.0
    assert found.standard_error == pytest.approx(1.0)
    assert found.p_value == pytest.approx(math.erfc(1 / math.sqrt(2)))


def test_models_are_not_mixed_and_only_common_seeds_count():
    found = compare(
        fake("m", "a", 0, 1.0, 2.0),
        fake("m", "a", 1, 1.0, 2.0),
        fake("m", "b", 1, 3.0, 3.0),
        fake("n", "b", 0, 3.0, 3.0),
    )
    assert [(c.model, c.first, c.second, c.seeds) for c in found] == [
        ("m", "a", "b", (1,))
    ]


def test_without_a_common_seed_there_is_no_comparison():
    assert not compare(fake("m", "a", 0, 1.0, 2.0), fake("m", "b", 1, 1.0, 2.0))


def test_seeds_that_disagree_in_sign_tell_nothing_apart():
    found = compare(
        fake("m", "a", 0, 0.0, 0.0, 0.0),
        fake("m", "b", 0, 9.0, 9.0, 9.1),
        fake("m", "a", 1, 0.0, 0.0, 0.0),
        fake("m", "b", 1, -1.0, -1.0, -1.1),
    )
    assert found[0].p_value < 0.001
    assert not found[0].signs_agree
    assert not found[0].is_told_apart


def test_one_example_tells_nothing_apart():
    (found,) = compare(fake("m", "a", 0, 1.0), fake("m", "b", 0, 9.0))
    assert found.p_value == 1.0


def test_equal_losses_are_not_told_apart():
    (found,) = compare(fake("m", "a", 0, 1.0, 1.0), fake("m", "b", 0, 1.0, 1.0))
    assert found.p_value == 1.0


def test_two_calibrated_models_are_seldom_told_apart():
    # Each sees half of what decides the label, and is calibrated for what it sees.
    generator = np.random.default_rng(5)
    others = generator.normal(0, 1.5, (200, 1))
    false_alarms = 0
    for _ in range(60):
        half, rest = generator.normal(0, 1.5, (2, 400))
        labels = (generator.random(400) > 1 / (1 + np.exp(-(half + rest)))).astype(int)
        terms = []
        for seen in (half, rest):
            chance = (1 / (1 + np.exp(-(seen + others)))).mean(axis=0)
            probs = np.stack([chance, 1 - chance], axis=1)
            terms.append(ece_terms(Predictions.from_probs(probs, labels)))
        (found,) = compare(fake("m", "a", 0, *terms[0]), fake("m", "b", 0, *terms[1]))
        false_alarms += found.is_told_apart
    assert false_alarms <= 3


def test_holm_by_hand():
    # Sorted .01 .02 .04: times 3, 2, 1 gives .03 .04 .04, in the order given.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
