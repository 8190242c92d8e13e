"""Cross-entropy of logits of one length."""

import math
from dataclasses import dataclass

from calibench.errors import ParameterError
from calibench.losses.log_probability import log_probs, of_labels, widened
from calibench.losses.parameters import (
    confidence_of_gap,
    logit_gap,
    require_num_classes,
    require_real,
    require_target,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar

# Where the direction of the logits stops to matter. It keeps the gradient below
# 1000 / tau, in the range of float16; at lengths of 1 it moves no digit before the 7th.
SHORTEST = 1e-3


@dataclass(frozen=True, kw_only=True)
class LogitNorm:
    """Cross-entropy of the logits divided by their length and a temperature tau.

    -ln softmax_y(z / (tau |z|)), tau > 0, |z| = sqrt(sum_k z_k^2 + 1e-6). Only the
    direction of the logits counts: what it trains is the probability of the *divided*
    logits, which `posthoc.LossLink` restores, and says nothing about softmax(z). That
    link is exact for posteriors within reach of the length 1 / tau.

    Raises:
        ParameterError: tau is not a finite number above 0.

    Source:
        Wei et al. 2022, equation 6. They add 1e-7 to the length, under which gradients
        leave the range of half precision near zero logits.

    >>> import torch
    >>> loss = LogitNorm(tau=1)
    >>> loss(torch.tensor([[1e4, 0.0]]), torch.tensor([0]))  # ln(1 + 1/e)
    tensor(0.3133)
    """

    tau: float = 0.04

    def __post_init__(self) -> None:
        tau = require_real(
            "LogitNorm: tau",
            self.tau,
            allowed=lambda number: 0 < number < math.inf,
            interval="in (0, inf)",
        )
        object.__setattr__(self, "tau", tau)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        wide = widened(logits)
        # Squares of logits overflow, of their ratios to the largest they do not.
        scale = wide.detach().abs().amax(dim=1, keepdim=True).clamp(min=SHORTEST)
        ratio = wide / scale
        squares = ratio.square().sum(dim=1, keepdim=True) + (SHORTEST / scale).square()
        divided = ratio * (squares.rsqrt() / self.tau)
        return -of_labels(log_probs(divided), labels)

    def target_confidence(self, num_classes: int) -> float:
        """Return 1 / (1 + (K - 1) exp(-sqrt(K / (K - 1)) / tau)), of divided logits.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> round(LogitNorm(tau=0.2).target_confidence(num_classes=10), 3)
        0.956
        """
        num_classes = require_num_classes(num_classes)
        widest = math.sqrt(num_classes / (num_classes - 1))
        return confidence_of_gap(widest / self.tau, num_classes)

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "LogitNorm":
        """Return tau = sqrt(K / (K - 1)) / ln[(K - 1) p / (1 - p)] for the target p.

        Raises:
            ParameterError: The target is not in (1/K, 1); tau would be 0 for 1.

        >>> round(LogitNorm.for_target_confidence(0.95, num_classes=10).tau, 4)
        0.205
        """
        target = require_target(target, num_classes)
        if target == 1:
            msg = (
                "LogitNorm: a target confidence of 1 asks for tau = 0. Take one below."
            )
            raise ParameterError(msg)
        widest = math.sqrt(num_classes / (num_classes - 1))
        return cls(tau=widest / logit_gap(target, num_classes))
