"""Stable logarithms of probabilities, shared by the losses.

Half-precision logits are widened to float32 first: bfloat16 carries 8 bits, too few for
the sum over classes. float32 and float64 stay as they are.
"""

import torch
from torch.nn import functional as F

from calibench.shapes import Labels, Logits, PerExample


def widened(logits: Logits) -> Logits:
    """Return the logits in float32 or, if they are wider, as they are.

    >>> widened(torch.zeros(1, 2, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def log_probs(logits: Logits) -> Logits:
    """Return ln p for every class, at most 0, widened.

    >>> log_probs(torch.zeros(1, 2)).exp()
    tensor([[0.5000, 0.5000]])
    """
    return F.log_softmax(widened(logits), dim=1)


def of_labels(values: Logits, labels: Labels) -> PerExample:
    """Return each example's value at its label.

    Unlike `torch.nn.functional.nll_loss`, no label means "ignore this example".

    >>> of_labels(torch.tensor([[1.0, 2.0]]), torch.tensor([1]))
    tensor([2.])
    """
    return values.gather(1, labels.long()[:, None]).squeeze(1)


def label_log_odds(logits: Logits, labels: Labels) -> PerExample:
    """Return ln[p_y / (1 - p_y)] = -logsumexp over k != y of z_k - z_y, widened.

    Both ln p_y = logsigmoid(odds) and ln(1 - p_y) = logsigmoid(-odds) keep their
    relative precision, where 1 - p_y taken from p_y would round to 0.

    >>> label_log_odds(torch.tensor([[3.0, 1.0]]), torch.tensor([0]))
    tensor([2.])
    """
    wide, index = widened(logits), labels.long()[:, None]
    # Differences first: a logsumexp of large logits would keep their rounding error.
    above_label = wide - wide.gather(1, index)
    return -above_label.scatter(1, index, -torch.inf).logsumexp(dim=1)
