"""Values and gradients in double precision against mpmath, on a grid of logits."""

from itertools import product

import pytest
import torch

from calibench.losses import ACLS
from loss_batches import ALL_LOSSES, gradient, is_near_edge
from reference import loss_oracle

# Saturated both ways, far apart, near each other; no two equal, where kinks are.
GRID = [
    logits
    for logits in product(
        (-9999.0, -40.0, -0.7, 0.013), (-2e-7, 0.9, 38.0), (1.7, -3.1, 1e4)
    )
    if len(set(logits)) == 3
]


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
def test_values_and_gradients_on_a_grid(loss):
    logits = torch.tensor([row for row in GRID for _ in range(3)], dtype=torch.float64)
    labels = torch.arange(3).repeat(len(GRID))
    assert not is_near_edge(loss, (logits, labels))
    pairs = list(zip(logits.tolist(), labels.tolist(), strict=True))
    values = [float(loss_oracle.value(loss, *pair)) for pair in pairs]
    exact = torch.tensor(values, dtype=torch.float64)
    # Logits of 1e4 round at 1e-12, and so does whatever is made of their differences.
    torch.testing.assert_close(
        loss.per_example(logits, labels), exact, rtol=1e-11, atol=1e-11
    )
    if is_gradient_of_value(loss):
        slopes = [loss_oracle.gradient(loss, *pair) for pair in pairs]
        torch.testing.assert_close(
            gradient(loss, logits, labels),
            torch.tensor(slopes, dtype=torch.float64),
            rtol=1e-9,
            atol=1e-11,
        )


def is_gradient_of_value(loss):
    return not (getattr(loss, "detached", False) or isinstance(loss, ACLS))
