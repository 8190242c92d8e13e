"""Focal loss, with the weight inside or outside the gradient."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from calibench.losses.fused import fused
from calibench.losses.log_probability import label_log_odds, softmax_into
from calibench.losses.parameters import (
    refuse_target,
    require_coefficient,
    require_flag,
    require_num_classes,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class Focal:
    """Cross-entropy, discounted where the label is already likely.

    -(1 - p_y)^gamma ln p_y, gamma >= 0; gamma = 0 is cross-entropy. At least 0,
    unbounded above. `detached` keeps the weight (1 - p_y)^gamma out of the gradient:
    the same values, another loss. Neither is proper: where the label is uncertain the
    optimum is not its distribution.

    Raises:
        ParameterError: gamma is not a finite number that is at least 0, or `detached`
            is not a bool.

    Source:
        Lin et al. 2017, equation 4, here over K classes and without their class
        weight; for calibration Mukhoti et al. 2020, section 3. Computed from 1 - p_y
        as a sum of the others: autograd of the formula as it stands gives NaN for
        0 < gamma < 1 once p_y rounds to 1, where the gradient is 0.

    >>> import torch
    >>> Focal(gamma=1)(torch.zeros(1, 2), torch.tensor([0]))  # ln 2 / 2
    tensor(0.3466)
    """

    gamma: float
    detached: bool = False

    def __post_init__(self) -> None:
        gamma = require_coefficient("Focal: gamma", self.gamma)
        object.__setattr__(self, "gamma", gamma)
        require_flag("Focal: detached", self.detached)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        return fused(self, logits, labels)

    def differentiable(self, logits: Logits, labels: Labels) -> PerExample:
        log_odds = label_log_odds(logits, labels)
        log_p, log_1_minus_p = F.logsigmoid(log_odds), F.logsigmoid(-log_odds)
        weight = (self.gamma * log_1_minus_p).exp()
        return -(weight.detach() if self.detached else weight) * log_p

    def with_gradient(
        self, logits: Logits, labels: Labels, gradient: Logits
    ) -> PerExample:
        index = labels.long()[:, None]
        largest, log_top = softmax_into(gradient, logits)
        log_p = logits.gather(1, index) - largest + log_top
        p = gradient.gather(1, index)
        # 1 - p_y as the sum of the others keeps its digits where p_y rounds to 1.
        others = gradient.scatter_(1, index, 0).sum(dim=1, keepdim=True)
        log_p = torch.where(p > 0.5, torch.log1p(-others), log_p)
        weight = others**self.gamma
        slope = weight
        if self.gamma > 0 and not self.detached:
            surprise = torch.where(others > 0, -log_p / others, 1.0)
            slope = weight * (1 + self.gamma * p * surprise)
        gradient.mul_(slope).scatter_(1, index, -slope * others)
        return (-weight * log_p).squeeze(1)

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: the loss of one example falls to 0 as p_y rises to 1.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> Focal(gamma=3).target_confidence(num_classes=10)
        1.0
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "Focal":
        """Refuse: the target is 1 whatever gamma is, so it chooses none.

        Raises:
            ParameterError: Always.

        >>> Focal.for_target_confidence(0.95, num_classes=10)
        Traceback (most recent call last):
        calibench.errors.ParameterError: Focal: no gamma has target confidence 0.95 ...
        """
        refuse_target("Focal", "gamma", target, num_classes)
