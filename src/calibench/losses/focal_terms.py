"""What the relatives of focal loss share."""

from torch.nn import functional as F

from calibench.shapes import PerExample


def focal_values(log_odds: PerExample, gamma: PerExample) -> PerExample:
    """Return -(1 - p)^gamma ln p with a gamma for each example, from its log-odds.

    >>> import torch
    >>> focal_values(torch.zeros(1), torch.tensor([1.0]))  # ln 2 / 2
    tensor([0.3466])
    """
    log_p, log_1_minus_p = F.logsigmoid(log_odds), F.logsigmoid(-log_odds)
    return -(gamma * log_1_minus_p).exp() * log_p
