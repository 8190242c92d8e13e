"""Numbers against the truth equal exact fractions, and are as unbiased as claimed."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench import metrics
from calibench.metrics import Truth
from calibench.predictions import Predictions
from reference import exact_truth as exact

JUDGES = 3


@st.composite
def rows(draw, num_examples, num_classes, total):
    """Rows of whole numbers that sum to a total."""
    found = []
    for _ in range(num_examples):
        cuts = sorted(draw(st.integers(0, total)) for _ in range(num_classes - 1))
        found.append([b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)])
    return np.array(found)


@st.composite
def problems(draw):
    """(predictions, counts) of a few examples, probabilities multiples of 1/16."""
    n, k = draw(st.integers(1, 6)), draw(st.integers(2, 4))
    probs = draw(rows(n, k, 16)) / 16
    counts = draw(rows(n, k, draw(st.integers(2, 7))))
    return Predictions.from_probs(probs, [0] * n), counts


@given(problems(), st.integers(1, 5))
def test_counts_equal_exact_fractions(problem, num_bins):
    some, counts = problem
    known = Truth.from_counts(counts)
    probs, share = exact.fractions_of(some.probs), exact.shares_of(counts)
    noise = exact.noises_of(counts)
    near = pytest.approx
    assert metrics.true_canonical_l1(some, known) == near(
        float(exact.true_canonical_l1(probs, share)), abs=1e-15
    )
    assert metrics.true_canonical_l2_squared(some, known) == near(
        float(exact.true_canonical_l2_squared(probs, share, noise)), abs=1e-15
    )
    assert metrics.true_squared_calibration_error(some, known) == near(
        float(exact.true_squared_calibration_error(probs, share, noise)), abs=1e-15
    )
    assert metrics.soft_label_brier(some, known) == near(
        float(exact.soft_label_brier(probs, share)), abs=1e-15
    )
    assert metrics.soft_label_ece(some, known, num_bins=num_bins) == near(
        float(exact.soft_label_ece(probs, share, num_bins)), abs=1e-15
    )


@given(problems())
def test_relations(problem):
    some, counts = problem
    known = Truth.from_posterior(Truth.from_counts(counts).probs)
    error = metrics.true_calibration_error(some, known)
    assert metrics.soft_label_ece(some, known) <= error + 1e-15
    assert error**2 <= metrics.true_squared_calibration_error(some, known) + 1e-15
    l1, l2 = (
        f(some, known) for f in (metrics.true_canonical_l1, metrics.true_canonical_l2)
    )
    assert 2 * error <= l1 + 1e-15
    assert l2 - 1e-15 <= l1 <= l2 * math.sqrt(some.num_classes) + 1e-15
    # The Brier score of the posterior itself is what is left of the model's.
    own = 1 - (known.probs**2).sum(axis=1).mean()
    assert metrics.soft_label_brier(some, known) == pytest.approx(
        own + metrics.true_canonical_l2_squared(some, known), abs=1e-14
    )
    # Pinsker: the root of twice the divergence is no less than the l1 distance.
    assert l1 <= math.sqrt(2 * max(metrics.true_kl(some, known), 0)) + 1e-7


@pytest.mark.parametrize(
    ("name", "is_unbiased"),
    [
        ("true_squared_calibration_error", True),
        ("true_canonical_l2_squared", True),
        ("soft_label_nll", True),
        ("soft_label_brier", True),
        ("true_calibration_error", False),
        ("true_canonical_l1", False),
        ("true_canonical_l2", False),
        ("true_kl", False),
    ],
)
@pytest.mark.parametrize("posterior", [[0.5, 0.25, 0.25], [0.875, 0.125, 0.0]])
def test_mean_over_every_outcome_of_the_judges(name, is_unbiased, posterior):
    some = Predictions.from_probs([[0.5, 0.25, 0.25]], [0])
    metric = getattr(metrics, name)
    mean, total = 0.0, Fraction(0)
    for weight, counts in exact.outcomes(posterior, JUDGES):
        mean += float(weight) * metric(some, Truth.from_counts([counts]))
        total += weight
    assert total == 1
    truth = metric(some, [posterior])
    if is_unbiased:
        assert mean == pytest.approx(truth, abs=1e-14)
    else:
        assert mean > truth + 0.01
    if name == "true_kl":
        assert mean <= truth + math.log(1 + 2 / JUDGES)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_the_examples_changes_nothing(problem, random):
    some, counts = problem
    order = list(range(some.num_examples))
    random.shuffle(order)
    moved = Predictions.from_probs(some.probs[order], some.labels[order])
    one = metrics.evaluate_truth(some, Truth.from_counts(counts), replicates=5)
    other = metrics.evaluate_truth(
        moved, Truth.from_counts(counts[order]), replicates=5
    )
    assert one.to_dict() == other.to_dict()
