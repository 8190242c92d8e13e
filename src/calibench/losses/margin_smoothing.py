"""Cross-entropy with a penalty on logits that trail by more than a margin."""

import math
from dataclasses import dataclass, replace

from calibench.errors import ParameterError
from calibench.losses.log_probability import log_probs, of_labels, widened
from calibench.losses.parameters import (
    confidence_of_gap,
    logit_gap,
    require_coefficient,
    require_num_classes,
    require_target,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class MarginSmoothing:
    """Cross-entropy plus what logits trail the largest one by beyond a margin (MbLS).

    -ln p_y + alpha sum_k max(0, max_j z_j - z_k - margin), alpha and margin at least
    0: a sum over classes, a mean over examples. alpha = 0 is cross-entropy. At least 0.
    Not proper, and no link inverts it: wherever a gap is the margin, several posteriors
    have the same optimum.

    Raises:
        ParameterError: alpha or margin is not a finite number that is at least 0.

    Source:
        Liu, Ben Ayed, Galdran and Dolz 2022, equation 9. Their code averages the
        penalty over classes, too: its 0.1 is 0.1 / K here, hence our default for
        10 classes.

    >>> import torch
    >>> loss = MarginSmoothing(margin=2, alpha=1)
    >>> loss(torch.tensor([[50.0, 0.0]]), torch.tensor([0]))  # 50 - 2
    tensor(48.)
    """

    margin: float = 6.0
    alpha: float = 0.01

    def __post_init__(self) -> None:
        for name in ("margin", "alpha"):
            value = require_coefficient(f"MarginSmoothing: {name}", getattr(self, name))
            object.__setattr__(self, name, value)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        wide = widened(logits)
        gaps = wide.amax(dim=1, keepdim=True) - wide
        excess = (gaps - self.margin).relu().sum(dim=1)
        return self.alpha * excess - of_labels(log_probs(wide), labels)

    def target_confidence(self, num_classes: int) -> float:
        """Return max(p(margin), 1 - alpha (K - 1)), p(d) = 1 / (1 + (K - 1) e^-d).

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> round(MarginSmoothing(margin=6).target_confidence(num_classes=10), 3)
        0.978
        """
        at_margin = confidence_of_gap(self.margin, require_num_classes(num_classes))
        return max(at_margin, 1 - self.alpha * (num_classes - 1))

    @classmethod
    def for_target_confidence(
        cls, target: float, num_classes: int, *, alpha: float = 0.01
    ) -> "MarginSmoothing":
        """Return the margin that aims at `target`; 1 is cross-entropy.

        Raises:
            ParameterError: The target is not in (1/K, 1], or alpha is too small to hold
                the network there.

        >>> loss = MarginSmoothing.for_target_confidence(0.95, num_classes=10)
        >>> round(loss.margin, 4)  # ln 171
        5.1417
        """
        target = require_target(target, num_classes)
        loss = cls(alpha=alpha)
        if target == 1:
            return replace(loss, alpha=0.0)
        found = replace(loss, margin=logit_gap(target, num_classes))
        if not math.isclose(found.target_confidence(num_classes), target, rel_tol=1e-9):
            least = (1 - target) / (num_classes - 1)
            msg = (
                f"MarginSmoothing: alpha = {alpha:g} is too small for a target of "
                f"{target:g} of {num_classes} classes. Take at least {least:g}."
            )
            raise ParameterError(msg)
        return found
