"""What focal loss and its relatives share: they see of an example only p_y."""

from typing import NamedTuple

import torch
from torch.nn import functional as F

from calibench.losses.log_probability import Index, label_index, softmax_into
from calibench.shapes import Labels, Logits, PerExample, PerRow


class OfLabel(NamedTuple):
    """The label's probability of each example, as a column.

    Attributes:
        p: p_y.
        log_p: ln p_y.
        others: 1 - p_y as a sum, which keeps its digits where p_y rounds to 1.
        at: Where the label is, for gather and scatter.
    """

    p: PerRow
    log_p: PerRow
    others: PerRow
    at: Index


def label_terms(logits: Logits, labels: Labels, probs: Logits) -> OfLabel:
    """Return p_y with its relatives; write into `probs` the softmax, 0 at the label.

    >>> probs = torch.empty(1, 2)
    >>> label_terms(torch.zeros(1, 2), torch.tensor([1]), probs).others
    tensor([[0.5000]])
    >>> probs
    tensor([[0.5000, 0.0000]])
    """
    index = label_index(logits, labels)
    largest, log_top = softmax_into(probs, logits)
    log_p = logits.gather(1, index) - largest + log_top
    p = probs.gather(1, index)
    others = probs.scatter_(1, index, 0).sum(dim=1, keepdim=True)
    log_p = torch.where(p > 0.5, torch.log1p(-others), log_p)
    return OfLabel(p, log_p, others, index)


def surprise(label: OfLabel, lead: PerRow) -> PerRow:
    """Return -ln p_y / lead, lead at least 1 - p_y, also where both have vanished.

    >>> label = OfLabel(*torch.tensor([[[1.0]], [[0.0]], [[0.0]], [[0.0]]]))
    >>> surprise(label, label.others)
    tensor([[1.]])
    """
    return torch.where(lead > 0, -label.log_p / lead, 1.0)


def pull_by(slope: PerRow, label: OfLabel, gradient: Logits) -> None:
    """Turn what `label_terms` wrote into slope (p - e), in place.

    >>> probs = torch.empty(1, 2)
    >>> label = label_terms(torch.zeros(1, 2), torch.tensor([1]), probs)
    >>> pull_by(2 * label.p, label, probs)
    >>> probs
    tensor([[ 0.5000, -0.5000]])
    """
    gradient.mul_(slope).scatter_(1, label.at, -slope * label.others)


def focal_slope(label: OfLabel, gamma: PerRow | float) -> PerRow:
    """Return phi(p) = (1 - p)^gamma [1 + gamma p (-ln p) / (1 - p)].

    >>> label = label_terms(torch.zeros(1, 2), torch.tensor([1]), torch.empty(1, 2))
    >>> focal_slope(label, 1.0)  # .5 + .5 ln 2
    tensor([[0.8466]])
    """
    more = gamma * label.p * surprise(label, label.others)
    return label.others**gamma * (1 + more)


def focal_values(log_odds: PerExample, gamma: PerExample) -> PerExample:
    """Return -(1 - p)^gamma ln p with a gamma for each example, from its log-odds.

    >>> focal_values(torch.zeros(1), torch.tensor([1.0]))  # ln 2 / 2
    tensor([0.3466])
    """
    log_p, log_1_minus_p = F.logsigmoid(log_odds), F.logsigmoid(-log_odds)
    return -(gamma * log_1_minus_p).exp() * log_p
