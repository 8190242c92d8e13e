"""Cross-entropy, with optional label smoothing."""

import math
from dataclasses import dataclass

from calibench.losses.log_probability import log_probs, of_labels
from calibench.losses.parameters import (
    require_num_classes,
    require_real,
    require_target,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Negative log-likelihood in nats, optionally against smoothed labels.

    -(1 - eps) ln p_y - (eps / K) sum_k ln p_k: the smoothing eps in [0, 1) is spread
    over all K classes, the label included. Other codes spread it over the K - 1 others:
    their eps is (K - 1) / K of ours. At least 0, unbounded above.

    Raises:
        ParameterError: The smoothing is not a number in [0, 1).

    Source:
        Smoothing: Szegedy et al. 2016, section 7.

    >>> import torch
    >>> CrossEntropy()(torch.zeros(1, 2), torch.tensor([0]))  # ln 2
    tensor(0.6931)
    """

    smoothing: float = 0.0

    def __post_init__(self) -> None:
        smoothing = require_real(
            "CrossEntropy: smoothing",
            self.smoothing,
            allowed=lambda number: 0 <= number < 1,
            interval="in [0, 1)",
        )
        object.__setattr__(self, "smoothing", smoothing)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        log_p = log_probs(logits)
        log_likelihood = of_labels(log_p, labels)
        if self.smoothing == 0:
            return -log_likelihood
        return -(1 - self.smoothing) * log_likelihood - self.smoothing * log_p.mean(1)

    def target_confidence(self, num_classes: int) -> float:
        """Return 1 - eps + eps / K: the smoothed label itself.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> round(CrossEntropy(smoothing=0.05).target_confidence(num_classes=10), 9)
        0.955
        """
        return 1 - self.smoothing * (1 - 1 / require_num_classes(num_classes))

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "CrossEntropy":
        """Return the smoothing that aims at `target`; 1 is plain cross-entropy.

        Raises:
            ParameterError: The target is not in (1/K, 1].

        >>> CrossEntropy.for_target_confidence(0.75, num_classes=2)
        CrossEntropy(smoothing=0.5)
        """
        target = require_target(target, num_classes)
        smoothing = (1 - target) * num_classes / (num_classes - 1)
        # Where the target is barely above 1/K, rounding may reach 1.
        return cls(smoothing=min(smoothing, math.nextafter(1, 0)))
