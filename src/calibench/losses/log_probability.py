"""Stable logarithms of probabilities, shared by the losses.

Half-precision logits are widened to float32 first: bfloat16 carries 8 bits, too few for
the sum over classes. float32 and float64 stay as they are.
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn import functional as F

from calibench.errors import DataError
from calibench.shapes import Labels, Logits, PerExample, PerRow

Index: TypeAlias = Int64[Tensor, "batch 1"]

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


def require_labels(labels: Tensor, shape: Sequence[int]) -> None:
    """Refuse labels that are not one class index for each row of logits.

    Fewer labels than rows would pass for those of the first rows, and 0.7 for class 0.
    Values are not looked at, which would wait for the device; a class out of range is
    an error of torch.

    Args:
        labels: Of a batch.
        shape: Of its logits.

    Raises:
        DataError: They are not whole numbers, or not as many as there are rows; or the
            logits are not [batch, classes] with 2 classes or more.

    >>> require_labels(torch.tensor([1]), (2, 3))
    Traceback (most recent call last):
    calibench.errors.DataError: Logits of shape (2, 3) need labels of shape (2,), ...
    """
    if len(shape) != 2 or shape[1] < 2:
        msg = (
            "Logits must have the shape (batch, classes), with 2 classes or more, got "
            f"{tuple(shape)}."
        )
        raise DataError(msg)
    if labels.is_floating_point() or labels.is_complex():
        msg = (
            f"Labels must be class indices, whole numbers, got {labels.dtype}. For "
            "one-hot rows give their argmax(dim=1)."
        )
        raise DataError(msg)
    if tuple(labels.shape) != (shape[0],):
        msg = (
            f"Logits of shape {tuple(shape)} need labels of shape ({shape[0]},), one "
            f"class index for each row, got {tuple(labels.shape)}."
        )
        raise DataError(msg)


def label_index(logits: Logits, labels: Labels) -> Index:
    """Return the labels as a column, which gathers from logits and scatters into them.

    Raises:
        DataError: They are not the labels of such logits, see `require_labels`.

    >>> label_index(torch.zeros(1, 3), torch.tensor([2]))
    tensor([[2]])
    """
    require_labels(labels, logits.shape)
    return labels.long()[:, None]


def of_labels(values: Logits, labels: Labels) -> PerExample:
    """Return each example's value at its label.

    Unlike `torch.nn.functional.nll_loss`, no label means "ignore this example".

    >>> of_labels(torch.tensor([[1.0, 2.0]]), torch.tensor([1]))
    tensor([2.])
    """
    return values.gather(1, label_index(values, labels)).squeeze(1)


def subtract_one_hot(probs: Logits, labels: Labels) -> None:
    """Subtract 1 at each example's label, in place.

    >>> probs = torch.tensor([[0.25, 0.75]])
    >>> subtract_one_hot(probs, torch.tensor([1]))
    >>> probs
    tensor([[ 0.2500, -0.2500]])
    """
    index = label_index(probs, labels)
    # Not scatter_add_, which may sum in any order on a GPU and is refused for that.
    probs.scatter_(1, index, probs.gather(1, index) - 1)


def label_log_odds(logits: Logits, labels: Labels) -> PerExample:
    """Return ln[p_y / (1 - p_y)] = -logsumexp over k != y of z_k - z_y, widened.

    Both ln p_y = logsigmoid(odds) and ln(1 - p_y) = logsigmoid(-odds) keep their
    relative precision, where 1 - p_y taken from p_y would round to 0.

    >>> label_log_odds(torch.tensor([[3.0, 1.0]]), torch.tensor([0]))
    tensor([2.])
    """
    wide, index = widened(logits), label_index(logits, labels)
    # Differences first: a logsumexp of large logits would keep their rounding error.
    above_label = wide - wide.gather(1, index)
    return -above_label.scatter(1, index, -torch.inf).logsumexp(dim=1)
