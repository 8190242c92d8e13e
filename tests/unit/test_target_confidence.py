"""Closed-form target confidence against numerical minimisation over all logits."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize, minimize_scalar, root

from calibench.errors import ParameterError
from calibench.losses import (
    ACLS,
    FLSD,
    LOSSES,
    MDCA,
    MMCE,
    AdaFocal,
    Brier,
    CrossEntropy,
    DualFocal,
    EntropyRegularization,
    Focal,
    FocalSchedule,
    LabelSmoothing,
    LogitNorm,
    LpNorm,
    MarginSmoothing,
    SoftBinnedECE,
    Squentropy,
)

LABEL = 1


def value_and_gradient(loss, logits):
    leaf = torch.tensor(logits[None], dtype=torch.float64, requires_grad=True)
    value = loss(leaf, torch.tensor([LABEL]))
    return value.item(), torch.autograd.grad(value, leaf)[0][0].numpy()


def start(num_classes):
    """Return logits that are neither symmetric in the classes nor near an optimum."""
    return np.random.default_rng(0).normal(size=num_classes)


def label_probability(logits):
    return float(torch.from_numpy(logits).softmax(dim=0)[LABEL])


def minimiser(loss, num_classes):
    found = minimize(
        lambda logits: value_and_gradient(loss, logits),
        start(num_classes),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-9, "maxiter": 5000},
    )
    return found.x


@pytest.mark.parametrize("num_classes", [2, 3, 10, 40])
@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropy(smoothing=0.05),
        CrossEntropy(smoothing=0.9),
        LabelSmoothing(eps=0.05),
        LabelSmoothing(eps=0.05, over="other_classes"),
        LabelSmoothing(eps=0.45, over="other_classes"),
        EntropyRegularization(alpha=0.15),
        EntropyRegularization(alpha=0.3),
        EntropyRegularization(alpha=1),
        EntropyRegularization(alpha=20),
        LpNorm(alpha=0.05, p=2),
        LpNorm(alpha=0.3, p=2),
        LpNorm(alpha=0.3, p=1.5),
        LpNorm(alpha=0.3, p=4),
    ],
    ids=str,
)
def test_smooth_losses(loss, num_classes):
    found = label_probability(minimiser(loss, num_classes))
    assert found == pytest.approx(loss.target_confidence(num_classes), abs=2e-6)


@pytest.mark.parametrize("num_classes", [2, 3, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.45])
@pytest.mark.parametrize("p", [1, math.inf])
def test_norms_with_kinks(alpha, p, num_classes):
    loss = LpNorm(alpha=alpha, p=p)
    logits = minimiser_under_bounds(loss, num_classes)
    found = label_probability(logits)
    assert found == pytest.approx(loss.target_confidence(num_classes), abs=1e-5)


def minimiser_under_bounds(loss, num_classes):
    """Minimise CE + alpha * bound with |z_k| <= bound: smooth, and the same minimum.

    p = inf has one bound for all logits; p = 1 has one for each, and their sum counts.
    """
    num_bounds = num_classes if loss.p == 1 else 1
    spread = (
        np.ones((num_classes, num_bounds)) if num_bounds == 1 else np.eye(num_classes)
    )
    identity = np.eye(num_classes)
    matrix = np.block([[-identity, spread], [identity, spread]])

    def objective(point):
        value, grad = value_and_gradient(CrossEntropy(), point[:num_classes])
        cost = loss.alpha * point[num_classes:].sum()
        return value + cost, np.append(grad, np.full(num_bounds, loss.alpha))

    logits = start(num_classes)
    found = minimize(
        objective,
        np.append(logits, np.full(num_bounds, np.abs(logits).max())),
        jac=True,
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda point: matrix @ point,
            "jac": lambda _: matrix,
        },
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    optimum = found.x[:num_classes]
    assert value_and_gradient(loss, optimum)[0] == pytest.approx(found.fun, abs=1e-8)
    return optimum


@pytest.mark.parametrize("num_classes", [2, 10])
@pytest.mark.parametrize("p", [1, 1.3, 2, 5, math.inf])
def test_from_a_threshold_on_the_norm_allows_no_confidence(p, num_classes):
    chance = 1 / num_classes
    threshold = LpNorm.for_target_confidence(chance + 1e-12, num_classes, p=p).alpha
    above, below = (LpNorm(alpha=f * threshold, p=p) for f in (1.001, 0.98))
    assert above.target_confidence(num_classes) == chance
    assert below.target_confidence(num_classes) > chance
    zero = np.zeros(num_classes)
    # The loss is convex: no small step down means no step down at all.
    steps = np.random.default_rng(0).normal(size=(200, num_classes)) * 1e-4
    others = np.full(num_classes, -best_other(p, num_classes))
    others[LABEL] = 1 - best_other(p, num_classes)
    steps = np.vstack([steps, others * 1e-3])
    at_zero = value_and_gradient(above, zero)[0]
    assert all(value_and_gradient(above, step)[0] > at_zero for step in steps)
    assert any(value_and_gradient(below, step)[0] < at_zero for step in steps)


def best_other(p, num_classes):
    """Return s with the least norm of (1 - s, -s, ..., -s), by trying."""
    shares = np.linspace(0, 1, 2001)
    vectors = np.full((len(shares), num_classes), -shares[:, None])
    vectors[:, 0] += 1
    norms = np.linalg.norm(vectors, ord=p, axis=1)
    return shares[norms.argmin()]


def test_l1_leaves_one_logit():
    # K = 10, alpha = .05: p = .95, z_y = ln(.95 * 9 / .05), every other logit 0.
    logits = minimiser_under_bounds(LpNorm(alpha=0.05), 10)
    expected = np.zeros(10)
    expected[LABEL] = math.log(0.95 * 9 / 0.05)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_norms_choose_the_gauge():
    logits = minimiser(LpNorm(alpha=0.1, p=2), 10)
    assert logits.mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("num_classes", [2, 3, 10, 40])
@pytest.mark.parametrize(
    "loss",
    [
        MarginSmoothing(margin=3, alpha=1),
        MarginSmoothing(margin=3, alpha=0.02),
        MarginSmoothing(margin=3, alpha=0.005),
        MarginSmoothing(margin=0, alpha=0.01),
    ],
    ids=str,
)
def test_margin(loss, num_classes):
    def symmetric(gap):
        logits = np.zeros(num_classes)
        logits[LABEL] = gap
        return logits

    # Convex, and symmetric in the other classes: some minimum has them equal.
    found = minimize_scalar(
        lambda gap: value_and_gradient(loss, symmetric(gap))[0],
        bounds=(0, 30),
        method="bounded",
        options={"xatol": 1e-12},
    )
    optimum = symmetric(found.x)
    assert label_probability(optimum) == pytest.approx(
        loss.target_confidence(num_classes), abs=1e-6
    )
    steps = np.random.default_rng(0).normal(size=(200, num_classes)) * 1e-3
    assert all(value_and_gradient(loss, optimum + s)[0] >= found.fun for s in steps)


@pytest.mark.parametrize("num_classes", [2, 3, 10])
@pytest.mark.parametrize(
    "loss",
    [
        ACLS(margin=3, top=0.1, others=0.01),
        ACLS(margin=1, top=0.5, others=0.3),
        ACLS(margin=0, top=0.01, others=2),
    ],
    ids=str,
)
def test_acls_rests_where_its_gradient_vanishes(loss, num_classes):
    # Its gradient is not that of its values, so a root is sought and not a minimum.
    begin = np.zeros(num_classes)
    begin[LABEL] = loss.margin + 1
    found = root(lambda z: value_and_gradient(loss, z)[1], begin, tol=1e-13)
    assert np.abs(found.fun).max() < 1e-9
    assert label_probability(found.x) == pytest.approx(
        loss.target_confidence(num_classes), abs=1e-8
    )


@pytest.mark.parametrize("num_classes", [2, 3, 10, 40])
@pytest.mark.parametrize("tau", [0.2, 0.5, 3])
def test_logit_norm(tau, num_classes):
    loss = LogitNorm(tau=tau)
    found = minimize(
        lambda logits: value_and_gradient(loss, logits),
        start(num_classes) + 3 * np.eye(num_classes)[LABEL],
        jac=True,
        method="BFGS",
        options={"gtol": 1e-12, "maxiter": 5000},
    )
    # The probability that it trains is that of the divided logits, e^-loss.
    assert math.exp(-found.fun) == pytest.approx(
        loss.target_confidence(num_classes), abs=1e-6
    )


@pytest.mark.parametrize(
    "loss",
    [
        Brier(),
        DualFocal(gamma=3),
        FLSD(),
        FocalSchedule(),
        AdaFocal(),
        AdaFocal(num_bins=2, gammas=(3, -2), edges=(0.7,)),
        Squentropy(),
        MMCE(weight=3),
        MDCA(weight=3),
        SoftBinnedECE(weight=3),
        SoftBinnedECE(weight=3, norm=1),
        CrossEntropy(),
        Focal(gamma=0.5),
        Focal(gamma=3),
    ],
    ids=str,
)
def test_losses_that_never_stop(loss):
    assert loss.target_confidence(10) == 1
    # No loss comes nearer to 0 at a lower confidence, up to 1 - 1e-12.
    margins = [0.0, 1.0, 5.0, 20.0, 30.0]
    values = []
    for margin in margins:
        logits = np.zeros(10)
        logits[LABEL] = margin
        values.append(value_and_gradient(loss, logits)[0])
    assert values[-1] == min(values)
    assert values[-1] < 1e-11 < values[0]


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(0.05, 1.0), (0.1, 0.9996), (0.2, 0.954), (0.3, 0.849), (0.5, 0.679), (1, 0.476)],
)
def test_entropy_for_ten_classes(alpha, expected):
    found = EntropyRegularization(alpha=alpha).target_confidence(num_classes=10)
    assert found == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("num_classes", [2, 3, 10, 1000, 10**6])
@pytest.mark.parametrize("alpha", [1e-320, 1e-3, 0.03, 0.1, 1, 30, 1e6])
def test_entropy_solves_its_equation(alpha, num_classes):
    p = EntropyRegularization(alpha=alpha).target_confidence(num_classes)
    assert 1 / num_classes <= p <= 1
    if p < 1 - 1e-9:
        # K p - 1 >= 0 keeps ln[(K - 1) p / (1 - p)] exact near p = 1/K.
        gap = math.log1p((num_classes * p - 1) / (1 - p))
        assert alpha * p * gap == pytest.approx(1, rel=1e-5)
    else:
        assert alpha < 0.05


@pytest.mark.parametrize("num_classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("target", [0.501, 0.75, 0.95, 0.999999, 1])
@pytest.mark.parametrize(
    "kind", ["cross_entropy", "lp_norm", "entropy", "label_smoothing"]
)
def test_for_target_confidence_is_the_inverse(kind, target, num_classes):
    loss = LOSSES[kind].for_target_confidence(target, num_classes)
    assert loss.target_confidence(num_classes) == pytest.approx(target, abs=1e-12)


@pytest.mark.parametrize("num_classes", [2, 10, 1000])
@pytest.mark.parametrize("target", [0.501, 0.75, 0.95, 0.999999])
def test_for_target_confidence_of_the_losses_with_a_margin(target, num_classes):
    for loss in (
        LogitNorm.for_target_confidence(target, num_classes),
        MarginSmoothing.for_target_confidence(target, num_classes, alpha=1),
        ACLS.for_target_confidence(target, num_classes, others=200),
        LabelSmoothing.for_target_confidence(target, num_classes, over="other_classes"),
    ):
        assert loss.target_confidence(num_classes) == pytest.approx(target, abs=1e-12)


def test_a_target_of_one_takes_the_penalties_away():
    assert MarginSmoothing.for_target_confidence(1, 10).alpha == 0
    assert ACLS.for_target_confidence(1, 10) == ACLS(top=0, others=0)
    assert Brier.for_target_confidence(1, 10) == Brier()


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda: LogitNorm.for_target_confidence(1, 10), "asks for tau = 0"),
        (lambda: Brier.for_target_confidence(0.9, 10), "no parameter for 0.9"),
        (
            lambda: MarginSmoothing.for_target_confidence(0.9, 10, alpha=0.01),
            "at least 0.0111",
        ),
        (
            lambda: ACLS.for_target_confidence(0.9, 10, others=0.01),
            "others = 0.01 is too small .* Take 0.0113",
        ),
        (lambda: ACLS.for_target_confidence(0.9, 10, others=0), "too small"),
        (
            lambda: LabelSmoothing.for_target_confidence(0.9, 10, over="label"),
            "convention",
        ),
    ],
)
def test_a_target_out_of_reach_is_refused(choose, message):
    with pytest.raises(ParameterError, match=message):
        choose()


@pytest.mark.parametrize("p", [1, 1.0001, 1.5, 2, 7, math.inf])
def test_for_target_confidence_of_any_norm(p):
    loss = LpNorm.for_target_confidence(0.9, 10, p=p)
    assert loss.p == p
    assert loss.target_confidence(10) == pytest.approx(0.9, abs=1e-12)


@pytest.mark.parametrize("num_classes", range(2, 60))
def test_targets_barely_above_chance(num_classes):
    target = 1 / num_classes
    while target * num_classes <= 1:
        target = math.nextafter(target, 1)
    for kind in ("cross_entropy", "lp_norm", "entropy"):
        loss = LOSSES[kind].for_target_confidence(target, num_classes)
        found = loss.target_confidence(num_classes)
        assert found == pytest.approx(1 / num_classes, abs=1e-9)


@pytest.mark.parametrize("kind", ["cross_entropy", "lp_norm", "entropy"])
@pytest.mark.parametrize("target", [0.1, 0, -1, 1.01, math.nan, True, "0.9"])
def test_a_target_out_of_range_is_refused(kind, target):
    with pytest.raises((ParameterError, TypeError), match="target"):
        LOSSES[kind].for_target_confidence(target, 10)


@pytest.mark.parametrize("target", [0.5, 0.95, 1])
@pytest.mark.parametrize(
    ("cls", "parameter"),
    [
        (Focal, "gamma"),
        (DualFocal, "gamma"),
        (FLSD, "gammas"),
        (FocalSchedule, "gammas"),
        (AdaFocal, "gamma"),
        (Squentropy, "alpha"),
        (MMCE, "weight"),
        (MDCA, "weight"),
        (SoftBinnedECE, "weight"),
    ],
)
def test_what_never_stops_cannot_be_matched(cls, parameter, target):
    with pytest.raises(ParameterError, match=f"1 for every {parameter}"):
        cls.for_target_confidence(target, 10)


@pytest.mark.parametrize("num_classes", [1, 0, -3, True])
@pytest.mark.parametrize("loss", [CrossEntropy(), LpNorm(alpha=1), Focal(gamma=1)])
def test_too_few_classes_are_refused(loss, num_classes):
    with pytest.raises(ParameterError, match="num_classes must be"):
        loss.target_confidence(num_classes)


@pytest.mark.parametrize(("detached", "expected"), [(False, 0.594), (True, 0.586)])
def test_focal_is_under_confident_where_labels_are_uncertain(detached, expected):
    # Two classes, the first with probability .8: where the mean gradient vanishes.
    loss = Focal(gamma=3, detached=detached)

    def mean_gradient(gap):
        leaf = torch.tensor([[gap, 0.0], [gap, 0.0]]).double().requires_grad_()
        grad = torch.autograd.grad(
            loss.per_example(leaf, torch.tensor([0, 1])).sum(), leaf
        )[0]
        return float(0.8 * grad[0, 0] + 0.2 * grad[1, 0])

    gap = brentq(mean_gradient, 0, 5)
    assert 1 / (1 + math.exp(-gap)) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (MarginSmoothing(margin=10), 0.9996),
        (MarginSmoothing(margin=6), 0.978),
        (LogitNorm(tau=0.04), 1.0),
        (LogitNorm(tau=0.2), 0.956),
        (LogitNorm(tau=1), 0.242),
        (LabelSmoothing(eps=0.05), 0.955),
        (LabelSmoothing(eps=0.05, over="other_classes"), 0.95),
    ],
    ids=str,
)
def test_known_targets_for_ten_classes(loss, expected):
    found = loss.target_confidence(num_classes=10)
    assert found == pytest.approx(expected, abs=6e-4)


def test_acls_without_a_penalty_on_the_top_drifts_to_its_target():
    loss = ACLS.for_target_confidence(0.8, 4, top=0.0, others=0.3)
    assert loss.target_confidence(4) == pytest.approx(0.8, rel=1e-12)
    logits = torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    # All logits rise at every step; the gap between them settles.
    for _ in range(300):
        logits.requires_grad_()
        (grad,) = torch.autograd.grad(loss(logits, torch.tensor([0])), logits)
        logits = (logits - grad).detach()
    assert logits.min() > 10
    assert logits.softmax(1)[0, 0].item() == pytest.approx(0.8, rel=1e-9)
