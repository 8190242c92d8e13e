"""Focal loss, with the weight inside or outside the gradient."""

from dataclasses import dataclass

from torch.nn import functional as F

from calibench.losses.focal_terms import focal_slope, label_terms, pull_by
from calibench.losses.fused import fused
from calibench.losses.log_probability import label_log_odds
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
        label = label_terms(logits, labels, gradient)
        weight = label.others**self.gamma
        is_plain = self.gamma == 0 or self.detached
        pull_by(weight if is_plain else focal_slope(label, self.gamma), label, gradient)
        return (-weight * label.log_p).squeeze(1)

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
