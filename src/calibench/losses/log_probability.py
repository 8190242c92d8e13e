"""Stable logarithms of probabilities, shared by the losses.

Half-precision logits are widened to float32 first: bfloat16 carries 8 bits, too few for
the sum over classes. float32 and float64 stay as they are.
"""

import torch
from torch.nn import functional as F

from calibench.shapes import Labels, Logits, PerExample, PerRow

# On a CPU torch's softmax takes six times as long as its parts for 10 classes, and
# two thirds as long for a thousand.
_FEW_CLASSES = 64


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


def softmax_into(probs: Logits, logits: Logits) -> tuple[PerRow, PerRow]:
    """Write the softmax into `probs`; return each row's largest logit and its ln p.

    Then ln p = z - max z + ln max p for every class, finite where p underflows: the
    largest p is 1 / sum_k exp(z_k - max z). A softmax and a difference take half the
    time of a log-softmax and an exponential.

    >>> softmax_into(torch.empty(1, 2), torch.tensor([[3.0, 3.0]]))
    (tensor([[3.]]), tensor([[-0.6931]]))
    """
    largest = logits.amax(dim=1, keepdim=True)
    if logits.shape[1] > _FEW_CLASSES:
        torch.softmax(logits, dim=1, out=probs)
        return largest, probs.amax(dim=1, keepdim=True).log()
    total = torch.sub(logits, largest, out=probs).exp_().sum(dim=1, keepdim=True)
    probs.div_(total)
    return largest, -total.log()


def of_labels(values: Logits, labels: Labels) -> PerExample:
    """Return each example's value at its label.

    Unlike `torch.nn.functional.nll_loss`, no label means "ignore this example".

    >>> of_labels(torch.tensor([[1.0, 2.0]]), torch.tensor([1]))
    tensor([2.])
    """
    return values.gather(1, labels.long()[:, None]).squeeze(1)


def subtract_one_hot(probs: Logits, labels: Labels) -> None:
    """Subtract 1 at each example's label, in place.

    >>> probs = torch.tensor([[0.25, 0.75]])
    >>> subtract_one_hot(probs, torch.tensor([1]))
    >>> probs
    tensor([[ 0.2500, -0.2500]])
    """
    index = labels.long()[:, None]
    # Not scatter_add_, which may sum in any order on a GPU and is refused for that.
    probs.scatter_(1, index, probs.gather(1, index) - 1)


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
