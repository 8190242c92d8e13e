"""What losses of batch statistics see of each example: its residual."""

from typing import NamedTuple

import torch

from calibench.losses.log_probability import label_log_odds, require_labels
from calibench.shapes import Labels, Logits, PerExample


class Predicted(NamedTuple):
    """The predicted class of each example.

    Attributes:
        confidence: Its probability.
        residual: Confidence minus correctness, in (-1, 1).
    """

    confidence: PerExample
    residual: PerExample


def predicted(logits: Logits, labels: Labels) -> Predicted:
    """Return confidence and residual; which class is predicted has no gradient.

    >>> predicted(torch.zeros(1, 2), torch.tensor([0])).residual
    tensor([-0.5000])
    """
    require_labels(labels, logits.shape)
    top = logits.argmax(dim=1)
    log_odds = label_log_odds(logits, top)
    confidence = log_odds.sigmoid()
    # Of 1 - c and not of c - 1: it keeps its digits where c rounds to 1.
    residual = torch.where(top == labels, -log_odds.neg().sigmoid(), confidence)
    return Predicted(confidence, residual)
