import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from calibench.losses import (
    ACLS,
    FLSD,
    AdaFocal,
    Brier,
    CrossEntropy,
    DualFocal,
    EntropyRegularization,
    Focal,
    LogitNorm,
    LpNorm,
    fused,
)
from loss_batches import (
    ALL_LOSSES,
    BATCH_LOSSES,
    batches,
    entropy,
    gradient,
    is_near_edge,
    random_batch,
)
from reference import loss_oracle

every_loss = pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)


@given(batches(), st.floats(0, 6))
def test_focal_gradient_is_the_cross_entropy_gradient_times_phi(batch, gamma):
    probs, one_hot = probs_and_one_hot(batch)
    p = (probs * one_hot).sum(1)
    q = (probs * (1 - one_hot)).sum(1)
    factor = torch.where(q > 1e-12, -torch.log1p(-q) / q, 1.0)
    phi = q**gamma * (1 + gamma * p * torch.where(p < 0.5, -p.log() / q, factor))
    check_gradient(Focal(gamma=gamma), batch, phi[:, None] * (probs - one_hot))


@given(batches(), st.floats(0, 6))
def test_detached_focal_gradient_is_weighted(batch, gamma):
    probs, one_hot = probs_and_one_hot(batch)
    q = (probs * (1 - one_hot)).sum(1, keepdim=True)
    check_gradient(
        Focal(gamma=gamma, detached=True), batch, q**gamma * (probs - one_hot)
    )


@given(batches(), st.floats(0, 3))
def test_entropy_gradient(batch, alpha):
    probs, one_hot = probs_and_one_hot(batch)
    surplus = probs.log() + entropy(batch[0])[:, None]
    check_gradient(
        EntropyRegularization(alpha=alpha),
        batch,
        probs - one_hot + alpha * probs * surplus,
    )


@given(batches(), st.floats(0, 0.99))
def test_smoothing_gradient(batch, smoothing):
    probs, one_hot = probs_and_one_hot(batch)
    smoothed = (1 - smoothing) * one_hot + smoothing / probs.shape[1]
    check_gradient(CrossEntropy(smoothing=smoothing), batch, probs - smoothed)


@given(batches(), st.sampled_from([1, 1.5, 2, 3, math.inf]), st.floats(0, 3))
def test_norm_gradient(batch, p, alpha):
    logits, _ = batch
    # The closed form below divides by the norm and raises 1e-300 to powers.
    assume(logits.abs().amax(1).min() > 1e-3)
    probs, one_hot = probs_and_one_hot(batch)
    check_gradient(
        LpNorm(alpha=alpha, p=p), batch, probs - one_hot + alpha * dual(logits, p)
    )


def dual(logits, p):
    """Return the gradient of the norm: the unit vector of the dual norm."""
    if p == 1:
        return logits.sign()
    size = logits.abs()
    if p == math.inf:
        ties = size == size.amax(dim=1, keepdim=True)
        return logits.sign() * ties / ties.sum(dim=1, keepdim=True)
    norm = (size**p).sum(dim=1, keepdim=True) ** (1 / p)
    return logits.sign() * (size / norm) ** (p - 1)


def probs_and_one_hot(batch):
    logits, labels = batch
    probs = logits.softmax(dim=1)
    return probs, torch.nn.functional.one_hot(labels, probs.shape[1]).double()


def check_gradient(loss, batch, expected):
    torch.testing.assert_close(gradient(loss, *batch), expected, rtol=1e-10, atol=1e-12)


@given(batches(), st.floats(0, 3), st.floats(0, 3), st.floats(0, 3))
def test_acls_moves_the_label_by_what_exceeds_the_margin(batch, margin, top, others):
    logits, _ = batch
    probs, one_hot = probs_and_one_hot(batch)
    largest, index = logits.max(dim=1, keepdim=True)
    behind = (largest - logits - margin).clamp(min=0)
    smoothing = -2 * others * behind / (logits.shape[1] - 1)
    lead = 2 * top * (largest - margin).clamp(min=0)
    smoothing = smoothing + torch.zeros_like(logits).scatter(1, index, lead)
    check_gradient(
        ACLS(margin=margin, top=top, others=others),
        batch,
        probs - one_hot + smoothing,
    )


# Detached focal loss and ACLS are left out: theirs is not the gradient of the values.
@pytest.mark.parametrize(
    "loss",
    [
        loss
        for loss in ALL_LOSSES
        if not getattr(loss, "detached", False) and not isinstance(loss, ACLS)
    ],
    ids=str,
)
def test_gradient_matches_finite_differences(loss):
    logits, labels = random_batch()
    leaf = logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss.per_example(z, labels), leaf)
    assert torch.autograd.gradgradcheck(lambda z: loss.per_example(z, labels), leaf)


@pytest.mark.parametrize("loss", BATCH_LOSSES, ids=str)
def test_gradient_of_a_batch_matches_finite_differences(loss):
    logits, labels = random_batch()
    leaf = logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), leaf)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, labels), leaf)


@every_loss
def test_blocks_of_rows_change_nothing(loss, monkeypatch):
    logits, labels = random_batch(num_examples=7)
    whole = loss.per_example(logits, labels), gradient(loss, logits, labels)
    monkeypatch.setattr(fused, "_BLOCK", dict.fromkeys((True, False), 9))
    assert torch.equal(loss.per_example(logits, labels), whole[0])
    assert torch.equal(gradient(loss, logits, labels), whole[1])


@every_loss
def test_many_classes_take_another_softmax_and_the_same_numbers(loss):
    logits, labels = random_batch(num_examples=3, num_classes=70)
    pairs = list(zip(logits.tolist(), labels.tolist(), strict=True))
    exact = [float(loss_oracle.value(loss, *pair)) for pair in pairs]
    values = loss.per_example(logits.requires_grad_(), labels)
    assert values.tolist() == pytest.approx(exact, rel=1e-12)
    # Autograd of the other form, which shares no formula with the closed one.
    (twice,) = torch.autograd.grad(values.sum(), logits, create_graph=True)
    torch.testing.assert_close(
        gradient(loss, logits.detach(), labels), twice.detach(), rtol=1e-11, atol=1e-13
    )


@pytest.mark.parametrize(
    "loss",
    [loss for loss in ALL_LOSSES if isinstance(loss, (AdaFocal, DualFocal, FLSD))],
    ids=str,
)
@given(batch=batches())
def test_the_closed_form_is_the_gradient_of_the_plain_one(loss, batch):
    # Ties and labels with nothing below them, too.
    assume(not is_near_edge(loss, batch))
    logits, labels = batch[0].clone().requires_grad_(), batch[1]
    values = loss.per_example(logits, labels)
    plain = loss.differentiable(logits, labels)
    torch.testing.assert_close(values, plain, rtol=1e-11, atol=1e-13)
    (expected,) = torch.autograd.grad(plain.sum(), logits)
    torch.testing.assert_close(gradient(loss, *batch), expected, rtol=1e-10, atol=1e-13)


# Those that ask nothing of a class that is not possible.
@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropy(),
        EntropyRegularization(alpha=0.3),
        Focal(gamma=0.5),
        Focal(gamma=3, detached=True),
        Brier(),
        FLSD(),
        DualFocal(gamma=3),
        AdaFocal(num_bins=3, gammas=(0.3, -1.5, 4.0), edges=(0.31, 0.77)),
    ],
    ids=str,
)
def test_a_class_with_a_logit_of_minus_infinity_is_no_class(loss):
    logits, labels = random_batch()
    masked = torch.nn.functional.pad(logits, (0, 1), value=-math.inf)
    torch.testing.assert_close(
        loss.per_example(masked, labels), loss.per_example(logits, labels)
    )
    grad = gradient(loss, masked, labels)
    torch.testing.assert_close(grad[:, :-1], gradient(loss, logits, labels))
    assert grad[:, -1].abs().max() == 0


@every_loss
def test_transforms_of_functions_see_the_same_gradients(loss):
    logits, labels = random_batch(num_examples=3)

    def of_one(row, label):
        return loss(row[None], label[None])

    each = torch.func.vmap(torch.func.grad(of_one))(logits, labels)
    torch.testing.assert_close(each, gradient(loss, logits, labels))
    hessian = torch.func.jacrev(torch.func.jacrev(of_one))(logits[0], labels[0])
    expected = torch.autograd.functional.hessian(
        lambda row: of_one(row, labels[0]), logits[0]
    )
    torch.testing.assert_close(hessian, expected)


EXTREMES = [
    [1e4, -1e4, 0.0],
    [-1e4, 1e4, 1e4],
    [-1e4, 1e4, 0.0],
    [1e4, 1e4, 1e4],
    [-1e4, -1e4, -1e4],
    [0.0, 0.0, 0.0],
    [20.0, -20.0, -20.0],
    [100.0, 0.0, 0.0],
    [1e-30, 0.0, -1e-30],
]


@every_loss
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str
)
def test_extreme_logits_have_finite_values_and_gradients(loss, dtype):
    logits = torch.tensor(EXTREMES).to(dtype)
    labels = torch.zeros(len(logits), dtype=torch.int64)
    values = loss.per_example(logits, labels)
    grad = gradient(loss, logits, labels)
    assert values.dtype == torch.float32
    assert grad.dtype == dtype
    assert values.isfinite().all()
    assert grad.isfinite().all()
    # Wrong by 2e4 in the logits: every loss must pull towards the label, except that
    # the Brier score is bounded, and that the length of logits divides its gradient.
    if not isinstance(loss, (Brier, LogitNorm)):
        assert grad[1, 0] < -0.8


@pytest.mark.parametrize("loss", [*BATCH_LOSSES, LogitNorm()], ids=str)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str
)
def test_extreme_logits_of_a_batch_have_a_finite_value_and_gradient(loss, dtype):
    rows = [*EXTREMES, [1e-7, -1e-7, 0.0]]
    logits = torch.tensor(rows).to(dtype).requires_grad_()
    for label in range(3):
        value = loss(logits, torch.full((len(rows),), label))
        (grad,) = torch.autograd.grad(value, logits)
        assert value.dtype == torch.float32
        assert grad.dtype == dtype
        assert value.isfinite()
        assert grad.isfinite().all()


@pytest.mark.parametrize("loss", BATCH_LOSSES, ids=str)
@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.1, 1.0, 30.0, 1e3])
def test_a_batch_of_any_scale_has_a_finite_gradient(loss, scale):
    """Most bins of confidence are all but empty where all logits are small."""
    logits, labels = random_batch(num_examples=64, num_classes=10, scale=scale)
    logits = logits.float().requires_grad_()
    (grad,) = torch.autograd.grad(loss(logits, labels), logits)
    assert grad.isfinite().all()


@every_loss
@given(batch=batches(largest=1e4))
def test_single_precision_is_close_to_double_anywhere(loss, batch):
    assume(not is_near_edge(loss, batch, distance=1e-5))
    logits, labels = batch[0].float(), batch[1]
    exact = loss.per_example(logits.double(), labels)
    single = loss.per_example(logits, labels)
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        gradient(loss, logits, labels).double(),
        gradient(loss, logits.double(), labels),
        rtol=1e-3,
        atol=1e-3,
    )


@every_loss
def test_half_precision_is_widened_before_anything_else(loss):
    logits, labels = random_batch()
    for dtype in (torch.bfloat16, torch.float16):
        half = logits.to(dtype)
        assert torch.equal(
            loss.per_example(half, labels), loss.per_example(half.float(), labels)
        )


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 1.0, 3.0])
def test_focal_keeps_its_gradient_where_the_probability_rounds_to_one(gamma):
    # p_y = 1 - e^-40 rounds to 1; the loss is about e^(-40 (1 + gamma)).
    logits, labels = torch.tensor([[40.0, 0.0]]).double(), torch.tensor([0])
    value = Focal(gamma=gamma).per_example(logits, labels).item()
    assert value == pytest.approx(math.exp(-40 * (1 + gamma)), rel=1e-9)
    # phi is (1 - p)^gamma (1 + gamma) there, and p_k - e_k is +-e^-40.
    grad = gradient(Focal(gamma=gamma), logits, labels)[0]
    expected = (1 + gamma) * math.exp(-40 * (1 + gamma))
    assert grad.tolist() == pytest.approx([-expected, expected], rel=1e-9)
