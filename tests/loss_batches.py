"""Losses, batches and gradients for the tests of losses."""

import math

import torch
from hypothesis import strategies as st

from calibench.losses import (
    ACLS,
    FLSD,
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

SOFTMAX_LOSSES = [
    CrossEntropy(),
    CrossEntropy(smoothing=0.1),
    EntropyRegularization(alpha=0.3),
    Focal(gamma=0.5),
    Focal(gamma=3),
    Focal(gamma=0.5, detached=True),
    Brier(),
    LabelSmoothing(eps=0.1),
    LabelSmoothing(eps=0.1, over="other_classes"),
    MarginSmoothing(margin=1.5, alpha=0.3),
    FLSD(),
    FocalSchedule(),
    DualFocal(gamma=0.5),
    DualFocal(gamma=3),
    AdaFocal(num_bins=3, gammas=(0.3, -1.5, 4.0), edges=(0.31, 0.77)),
]
NORM_LOSSES = [LpNorm(alpha=0.2, p=p) for p in (1, 1.5, 2, 3, 40, math.inf)]
# Of the logits themselves, which a shift changes.
LOGIT_LOSSES = [
    ACLS(margin=1.5, top=0.2, others=0.3),
    LogitNorm(tau=1),
    Squentropy(),
    Squentropy(alpha=0.1),
]
ALL_LOSSES = SOFTMAX_LOSSES + NORM_LOSSES + LOGIT_LOSSES
# Of the batch: an example has no loss of its own.
BATCH_LOSSES = [
    MMCE(weight=2),
    MMCE(weight=1, gamma=1),
    MDCA(weight=2),
    MDCA(weight=1, gamma=2),
    SoftBinnedECE(weight=2),
    SoftBinnedECE(weight=2, norm=1, num_bins=5, temperature=0.1),
]


def edges_of(loss):
    """Return the values of p_y at which a loss jumps."""
    return getattr(loss, "edges", ())


def is_near_edge(loss, batch, distance=1e-6):
    logits, labels = batch
    p = logits.double().softmax(dim=1)[torch.arange(len(labels)), labels]
    return any(((p - edge).abs() < distance).any() for edge in edges_of(loss))


@st.composite
def batches(draw, largest=30.0):
    num_examples = draw(st.integers(1, 4))
    num_classes = draw(st.integers(2, 5))
    logit = st.floats(-largest, largest, allow_subnormal=False)
    row = st.lists(logit, min_size=num_classes, max_size=num_classes)
    rows = draw(st.lists(row, min_size=num_examples, max_size=num_examples))
    label = st.integers(0, num_classes - 1)
    labels = draw(st.lists(label, min_size=num_examples, max_size=num_examples))
    return torch.tensor(rows, dtype=torch.float64), torch.tensor(labels)


def random_batch(num_examples=6, num_classes=4, scale=3.0):
    generator = torch.Generator().manual_seed(7)
    logits = torch.randn(
        num_examples, num_classes, dtype=torch.float64, generator=generator
    )
    labels = torch.randint(num_classes, (num_examples,), generator=generator)
    return scale * logits, labels


def gradient(loss, logits, labels):
    """Return the gradient of the sum: each row is the gradient of its own example."""
    leaf = logits.clone().requires_grad_()
    loss.per_example(leaf, labels).sum().backward()
    return leaf.grad


def entropy(logits):
    probs = logits.softmax(dim=1)
    return -torch.xlogy(probs, probs).sum(dim=1)
