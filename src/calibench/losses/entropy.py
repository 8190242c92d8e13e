"""Cross-entropy with a reward for the entropy of the prediction."""

import math
from dataclasses import dataclass

import torch

from calibench.losses.fused import fused
from calibench.losses.log_probability import (
    log_probs,
    of_labels,
    softmax_into,
    subtract_one_hot,
)
from calibench.losses.parameters import (
    confidence_of_gap,
    logit_gap,
    require_coefficient,
    require_num_classes,
    require_target,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class EntropyRegularization:
    """Cross-entropy minus alpha times the prediction's entropy, the confidence penalty.

    -ln p_y - alpha H(p), H(p) = -sum_k p_k ln p_k in nats: a sum over classes, a mean
    over examples. Codes that average the entropy over examples *and* classes apply
    alpha / K. At least -alpha ln K; alpha = 0 is cross-entropy.

    Raises:
        ParameterError: alpha is not a finite number that is at least 0.

    Source:
        Pereyra et al. 2017, section 3.

    >>> import torch
    >>> EntropyRegularization(alpha=1)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.)
    """

    alpha: float

    def __post_init__(self) -> None:
        alpha = require_coefficient("EntropyRegularization: alpha", self.alpha)
        object.__setattr__(self, "alpha", alpha)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        return fused(self, logits, labels)

    def differentiable(self, logits: Logits, labels: Labels) -> PerExample:
        log_p = log_probs(logits)
        negative_entropy = (log_p.exp() * log_p.clamp(min=_least(log_p))).sum(dim=1)
        return self.alpha * negative_entropy - of_labels(log_p, labels)

    def with_gradient(
        self, logits: Logits, labels: Labels, gradient: Logits
    ) -> PerExample:
        largest, log_top = softmax_into(gradient, logits)
        log_p = (logits - largest).add_(log_top)
        log_likelihood = of_labels(log_p, labels)
        products = log_p.clamp_(min=_least(log_p)).mul_(gradient)
        negative_entropy = products.sum(dim=1, keepdim=True)
        # p - e + alpha (p ln p - p sum_k p_k ln p_k)
        gradient.mul_(1 - self.alpha * negative_entropy)
        gradient.add_(products, alpha=self.alpha)
        subtract_one_hot(gradient, labels)
        return self.alpha * negative_entropy.squeeze(1) - log_likelihood

    def target_confidence(self, num_classes: int) -> float:
        """Return the p in (1/K, 1] with ln[(K - 1) p / (1 - p)] = 1 / (alpha p).

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> round(EntropyRegularization(alpha=0.2).target_confidence(num_classes=10), 3)
        0.954
        """
        others = require_num_classes(num_classes) - 1
        if self.alpha == 0:
            return 1.0
        return confidence_of_gap(_optimal_gap(self.alpha, others), num_classes)

    @classmethod
    def for_target_confidence(
        cls, target: float, num_classes: int
    ) -> "EntropyRegularization":
        """Return alpha = 1 / (p ln[(K - 1) p / (1 - p)]) for the target p.

        Raises:
            ParameterError: The target is not in (1/K, 1].

        >>> loss = EntropyRegularization.for_target_confidence(0.95, num_classes=10)
        >>> round(loss.alpha, 4)
        0.2047
        """
        target = require_target(target, num_classes)
        if target == 1:
            return cls(alpha=0.0)
        return cls(alpha=1 / (target * logit_gap(target, num_classes)))


def _least(log_p: Logits) -> float:
    """Return a bound of ln p so that p ln p is 0 and not NaN for a logit of -inf.

    Where p merely underflows ln p is finite already.
    """
    return torch.finfo(log_p.dtype).min


def _optimal_gap(alpha: float, others: int) -> float:
    """Return the root d of alpha d = 1 + others exp(-d), others = K - 1.

    d is the label's logit minus any other. The difference of the two sides is concave
    and increasing, so Newton's steps from 1 / alpha, left of the root, only go right.
    """
    gap = 1 / alpha
    while (tail := others * math.exp(-gap)) > 0:
        step = (1 + tail - alpha * gap) / (alpha + tail)
        if gap + step <= gap:
            break
        gap += step
    return gap
