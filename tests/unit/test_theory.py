"""Both theorems: values against 400 digits, the promises, and what would break them."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from calibench import losses, theory
from calibench.errors import ParameterError
from calibench.theory.check import predictions_to_try
from reference import theory as reference

EXAMPLES = [
    [0.0, 0.0, 0.0],
    [1.0, 1.0, 0.0],
    [3.0, -1.0, 0.5],
    [30.0, 0.0, 0.0],
    [0.0, 1e-6, 0.0],
    [-600.0, 0.0, -600.0],
    [1e4, 1e4 - 2, 1e4 - 2],
]
LOGITS = np.array(EXAMPLES)
some_logits = arrays.arrays(
    np.float64,
    st.tuples(st.just(1), st.integers(2, 6)),
    elements=st.floats(-300, 300, allow_subnormal=False),
)
scales = st.floats(0, 20)


@pytest.mark.parametrize("scale", [0, 0.5, 1, 3])
@pytest.mark.parametrize(
    "name", ["log_top_probability", "log_top_shortfall", "entropy"]
)
def test_values_are_the_definitions(name, scale):
    expected = [getattr(reference, name)(row, scale) for row in EXAMPLES]
    found = getattr(theory, name)(LOGITS, float(scale))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1, 3, 7.5])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_focal_links_are_the_definitions(label, gamma):
    bound = theory.focal_bound(LOGITS, np.full(len(LOGITS), label), float(gamma))
    found = np.stack([bound.saving, bound.product, bound.binary, bound.total], axis=1)
    expected = [reference.focal_links(row, label, gamma) for row in EXAMPLES]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)
    margins = [reference.focal_margin(row, label, gamma) for row in EXAMPLES]
    np.testing.assert_allclose(bound.margin, margins, rtol=1e-9, atol=0)


def test_by_hand():
    # Two logits ln 3 apart: p = (3/4, 1/4); three times the scale: (27/28, 1/28).
    logits = np.array([[math.log(3), 0.0]])
    assert theory.log_top_probability(logits, 1.0) == pytest.approx(math.log(3 / 4))
    assert theory.log_top_probability(logits, 3.0) == pytest.approx(math.log(27 / 28))
    assert theory.log_top_shortfall(logits, 3.0) == pytest.approx(math.log(28 / 27))
    # max z - E z = ln 3 (1 - 3/4); Var z = (ln 3)^2 3/16.
    assert theory.log_top_slope(logits, 1.0) == pytest.approx(math.log(3) / 4)
    variance = math.log(3) ** 2 * 3 / 16
    assert theory.entropy_slope(logits, 1.0) == pytest.approx(-variance)
    # Label with p = 1/4, gamma = 1: CE - focal = p ln(1/p), as 1 - q = p.
    bound = theory.focal_bound(logits, np.array([1]), 1.0)
    assert bound.saving == pytest.approx(math.log(4) / 4)
    assert bound.product == pytest.approx(math.log(1 / 4) * math.log(3 / 4))
    entropy = math.log(4) / 4 + 0.75 * math.log(4 / 3)
    assert bound.binary == pytest.approx(entropy)
    assert bound.total == pytest.approx(entropy)


@given(some_logits, scales, scales)
def test_the_top_rises_and_the_entropy_falls_with_the_scale(logits, scale, other):
    low, high = sorted((scale, other))
    rise = theory.log_top_shortfall(logits, low) - theory.log_top_shortfall(
        logits, high
    )
    assert rise >= 0
    assert theory.log_top_probability(logits, low) <= (
        theory.log_top_probability(logits, high) + 1e-15
    )
    assert theory.entropy(logits, low) >= theory.entropy(logits, high) - 1e-13
    assert theory.log_top_slope(logits, low) >= 0
    assert theory.entropy_slope(logits, low) <= 0


@given(some_logits, st.floats(0.01, 3))
def test_the_slopes_are_the_derivatives(logits, scale):
    logits = logits / 12
    step = 1e-5
    for value, slope in (
        (theory.log_top_probability, theory.log_top_slope),
        (theory.entropy, theory.entropy_slope),
    ):
        difference = value(logits, scale + step) - value(logits, scale - step)
        np.testing.assert_allclose(
            slope(logits, scale), difference / (2 * step), rtol=1e-4, atol=1e-4
        )


def test_the_limit_is_one_over_the_number_of_ties():
    for row, ties in (([2.0, 2.0, 1.0, 2.0], 3), ([5.0, 0.0, 0.0, 0.0], 1)):
        top = np.exp(theory.log_top_probability(np.array([row]), 1e4))
        assert top == pytest.approx(1 / ties, rel=1e-15)
    assert np.exp(theory.log_top_probability(np.array([[2.0, 1.0]]), 0.0)) == 0.5


def test_saturation_hides_the_rise_from_single_precision_only():
    logits = np.array([[30.0, 0.0]])
    tops = [
        torch.tensor(scale * logits, dtype=torch.float32).softmax(1).max()
        for scale in (1, 2)
    ]
    assert tops[0] == tops[1] == 1
    assert theory.log_top_shortfall(logits, 1.0) > theory.log_top_shortfall(logits, 2.0)


@given(some_logits, st.floats(0, 10), st.data())
def test_every_link_of_the_focal_bound(logits, gamma, data):
    label = data.draw(st.integers(0, logits.shape[1] - 1))
    bound = theory.focal_bound(logits, np.array([label]), gamma)
    # Each side carries a few roundings, and two classes make the last link equal.
    slack = 1 + 1e-13
    assert bound.saving <= bound.product * slack
    assert bound.product <= bound.binary * slack
    assert bound.binary <= bound.total * slack
    assert bound.margin >= 0


def test_the_bound_is_about_these_losses():
    generator = np.random.default_rng(3)
    logits, labels = generator.normal(scale=3, size=(50, 5)), np.arange(50) % 5
    z, y = torch.from_numpy(logits), torch.from_numpy(labels)
    for gamma in (0.0, 0.5, 2.0):
        focal = losses.Focal(gamma=gamma).per_example(z, y)
        regularized = losses.EntropyRegularization(alpha=gamma).per_example(z, y)
        np.testing.assert_allclose(
            theory.focal_bound(logits, labels, gamma).margin,
            (focal - regularized).numpy(),
            atol=1e-13,
        )


def test_gamma_is_the_smallest_possible_factor():
    # Two classes and a label of probability e^-600: (CE - focal) / H is nearly gamma.
    logits, label = np.array([[0.0, 600.0]]), np.array([0])
    for gamma in (0.5, 3.0):
        bound = theory.focal_bound(logits, label, gamma)
        assert bound.saving > 0.998 * bound.total
        assert bound.saving < bound.total


def test_the_bound_is_no_mechanism():
    # Focal asks for p = 1 on a hard label; its bound, CE - 3 H, for p = .27 at K = 10.
    regularized = losses.EntropyRegularization(alpha=3)
    assert regularized.target_confidence(10) == pytest.approx(0.27, abs=0.005)
    assert losses.Focal(gamma=3).target_confidence(10) == 1


def test_the_textbook_step_is_false_below_one():
    at_half = theory.textbook_step(0.5)
    assert at_half.margin == pytest.approx(-0.0365, abs=5e-5)
    # By hand at p = .7: -ln .7 (sqrt(.3) - 1 + .35) = .3567 * -.1023 = -.0365.
    assert at_half.probability == pytest.approx(0.70, abs=0.01)
    for gamma in (0.05, 0.5, 0.95):
        assert theory.textbook_step(gamma).margin < -0.005
    for gamma in (0.0, 1.0, 1.05, 2.0, 5.0):
        assert theory.textbook_step(gamma).margin >= 0


def test_margins_hold_without_any_tolerance():
    rows = theory.margins()
    assert all(row.holds for row in rows)
    assert {row.num_classes for row in rows} == {2, 3, 10, 1000}
    focal = [row for row in rows if row.theorem == "focal bound"]
    assert {row.gamma for row in focal} >= {0, 0.1, 0.5, 0.9, 1, 3}
    assert all((row.gamma == 0) == (row.margin == 0) for row in focal)
    assert all(row.strict == (row.gamma > 0) for row in focal)
    scaling = [row for row in rows if row.theorem == "scaling"]
    assert all(row.strict == (row.where != "all equal") for row in scaling)
    assert [row.margin for row in scaling if not row.strict] == [0, 0, 0, 0]
    assert all(0 <= row.relative <= 1 for row in rows)


@pytest.mark.parametrize(("strict", "margin", "holds"), [
    (True, 1e-300, True),
    (True, 0.0, False),
    (False, 0.0, True),
    (False, -1e-300, False),
])  # fmt: skip
def test_a_broken_promise_is_seen(strict, margin, holds):
    row = theory.Margin(
        theorem="scaling",
        num_classes=2,
        gamma=None,
        scales=(0.0, 1.0),
        strict=strict,
        num_cases=1,
        margin=margin,
        relative=0.0,
        where="here",
    )
    assert row.holds is holds


def test_the_table_shows_every_row_and_the_textbook_s_failure():
    rows = theory.margins(num_classes=[3], gammas=[0.5, 2.0], scales=[0.0, 1.0, 4.0])
    lines = theory.table(rows).splitlines()
    assert len(lines) == 1 + len(rows) + 1
    assert lines[4].split()[:6] == ["focal", "bound", "3", "0.5", "0..4", "405"]
    assert all(line.endswith("  yes") for line in lines[1:-1])
    assert lines[-1].startswith("textbook step, gamma 0.5: -0.0365 at p = 0.70;")
    assert rows[0].to_dict()["holds"] is True
    json.dumps([row.to_dict() for row in rows], allow_nan=False)


def test_a_false_theorem_has_a_negative_margin(monkeypatch):
    # With 99 % of gamma the bound fails where the label is improbable.
    def too_strong(logits, labels, gamma):
        true = theory.focal_bound(logits, labels, gamma)
        return theory.FocalBound(
            saving=true.saving,
            product=true.product,
            binary=true.binary,
            total=0.99 * true.total,
        )

    monkeypatch.setattr("calibench.theory.check.focal_bound", too_strong)
    rows = theory.margins(num_classes=[2], gammas=[0.5], scales=[0.0, 20.0])
    broken = [row for row in rows if not row.holds]
    assert [row.theorem for row in broken] == ["focal bound"]
    assert "least likely label" in broken[0].where
    assert broken[0].relative < 0


def test_tied_logits_are_among_those_tried():
    names, logits = predictions_to_try(10)
    ties = (logits == logits.max(axis=1, keepdims=True)).sum(axis=1)
    assert {1, 2, 9, 10} == set(ties)
    assert len(names) == len(set(names)) == len(logits)
    assert (np.ptp(logits, axis=1) == 0).nonzero()[0].tolist() == [0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.log_top_probability(LOGITS, -1.0), "scale must be .* got -1"),
        (lambda: theory.focal_bound(LOGITS, np.zeros(7, int), -0.5), "gamma must be"),
        (lambda: theory.textbook_step(math.nan), "gamma must be .* got nan"),
        (lambda: theory.margins(scales=[1.0, 0.5]), "scales must increase"),
        (lambda: theory.margins(num_classes=[1]), "at least 2, got 1"),
    ],
)
def test_bad_parameters_are_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_the_theory_needs_no_torch():
    code = "import sys, calibench.theory; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
