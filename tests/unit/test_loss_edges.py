"""Loss parameters, hand-placed kinks, and what a training loop may do with a loss."""

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from calibench.errors import ParameterError
from calibench.losses import (
    ACLS,
    FLSD,
    LOSSES,
    MDCA,
    MMCE,
    AdaFocal,
    AdaptiveLoss,
    Brier,
    CrossEntropy,
    DualFocal,
    EntropyRegularization,
    Focal,
    FocalSchedule,
    LabelSmoothing,
    LogitNorm,
    Loss,
    LpNorm,
    MarginSmoothing,
    PerExampleLoss,
    ScheduledLoss,
    SoftBinnedECE,
    Squentropy,
    TargetedLoss,
)
from calibench.losses.parameters import require_coefficient, require_flag

ONE_OF_EACH = [
    CrossEntropy(smoothing=0.1),
    LpNorm(alpha=0.1),
    LpNorm(alpha=0.1, p=2),
    LpNorm(alpha=0.1, p=math.inf),
    EntropyRegularization(alpha=0.1),
    Focal(gamma=3),
    Focal(gamma=3, detached=True),
    Brier(),
    LabelSmoothing(eps=0.1, over="other_classes"),
    MarginSmoothing(),
    ACLS(),
    LogitNorm(),
    Squentropy(),
    FLSD(),
    FocalSchedule(),
    DualFocal(gamma=3),
    AdaFocal(),
    AdaFocal(num_bins=2, gammas=(-0.5, 3), edges=(0.4,)),
]
BATCH = [
    MMCE(weight=2),
    MDCA(),
    SoftBinnedECE(weight=1),
    SoftBinnedECE(weight=1, norm=1),
]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: CrossEntropy(smoothing=1),
            r"smoothing must be .* in \[0, 1\), got 1\.",
        ),
        (lambda: CrossEntropy(smoothing=-0.1), "got -0.1"),
        (lambda: CrossEntropy(smoothing=True), "got True"),
        (lambda: CrossEntropy(smoothing=math.nan), "got nan"),
        (lambda: LpNorm(alpha=-1), r"LpNorm: alpha must be .* in \[0, inf\)"),
        (lambda: LpNorm(alpha=math.inf), "got inf"),
        (lambda: LpNorm(alpha=10**400), "got 1000"),
        (lambda: LpNorm(alpha=0.1, p=0.5), r"LpNorm: p must be .* in \[1, inf\]"),
        (lambda: LpNorm(alpha=0.1, p=math.nan), "got nan"),
        (lambda: EntropyRegularization(alpha=-1e-9), "got -1e-09"),
        (lambda: Focal(gamma=-1), "Focal: gamma must be a number"),
        (lambda: Focal(gamma=False), "got False"),
        (lambda: LabelSmoothing(eps=1), r"eps must be .* in \[0, 1\), got 1\."),
        (
            lambda: LabelSmoothing(eps=0.1, over="others"),
            "Did you mean 'other_classes'",
        ),
        (lambda: MarginSmoothing(margin=-1), "MarginSmoothing: margin must be"),
        (lambda: ACLS(others=-1), "ACLS: others must be"),
        (lambda: LogitNorm(tau=0), r"tau must be a number in \(0, inf\), got 0"),
        (lambda: Squentropy(alpha=math.inf), "got inf"),
        (lambda: FLSD(gammas=(5,)), "one more than edges"),
        (lambda: FLSD(gammas=(5, 3, 1), edges=(0.5, 0.2)), "which ascend"),
        (lambda: FLSD(gammas=(5, 3, 1), edges=(0.5, 0.5)), "which ascend"),
        (lambda: FLSD(edges=(1,)), r"edges must be a number in \(0, 1\), got 1"),
        (lambda: FocalSchedule(gammas=(1, -1), milestones=(0.5,)), "got -1"),
        (lambda: FocalSchedule().at(1.1), r"progress must be .* in \[0, 1\], got 1.1"),
        (lambda: AdaFocal(switch=-0.1), "AdaFocal: switch must be"),
        (lambda: AdaFocal(lowest=0), r"lowest must be .* -switch = -0.2\], got 0"),
        (lambda: AdaFocal(highest=0.1), r"highest must be .*switch = 0.2"),
        (lambda: AdaFocal(gamma=21), r"gamma must be a number in \[-2, 20\], got 21"),
        (lambda: AdaFocal(num_bins=0), "num_bins must be at least 1"),
        (lambda: AdaFocal(gammas=(1, 2)), "2 gammas and 0 edges are not what 15 bins"),
        (
            lambda: AdaFocal(num_bins=3, gammas=(1, 1, 1), edges=(0.5, 0.4)),
            "Leave both out",
        ),
        (lambda: MMCE(weight=-1), "MMCE: weight must be"),
        (lambda: MDCA(gamma=-1), "MDCA: gamma must be"),
        (lambda: SoftBinnedECE(weight=1, norm=3), "norm must be at most 2, got 3"),
        (lambda: SoftBinnedECE(weight=1, temperature=0), "temperature must be"),
    ],
)
def test_a_parameter_out_of_range_is_refused(build, message):
    with pytest.raises(ParameterError, match=message):
        build()


# Tests check annotations at every call, so the wrong types go to the checks directly.
@pytest.mark.parametrize("value", [None, "3", [3], 3j, Decimal(3), torch.tensor(3.0)])
def test_what_is_no_real_number_is_refused(value):
    with pytest.raises(ParameterError, match="alpha must be a number in"):
        require_coefficient("alpha", value)


@pytest.mark.parametrize("value", [3, 3.0, Fraction(3), np.float32(3), np.int64(3)])
def test_any_real_number_becomes_a_float(value):
    number = require_coefficient("alpha", value)
    assert type(number) is float
    assert number == 3


@pytest.mark.parametrize("value", [0, 1, None, "true"])
def test_a_switch_is_a_bool(value):
    with pytest.raises(ParameterError, match="detached must be true or false"):
        require_flag("Focal: detached", value)


def test_whole_numbers_and_floats_are_the_same_configuration():
    assert repr(Focal(gamma=3)) == "Focal(gamma=3.0, detached=False)"
    assert Focal(gamma=3) == Focal(gamma=3.0)
    assert repr(LpNorm(alpha=-0.0, p=1)) == "LpNorm(alpha=0.0, p=1.0)"
    assert LpNorm(alpha=1, p=float("inf")).p == math.inf


@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=str)
def test_a_loss_is_a_value(loss):
    assert loss == type(loss)(**vars(loss))
    assert hash(loss) == hash(type(loss)(**vars(loss)))
    with pytest.raises(AttributeError):
        loss.alpha = 2.0
    assert isinstance(loss, Loss)
    assert isinstance(loss, PerExampleLoss)


def test_the_menu_begins_with_the_study_s_four_losses_and_each_has_its_page():
    assert list(LOSSES)[:4] == ["cross_entropy", "lp_norm", "entropy", "focal"]
    folder = Path(__file__).parents[2] / "docs" / "losses"
    assert {page.stem for page in folder.glob("*.md")} == set(LOSSES)


@pytest.mark.parametrize("loss", BATCH, ids=str)
def test_a_loss_of_a_batch_is_a_value_with_a_target(loss):
    assert loss == type(loss)(**vars(loss))
    assert isinstance(loss, TargetedLoss)
    assert not isinstance(loss, PerExampleLoss)
    assert loss.target_confidence(10) == 1


def test_losses_that_change_say_how():
    assert isinstance(FocalSchedule(), ScheduledLoss)
    assert isinstance(AdaFocal(), AdaptiveLoss)
    assert not isinstance(Focal(gamma=1), (ScheduledLoss, AdaptiveLoss))


@pytest.mark.parametrize("loss", ONE_OF_EACH + BATCH, ids=str)
def test_nothing_waits_for_the_device(loss):
    # Tensors without data: reading a value back, or branching on one, raises.
    logits = torch.empty(4, 3, device="meta", requires_grad=True)
    labels = torch.empty(4, dtype=torch.int64, device="meta")
    loss(logits, labels).backward()
    assert logits.grad.shape == (4, 3)


@pytest.mark.parametrize("loss", ONE_OF_EACH + BATCH, ids=str)
def test_no_label_means_ignore_me(loss):
    with pytest.raises((IndexError, RuntimeError)):
        loss(torch.zeros(1, 3), torch.tensor([-100]))


@pytest.mark.parametrize("loss", ONE_OF_EACH + BATCH, ids=str)
def test_labels_of_any_integer_type(loss):
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    small = loss(logits, torch.tensor([2], dtype=torch.int32))
    assert small == loss(logits, torch.tensor([2]))


@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=str)
def test_the_logits_are_left_alone(loss):
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    loss(logits, torch.tensor([1]))
    assert logits.tolist() == [[1.0, 2.0, 3.0]]


def norm_gradient(logits, p):
    """Return the gradient of the norm alone: with cross-entropy's, then without."""
    leaf = torch.tensor([logits], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0])
    with_norm = torch.autograd.grad(LpNorm(alpha=1, p=p)(leaf, labels), leaf)[0]
    without = torch.autograd.grad(CrossEntropy()(leaf, labels), leaf)[0]
    return (with_norm - without)[0].tolist()


@pytest.mark.parametrize(
    ("logits", "p", "expected"),
    [
        ([2.0, 0.0, -3.0], 1, [1, 0, -1]),  # subgradient 0 at a zero logit
        ([3.0, 0.0, -4.0], 2, [0.6, 0, -0.8]),
        ([0.0, 0.0, 0.0], 1, [0, 0, 0]),
        ([0.0, 0.0, 0.0], 2, [0, 0, 0]),
        ([0.0, 0.0, 0.0], 1.5, [0, 0, 0]),
        ([0.0, 0.0, 0.0], 3, [0, 0, 0]),
        ([0.0, 0.0, 0.0], math.inf, [0, 0, 0]),
        ([2.0, 1.0, -2.0], math.inf, [0.5, 0, -0.5]),  # ties share
        ([0.0, -1e-200, 0.0], 2, [0, -1, 0]),  # its square underflows
        ([1e200, 0.0, 0.0], 3, [1, 0, 0]),  # its cube overflows
        ([1.0, 0.0, -1.0], 1.5, [2 ** (-1 / 3), 0, -(2 ** (-1 / 3))]),
    ],
)
def test_norm_gradient_at_kinks(logits, p, expected):
    assert norm_gradient(logits, p) == pytest.approx(expected, abs=1e-12)


def test_values_by_hand():
    # logits ln 3 and 0: p = (3/4, 1/4).
    logits = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    for label, p in ((0, 0.75), (1, 0.25)):
        labels = torch.tensor([label])
        entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
        for loss, expected in (
            (CrossEntropy(), -math.log(p)),
            (
                CrossEntropy(smoothing=0.2),
                -0.8 * math.log(p) - 0.1 * (math.log(0.75) + math.log(0.25)),
            ),
            (LpNorm(alpha=2), -math.log(p) + 2 * math.log(3)),
            (EntropyRegularization(alpha=2), -math.log(p) - 2 * entropy),
            (Focal(gamma=2), -((1 - p) ** 2) * math.log(p)),
            (Brier(), 2 * (1 - p) ** 2),
            (
                LabelSmoothing(eps=0.2, over="other_classes"),
                -0.8 * math.log(p) - 0.2 * math.log(1 - p),
            ),
            (MarginSmoothing(margin=1, alpha=3), -math.log(p) + 3 * (math.log(3) - 1)),
            (
                ACLS(margin=1, top=2, others=3),
                -math.log(p) + 5 * (math.log(3) - 1) ** 2,
            ),
            (Squentropy(), -math.log(p) + (math.log(3) ** 2 if label else 0)),
            # p_j is .25 behind the likelier label, and nothing behind the other.
            (
                DualFocal(gamma=2),
                -((1 - p + (p - 0.5)) ** 2) * math.log(p)
                if label == 0
                else -(0.75**2) * math.log(p),
            ),
            (FLSD(edges=(0.5,)), -((1 - p) ** (5 if label else 3)) * math.log(p)),
            (
                AdaFocal(num_bins=2, gammas=(-2, 1), edges=(0.5,)),
                -((1 + p) ** 2 if label else 1 - p) * math.log(p),
            ),
        ):
            assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("p", "gamma"), [(0.2, 3), (0.2 - 1e-9, 5), (0.2 + 1e-9, 3)])
def test_the_edge_of_flsd_belongs_to_the_range_above(p, gamma):
    logits = torch.tensor([[p, 1 - p]], dtype=torch.float64).log()
    # 0.2 as a float64 is above 1/5, and so is the sigmoid of ln 0.25.
    found = FLSD()(logits, torch.tensor([0])).item()
    assert found == pytest.approx(-((1 - p) ** gamma) * math.log(p), rel=1e-12)


def test_an_edge_means_the_same_with_and_without_a_gradient():
    # A last layer of zeros: p is 1/5 to the last bit, the edge of FLSD-53.
    logits, labels = torch.zeros(1, 5), torch.tensor([0])
    with_gradient = FLSD()(logits.clone().requires_grad_(), labels)
    expected = 0.8**3 * math.log(5)
    for found in (FLSD()(logits, labels), with_gradient):
        assert found.item() == pytest.approx(expected, rel=1e-6)


def test_dual_focal_looks_below_ties():
    # Logits ln 4, ln 4, ln 2: p = .4, .4, .2. What ties with the label is not below it.
    logits = torch.tensor([[4.0, 4.0, 2.0]], dtype=torch.float64).log()
    found = DualFocal(gamma=1)(logits, torch.tensor([1])).item()
    assert found == pytest.approx(-(1 - 0.4 + 0.2) * math.log(0.4), rel=1e-14)


@pytest.mark.parametrize(
    ("progress", "gamma"),
    [(0, 5), (0.2499999, 5), (0.25, 3), (0.5, 3), (0.75, 2), (1, 2)],
)
def test_a_milestone_of_a_schedule_belongs_to_the_gamma_after_it(progress, gamma):
    schedule = FocalSchedule(milestones=(0.25, 0.75))
    assert schedule.at(progress) == Focal(gamma=gamma)


def held_out(*examples):
    """Return logits of two classes with the given confidence, right or wrong."""
    confidence = torch.tensor([c for c, _ in examples], dtype=torch.float64)
    logits = torch.stack([confidence.log(), (1 - confidence).log()], dim=1)
    return logits, torch.tensor([0 if right else 1 for _, right in examples])


def test_adafocal_follows_the_gap_of_each_bin():
    loss = AdaFocal(num_bins=2)
    # Below: .6 and .7, one right: gap .15. Above: .8 and .9, both right: gap -.15.
    next_loss = loss.successor(
        *held_out((0.6, True), (0.7, False), (0.8, True), (0.9, True))
    )
    assert next_loss.gammas == pytest.approx((math.exp(0.15), math.exp(-0.15)))
    assert next_loss.edges == pytest.approx((0.7,))
    again = next_loss.successor(*held_out((0.5, True), (0.6, True)))
    assert again.gammas == pytest.approx(
        (math.exp(0.15 - 0.5), math.exp(-0.15 - 0.4)), rel=1e-12
    )


@pytest.mark.parametrize(
    ("gamma", "gap", "expected"),
    [
        (0.3, -0.4, 0.3 * math.exp(-0.4)),  # .2011: stays focal
        (0.3, -0.41, -0.2),  # .1991: turns inverse
        (-0.3, 0.4, -0.3 * math.exp(-0.4)),  # over-confident: back towards focal
        (-0.3, 0.41, 0.2),
        (-1.9, -0.5, -2.0),  # the lowest
        (19, 0.5, 20.0),  # the highest
    ],
)
def test_adafocal_turns_at_the_switch_and_stops_at_the_ends(gamma, gap, expected):
    assert AdaFocal()._next(gamma, gap) == pytest.approx(expected, rel=1e-12)


def test_the_edge_of_an_adafocal_bin_belongs_to_the_bin_below():
    loss = AdaFocal(num_bins=2, gammas=(1, 3), edges=(0.5,))
    # Equal logits of two classes: p is .5 to the last bit.
    found = loss(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0])).item()
    assert found == pytest.approx(0.5 * math.log(2), rel=1e-14)


def test_adafocal_keeps_the_gamma_of_an_empty_bin():
    # Three of four confidences tie: the bins between them are empty.
    loss = AdaFocal(num_bins=4, gammas=(1, 2, 3, 4), edges=(0.3, 0.5, 0.7))
    found = loss.successor(
        *held_out((0.9, True), (0.9, True), (0.9, True), (0.6, False))
    )
    gaps = {0: 0.6, 1: -0.1}
    expected = [g * math.exp(gaps.get(b, 0)) for b, g in enumerate((1, 2, 3, 4))]
    assert found.gammas == pytest.approx(expected)
