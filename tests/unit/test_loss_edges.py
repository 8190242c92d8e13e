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
    LOSSES,
    CrossEntropy,
    EntropyRegularization,
    Focal,
    Loss,
    LpNorm,
    PerExampleLoss,
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


def test_the_menu_has_the_study_s_four_losses_and_each_its_page():
    assert list(LOSSES) == ["cross_entropy", "lp_norm", "entropy", "focal"]
    page = (Path(__file__).parents[2] / "docs" / "losses.md").read_text("utf-8")
    for kind, loss in LOSSES.items():
        assert f"`{kind}`" in page
        assert loss.__name__ in page


@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=str)
def test_nothing_waits_for_the_device(loss):
    # Tensors without data: reading a value back, or branching on one, raises.
    logits = torch.empty(4, 3, device="meta", requires_grad=True)
    labels = torch.empty(4, dtype=torch.int64, device="meta")
    loss(logits, labels).backward()
    assert logits.grad.shape == (4, 3)


@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=str)
def test_no_label_means_ignore_me(loss):
    with pytest.raises((IndexError, RuntimeError)):
        loss(torch.zeros(1, 3), torch.tensor([-100]))


@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=str)
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
        ):
            assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-14)
