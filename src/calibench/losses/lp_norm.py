"""Cross-entropy with a penalty on the norm of the logits."""

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
    require_coefficient,
    require_num_classes,
    require_real,
    require_target,
)
from calibench.shapes import Labels, Logits, PerExample, PerRow, Scalar


@dataclass(frozen=True, kw_only=True)
class LpNorm:
    """Cross-entropy plus alpha times the Lp norm of the logits.

    -ln p_y + alpha (sum_k |z_k|^p)^(1/p), p >= 1; p = inf is max_k |z_k|. At least 0;
    alpha = 0 is cross-entropy. Unlike softmax it changes when a constant is added to
    all logits. Where the norm has no gradient we take 0 at a zero logit (p = 1) and at
    zero logits (any p), and spread p = inf evenly over ties.

    Raises:
        ParameterError: alpha is not in [0, inf) or p not in [1, inf].

    Source:
        Wang et al. 2021 (p = 1). Codes that average the norm over classes, too, apply
        alpha / K.

    >>> import torch
    >>> LpNorm(alpha=1)(torch.tensor([[1e4, -1.0]]), torch.tensor([0]))
    tensor(10001.)
    """

    alpha: float
    p: float = 1.0

    def __post_init__(self) -> None:
        alpha = require_coefficient("LpNorm: alpha", self.alpha)
        p = require_real(
            "LpNorm: p",
            self.p,
            allowed=lambda number: number >= 1,
            interval="in [1, inf]",
        )
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "p", p)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        return fused(self, logits, labels)

    def differentiable(self, logits: Logits, labels: Labels) -> PerExample:
        return self.alpha * _norm(logits, self.p) - of_labels(log_probs(logits), labels)

    def with_gradient(
        self, logits: Logits, labels: Labels, gradient: Logits
    ) -> PerExample:
        largest, log_top = softmax_into(gradient, logits)
        log_likelihood = of_labels(logits, labels) - (largest - log_top).squeeze(1)
        subtract_one_hot(gradient, labels)
        norm, direction, length = _norm_and_slope(logits, self.p)
        gradient.addcdiv_(direction, length, value=self.alpha)
        return self.alpha * norm - log_likelihood

    def target_confidence(self, num_classes: int) -> float:
        """Return max(1/K, 1 - alpha c), c the cost of a unit gap between logits.

        c = [1 + (K - 1)^(1 - q)]^(-1/q), 1/p + 1/q = 1, is the least Lp norm of logits
        whose label is 1 above all others: 1 for p = 1, sqrt(1 - 1/K) for p = 2, 1/2
        for p = inf. From alpha = (K - 1) / (K c) on, the optimum is at zero logits.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> LpNorm(alpha=0.25).target_confidence(num_classes=10)
        0.75
        """
        chance = 1 / require_num_classes(num_classes)
        return max(chance, 1 - self.alpha * _unit_gap_norm(self.p, num_classes))

    @classmethod
    def for_target_confidence(
        cls, target: float, num_classes: int, *, p: float = 1.0
    ) -> "LpNorm":
        """Return alpha = (1 - target) / c, with c of `target_confidence`.

        Raises:
            ParameterError: The target is not in (1/K, 1] or p not in [1, inf].

        >>> LpNorm.for_target_confidence(0.75, num_classes=10)
        LpNorm(alpha=0.25, p=1.0)
        """
        target = require_target(target, num_classes)
        p = cls(alpha=0.0, p=p).p
        return cls(alpha=(1 - target) / _unit_gap_norm(p, num_classes), p=p)


def _norm(logits: Logits, p: float) -> PerExample:
    if p == 1:
        return logits.abs().sum(dim=1)
    if p == math.inf:
        return torch.linalg.vector_norm(logits, p, dim=1)
    # Powers of logits overflow; of their ratios to the largest they do not. The norm
    # is homogeneous, so the scale adds nothing to the gradient and is held constant.
    scale = logits.detach().abs().amax(dim=1, keepdim=True)
    scale = torch.where(scale > 0, scale, 1)
    return scale.squeeze(1) * torch.linalg.vector_norm(logits / scale, p, dim=1)


def _norm_and_slope(logits: Logits, p: float) -> tuple[PerExample, Logits, PerRow]:
    """Return the norm, and its gradient as a fraction: 0 where there is none."""
    if p == 1:
        sign = logits.sign()
        norm = (sign * logits).sum(dim=1)
        return norm, sign, torch.ones_like(norm)[:, None]
    largest = logits.abs().amax(dim=1, keepdim=True)
    if p == math.inf:
        ties = (logits.abs() == largest).to(logits.dtype)
        return largest.squeeze(1), logits.sign() * ties, ties.sum(dim=1, keepdim=True)
    ratio = logits / torch.where(largest > 0, largest, 1)
    # sign(r) |r|^(p - 1), whose product with r sums to the p-th power of the norm.
    powers = ratio if p == 2 else (ratio.abs() ** (p - 1)).copysign_(ratio)
    # Not a dot product, which may be taken in a precision below float32.
    length = (powers * ratio).sum(dim=1, keepdim=True) ** (1 / p)
    # Zero logits have no direction.
    divisor = torch.where(length > 0, length ** (p - 1), 1)
    return (largest * length).squeeze(1), powers, divisor


def _unit_gap_norm(p: float, num_classes: int) -> float:
    """Return the least Lp norm of K logits, one of them 1 above all others."""
    if p == 1:
        return 1.0
    others: float = num_classes - 1
    # With the dual exponent q: 1 - q = -1 / (p - 1) and 1 / q = 1 - 1 / p.
    return (1 + others ** (-1 / (p - 1))) ** (1 / p - 1)
