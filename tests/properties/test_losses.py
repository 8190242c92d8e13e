import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from calibench.losses import CrossEntropy, EntropyRegularization, Focal, LpNorm
from loss_batches import (
    ALL_LOSSES,
    NORM_LOSSES,
    SOFTMAX_LOSSES,
    batches,
    entropy,
    gradient,
)
from reference import losses as reference

every_loss = pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
every_softmax_loss = pytest.mark.parametrize("loss", SOFTMAX_LOSSES, ids=str)
every_norm_loss = pytest.mark.parametrize("loss", NORM_LOSSES, ids=str)


def reference_value(loss, logits, label):
    match loss:
        case CrossEntropy():
            return reference.cross_entropy(logits, label, smoothing=loss.smoothing)
        case LpNorm():
            return reference.lp_norm(logits, label, alpha=loss.alpha, p=loss.p)
        case EntropyRegularization():
            return reference.entropy_regularization(logits, label, alpha=loss.alpha)
        case Focal():
            return reference.focal(logits, label, gamma=loss.gamma)


@every_loss
@given(batch=batches())
def test_value_is_the_definition(loss, batch):
    logits, labels = batch
    expected = [
        reference_value(loss, row, label)
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    torch.testing.assert_close(
        loss.per_example(logits, labels),
        torch.tensor(expected, dtype=torch.float64),
        rtol=1e-12,
        atol=1e-13,
    )


@every_loss
@given(batch=batches())
def test_batch_value_is_the_mean_of_the_examples(loss, batch):
    values = loss.per_example(*batch)
    assert loss(*batch).item() == pytest.approx(sum(values.tolist()) / len(values))


@every_loss
@given(batch=batches())
def test_repeating_the_batch_changes_nothing(loss, batch):
    logits, labels = batch
    twice = loss(logits.repeat(2, 1), labels.repeat(2))
    torch.testing.assert_close(twice, loss(logits, labels), rtol=1e-12, atol=1e-14)


@every_loss
@given(batch=batches(), order=st.randoms(use_true_random=False))
def test_classes_have_no_order(loss, batch, order):
    logits, labels = batch
    permutation = list(range(logits.shape[1]))
    order.shuffle(permutation)
    new_of_old = torch.tensor(permutation).argsort()
    torch.testing.assert_close(
        loss.per_example(logits[:, permutation], new_of_old[labels]),
        loss.per_example(logits, labels),
        rtol=1e-12,
        atol=1e-13,
    )


@every_softmax_loss
@given(batch=batches(), shift=st.floats(-30, 30))
def test_losses_of_the_softmax_ignore_a_shift(loss, batch, shift):
    logits, labels = batch
    torch.testing.assert_close(
        loss.per_example(logits + shift, labels),
        loss.per_example(logits, labels),
        rtol=1e-11,
        atol=1e-11,
    )


@every_norm_loss
def test_norm_loss_sees_a_shift(loss):
    logits, labels = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0])
    assert loss(logits + 5, labels) > loss(logits, labels) + loss.alpha * 4


@given(batches())
def test_losses_without_strength_are_cross_entropy(batch):
    plain = CrossEntropy().per_example(*batch)
    tolerance = {"rtol": 1e-12, "atol": 1e-13}
    for loss in (
        CrossEntropy(smoothing=0),
        EntropyRegularization(alpha=0),
        LpNorm(alpha=0),
        LpNorm(alpha=0, p=3),
        Focal(gamma=0),
        Focal(gamma=0, detached=True),
    ):
        torch.testing.assert_close(loss.per_example(*batch), plain, **tolerance)
        torch.testing.assert_close(
            gradient(loss, *batch), gradient(CrossEntropy(), *batch), **tolerance
        )


@given(batches(), st.floats(0, 5))
def test_detaching_the_focal_weight_keeps_the_value(batch, gamma):
    full, detached = Focal(gamma=gamma), Focal(gamma=gamma, detached=True)
    assert torch.equal(full.per_example(*batch), detached.per_example(*batch))


@given(batches(), st.floats(1, 20), st.floats(1, 20))
def test_norms_fall_as_p_rises(batch, p, larger_p):
    p, larger_p = sorted((p, larger_p))
    smaller = LpNorm(alpha=1, p=larger_p).per_example(*batch)
    assert (smaller <= LpNorm(alpha=1, p=p).per_example(*batch) + 1e-10).all()


@given(batches(), st.floats(0, 8))
def test_focal_is_at_least_cross_entropy_less_gamma_times_entropy(batch, gamma):
    bound = CrossEntropy().per_example(*batch) - gamma * entropy(batch[0])
    assert (Focal(gamma=gamma).per_example(*batch) >= bound - 1e-12).all()
