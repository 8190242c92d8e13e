"""Focal loss that also looks at the class behind the label."""

import math
from dataclasses import dataclass

import torch

from calibench.losses.focal_terms import label_terms, surprise
from calibench.losses.fused import fused
from calibench.losses.log_probability import label_index, log_probs, of_labels
from calibench.losses.parameters import (
    refuse_target,
    require_coefficient,
    require_num_classes,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class DualFocal:
    """Cross-entropy, discounted by the lead of the label over the next class.

    -(1 - p_y + p_j)^gamma ln p_y, gamma >= 0, with p_j the largest probability
    strictly below p_y, 0 where there is none. gamma = 0 is cross-entropy. At least 0,
    unbounded above. Not proper: `posthoc.LossLink` leads back from its optimum.

    Raises:
        ParameterError: gamma is not a finite number that is at least 0.

    Source:
        Tao, Dong and Xu 2023, equation 5. "Below" is decided by logits, where two
        probabilities that round to the same number still differ.

    >>> import torch
    >>> DualFocal(gamma=1)(torch.tensor([[1.0, 1.0]]), torch.tensor([0]))  # ln 2 / 2
    tensor(0.3466)
    """

    gamma: float

    def __post_init__(self) -> None:
        gamma = require_coefficient("DualFocal: gamma", self.gamma)
        object.__setattr__(self, "gamma", gamma)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        return fused(self, logits, labels)

    def differentiable(self, logits: Logits, labels: Labels) -> PerExample:
        log_p = log_probs(logits)
        index = label_index(logits, labels)
        is_below = logits < logits.gather(1, index)
        below = logits.masked_fill(~is_below, -torch.inf)
        behind = below.argmax(dim=1, keepdim=True)
        # ln(1 - p_y + p_j) as a sum of the others in which p_j counts twice: it keeps
        # its digits where p_y rounds to 1.
        added = is_below.gather(1, behind).to(log_p) * math.log(2)
        doubled = log_p + torch.zeros_like(log_p).scatter(1, behind, added)
        log_weight = doubled.scatter(1, index, -torch.inf).logsumexp(dim=1)
        return -(self.gamma * log_weight).exp() * of_labels(log_p, labels)

    def with_gradient(
        self, logits: Logits, labels: Labels, gradient: Logits
    ) -> PerExample:
        label = label_terms(logits, labels, gradient)
        own = logits.gather(1, label.at)
        below = torch.where(logits < own, logits, -torch.inf)
        behind = below.argmax(dim=1, keepdim=True)
        # Where nothing is below this is 0: a label is not below itself.
        p_behind = gradient.gather(1, behind) * (logits.gather(1, behind) < own)
        lead = label.others + p_behind
        weight = lead**self.gamma
        # d lead / dz_k = p_k (p_y - p_j) + p_j [k = j] for k other than the label.
        bend = self.gamma * weight * surprise(label, lead)
        gradient.mul_(weight + bend * (label.p - p_behind))
        at_behind = gradient.gather(1, behind) + bend * p_behind
        at_label = -weight * label.others - bend * label.p * lead
        gradient.scatter_(1, behind, at_behind).scatter_(1, label.at, at_label)
        return (-weight * label.log_p).squeeze(1)

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: the loss of one example falls to 0 as p_y rises to 1.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> DualFocal(gamma=5).target_confidence(num_classes=10)
        1.0
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "DualFocal":
        """Refuse: the target is 1 whatever gamma is.

        Raises:
            ParameterError: Always.
        """
        refuse_target("DualFocal", "gamma", target, num_classes)
