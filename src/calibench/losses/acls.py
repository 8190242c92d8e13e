"""Cross-entropy with a penalty that grows with what a logit exceeds a margin by."""

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
class ACLS:
    """Cross-entropy with adaptive and conditional label smoothing.

    -ln p_y + top max(0, z_t - margin)^2
    + others / (K - 1) sum over k != t of max(0, z_t - z_k - margin)^2,
    t the class of the largest logit, which is held constant in the last sum. So the
    smoothing of a class, p_k moved by twice its weight times its excess, grows with the
    excess and is 0 within the margin. Weights and margin are at least 0; both weights 0
    is cross-entropy. At least 0.

    Raises:
        ParameterError: A weight or the margin is not a finite number of at least 0.

    Source:
        Park, Noh, Oh, Baek and Ham 2023, in the form of the authors' code: its alpha
        times its lambda_1 is `top`, times its lambda_2 `others`. We sum what ties for
        the largest logit once, not once for each.

    >>> import torch
    >>> loss = ACLS(margin=2, top=1, others=1)
    >>> loss(torch.tensor([[50.0, 0.0]]), torch.tensor([0]))  # 48^2 + 48^2
    tensor(4608.)
    """

    margin: float = 6.0
    top: float = 0.1
    others: float = 0.01

    def __post_init__(self) -> None:
        for name in ("margin", "top", "others"):
            value = require_coefficient(f"ACLS: {name}", getattr(self, name))
            object.__setattr__(self, name, value)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        wide = widened(logits)
        index = wide.argmax(dim=1)
        largest = of_labels(wide, index)
        lead = (largest - self.margin).relu().square()
        # At the largest logit itself the difference is 0 and its excess, too.
        behind = (largest.detach()[:, None] - wide - self.margin).relu().square()
        trail = behind.sum(dim=1) / (wide.shape[1] - 1)
        penalty = self.top * lead + self.others * trail
        return penalty - of_labels(log_probs(wide), labels)

    def target_confidence(self, num_classes: int) -> float:
        """Return p(d) with 1 - p(d) = 2 others max(0, d - margin), by bisection.

        d is the label's logit less any other and p(d) = 1 / (1 + (K - 1) e^-d). Any
        `top` above 0 moves all logits and not d. With 0 nothing holds the label's
        logit, all rise for ever, and d settles where K (1 - p(d)) stands for 1 - p(d).

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> round(ACLS().target_confidence(num_classes=10), 4)
        0.9879
        """
        num_classes = require_num_classes(num_classes)
        if self.others == 0:
            return 1.0
        pull = 1 if self.top else num_classes
        low, high = self.margin, self.margin + pull / (2 * self.others)
        while low < (middle := (low + high) / 2) < high:
            smoothing = 2 * self.others * (middle - self.margin)
            is_above = pull * (1 - confidence_of_gap(middle, num_classes)) < smoothing
            low, high = (low, middle) if is_above else (middle, high)
        return confidence_of_gap(low, num_classes)

    @classmethod
    def for_target_confidence(
        cls, target: float, num_classes: int, *, top: float = 0.1, others: float = 0.01
    ) -> "ACLS":
        """Return the margin that aims at `target`; 1 is without penalties.

        Raises:
            ParameterError: The target is not in (1/K, 1], or `others` is too small to
                hold the network there.

        >>> loss = ACLS.for_target_confidence(0.99, num_classes=10)
        >>> round(loss.target_confidence(num_classes=10), 9)
        0.99
        """
        target = require_target(target, num_classes)
        loss = cls(top=top, others=others)
        if target == 1:
            return replace(loss, top=0.0, others=0.0)
        gap = logit_gap(target, num_classes)
        wanted = (1 - target) * (1 if loss.top else num_classes)
        excess = wanted / (2 * others) if others else math.inf
        if excess > gap:
            msg = (
                f"ACLS: others = {others:g} is too small to hold {num_classes} classes "
                f"at a target of {target:g}. Take {wanted / (2 * gap):g} or more."
            )
            raise ParameterError(msg)
        return replace(loss, margin=gap - excess)
