"""Losses, batches and gradients for the tests of losses."""

import math

import torch
from hypothesis import strategies as st

from calibench.losses import CrossEntropy, EntropyRegularization, Focal, LpNorm

SOFTMAX_LOSSES = [
    CrossEntropy(),
    CrossEntropy(smoothing=0.1),
    EntropyRegularization(alpha=0.3),
    Focal(gamma=0.5),
    Focal(gamma=3),
    Focal(gamma=0.5, detached=True),
]
NORM_LOSSES = [LpNorm(alpha=0.2, p=p) for p in (1, 1.5, 2, 3, 40, math.inf)]
ALL_LOSSES = SOFTMAX_LOSSES + NORM_LOSSES


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
