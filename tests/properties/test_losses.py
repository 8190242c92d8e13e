import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from calibench.losses import (
    ACLS,
    FLSD,
    LOSSES,
    MDCA,
    MMCE,
    AdaFocal,
    CrossEntropy,
    DualFocal,
    EntropyRegularization,
    Focal,
    FocalSchedule,
    LabelSmoothing,
    LpNorm,
    MarginSmoothing,
    SoftBinnedECE,
    Squentropy,
)
from loss_batches import (
    ALL_LOSSES,
    BATCH_LOSSES,
    LOGIT_LOSSES,
    NORM_LOSSES,
    SOFTMAX_LOSSES,
    batches,
    entropy,
    gradient,
    is_near_edge,
)
from reference import loss_oracle
from reference import losses as reference

every_loss = pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
every_softmax_loss = pytest.mark.parametrize("loss", SOFTMAX_LOSSES, ids=str)
every_batch_loss = pytest.mark.parametrize("loss", BATCH_LOSSES, ids=str)
any_loss = pytest.mark.parametrize("loss", ALL_LOSSES + BATCH_LOSSES, ids=str)
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
        case _:
            return float(loss_oracle.value(loss, logits, label))


@every_loss
@given(batch=batches())
def test_value_is_the_definition(loss, batch):
    assume(not is_near_edge(loss, batch))
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


@every_batch_loss
@given(batch=batches())
def test_value_of_a_batch_is_the_definition(loss, batch):
    logits, labels = batch
    assume(not has_ties(logits))
    expected = loss_oracle.batch_value(loss, logits.tolist(), labels.tolist())
    assert loss(logits, labels).item() == pytest.approx(
        float(expected), rel=1e-12, abs=1e-13
    )


def has_ties(logits):
    top = logits.topk(2, dim=1).values
    return bool((top[:, 0] == top[:, 1]).any())


@any_loss
@given(batch=batches())
def test_repeating_the_batch_changes_nothing(loss, batch):
    logits, labels = batch
    twice = loss(logits.repeat(2, 1), labels.repeat(2))
    torch.testing.assert_close(twice, loss(logits, labels), rtol=1e-12, atol=1e-14)


@every_batch_loss
@given(batch=batches(), order=st.randoms(use_true_random=False))
def test_neither_classes_nor_examples_of_a_batch_have_an_order(loss, batch, order):
    logits, labels = batch
    assume(not has_ties(logits))
    classes, examples = (list(range(size)) for size in reversed(logits.shape))
    order.shuffle(classes)
    order.shuffle(examples)
    new_of_old = torch.tensor(classes).argsort()
    torch.testing.assert_close(
        loss(logits[examples][:, classes], new_of_old[labels[examples]]),
        loss(logits, labels),
        rtol=1e-12,
        atol=1e-13,
    )


@every_loss
@given(batch=batches(), order=st.randoms(use_true_random=False))
def test_classes_have_no_order(loss, batch, order):
    assume(not is_near_edge(loss, batch))
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
    assume(not is_near_edge(loss, batch))
    logits, labels = batch
    # A shift may round two logits that differ to the same number.
    assume(same_ranks(logits, logits + shift))
    torch.testing.assert_close(
        loss.per_example(logits + shift, labels),
        loss.per_example(logits, labels),
        rtol=1e-11,
        atol=1e-11,
    )


def same_ranks(logits, shifted):
    pairs = [each[:, :, None] < each[:, None] for each in (logits, shifted)]
    return torch.equal(*pairs)


@pytest.mark.parametrize("loss", LOGIT_LOSSES, ids=str)
def test_losses_of_the_logits_see_a_shift(loss):
    logits, labels = torch.tensor([[1.0, 0.0, 0.5]]), torch.tensor([0])
    assert abs(loss(logits + 5, labels) - loss(logits, labels)) > 1e-3


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
        LabelSmoothing(eps=0),
        LabelSmoothing(eps=0, over="other_classes"),
        MarginSmoothing(alpha=0),
        MarginSmoothing(margin=200, alpha=1),
        ACLS(top=0, others=0),
        ACLS(margin=200, top=1, others=1),
        Squentropy(alpha=0),
        FLSD(gammas=(0,), edges=()),
        DualFocal(gamma=0),
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


@given(batches())
def test_batch_losses_without_weight_are_cross_entropy_or_focal(batch):
    for loss in (MMCE(weight=0), MDCA(weight=0), SoftBinnedECE(weight=0)):
        torch.testing.assert_close(loss(*batch), CrossEntropy()(*batch))
    for loss in (
        MMCE(weight=0, gamma=3),
        MDCA(weight=0, gamma=3),
        SoftBinnedECE(weight=0, gamma=3),
    ):
        assert torch.equal(loss(*batch), Focal(gamma=3)(*batch))


@given(batches(), st.floats(0, 0.5))
def test_the_two_conventions_of_smoothing_differ_by_a_factor(batch, eps):
    num_classes = batch[0].shape[1]
    eps *= (num_classes - 1) / num_classes  # the other convention's stays below 1
    others = LabelSmoothing(eps=eps, over="other_classes")
    everywhere = LabelSmoothing(eps=eps * num_classes / (num_classes - 1))
    same = CrossEntropy(smoothing=everywhere.eps)
    for loss in (everywhere, same):
        torch.testing.assert_close(
            loss.per_example(*batch), others.per_example(*batch), rtol=1e-12, atol=1e-13
        )


@given(batches(), st.floats(0, 6))
def test_one_gamma_is_focal_loss_however_it_is_said(batch, gamma):
    focal = Focal(gamma=gamma).per_example(*batch)
    for loss in (
        FLSD(gammas=(gamma, gamma), edges=(0.5,)),
        FocalSchedule(gammas=(gamma,), milestones=()),
        AdaFocal(gamma=gamma),
        AdaFocal(num_bins=2, gammas=(gamma, gamma), edges=(0.5,)),
    ):
        torch.testing.assert_close(
            loss.per_example(*batch), focal, rtol=1e-12, atol=1e-13
        )


@given(batches(), st.floats(0, 8))
def test_dual_focal_is_between_focal_and_cross_entropy(batch, gamma):
    dual = DualFocal(gamma=gamma).per_example(*batch)
    assert (dual >= Focal(gamma=gamma).per_example(*batch) - 1e-12).all()
    assert (dual <= CrossEntropy().per_example(*batch) + 1e-12).all()


@given(batches())
def test_two_classes_brier_is_twice_a_square(batch):
    logits, labels = batch
    logits = logits[:, :2]
    labels = labels.clamp(max=1)
    p = CrossEntropy().per_example(logits, labels).neg().exp()
    value = LOSSES["brier"]().per_example(logits, labels)
    torch.testing.assert_close(value, 2 * (1 - p) ** 2, rtol=1e-9, atol=1e-13)


@given(batches())
def test_a_wide_soft_bin_holds_the_gap_of_the_batch(batch):
    logits, labels = batch
    assume(not has_ties(logits))
    confidence = logits.softmax(dim=1).amax(dim=1)
    gap = (confidence - (logits.argmax(dim=1) == labels).double()).mean().abs()
    for norm in (1, 2):
        loss = SoftBinnedECE(weight=1, num_bins=1, norm=norm)
        torch.testing.assert_close(
            loss(*batch), CrossEntropy()(*batch) + gap, rtol=1e-12, atol=1e-13
        )
