"""Cross-entropy against smoothed labels, in the two conventions that are in use."""

import math
from dataclasses import dataclass

from calibench.losses.log_probability import log_probs, of_labels
from calibench.losses.parameters import (
    require_num_classes,
    require_real,
    require_target,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar
from calibench.validation import member

CONVENTIONS = ("all_classes", "other_classes")


@dataclass(frozen=True, kw_only=True)
class LabelSmoothing:
    """Negative log-likelihood of a label that gives up the share eps.

    -(1 - eps) ln p_y - eps mean ln p_k, in nats, with eps in [0, 1) and the mean
    `over` "all_classes" (eps / K for each, the label included) or "other_classes"
    (eps / (K - 1) for each other). The second with eps is the first with
    eps K / (K - 1). At least 0, unbounded above. Its optimum is the smoothed
    posterior, so not proper.

    Raises:
        ParameterError: eps is not a number in [0, 1), or the convention is unknown.

    Source:
        "all_classes": Szegedy et al. 2016, section 7, and `CrossEntropy(smoothing=)`;
        "other_classes": the code of Mukhoti et al. 2020.

    >>> import torch
    >>> loss = LabelSmoothing(eps=0.5, over="other_classes")
    >>> loss(torch.zeros(1, 2), torch.tensor([0]))  # ln 2
    tensor(0.6931)
    """

    eps: float
    over: str = "all_classes"

    def __post_init__(self) -> None:
        eps = require_real(
            "LabelSmoothing: eps",
            self.eps,
            allowed=lambda number: 0 <= number < 1,
            interval="in [0, 1)",
        )
        object.__setattr__(self, "eps", eps)
        member(self.over, CONVENTIONS, "convention of LabelSmoothing (over)")

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        log_p = log_probs(logits)
        log_likelihood = of_labels(log_p, labels)
        if self.over == "all_classes":
            spread = log_p.mean(dim=1)
        else:
            spread = (log_p.sum(dim=1) - log_likelihood) / (log_p.shape[1] - 1)
        return -(1 - self.eps) * log_likelihood - self.eps * spread

    def target_confidence(self, num_classes: int) -> float:
        """Return the label's share: 1 - eps + eps / K, or 1 - eps.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> round(LabelSmoothing(eps=0.05).target_confidence(num_classes=10), 9)
        0.955
        >>> LabelSmoothing(eps=0.25, over="other_classes").target_confidence(10)
        0.75
        """
        kept = (
            1 / require_num_classes(num_classes) if self.over == CONVENTIONS[0] else 0
        )
        return 1 - self.eps * (1 - kept)

    @classmethod
    def for_target_confidence(
        cls, target: float, num_classes: int, *, over: str = "all_classes"
    ) -> "LabelSmoothing":
        """Return the eps that aims at `target`; 1 is cross-entropy.

        Raises:
            ParameterError: The target is not in (1/K, 1], or the convention is unknown.

        >>> LabelSmoothing.for_target_confidence(0.75, num_classes=2)
        LabelSmoothing(eps=0.5, over='all_classes')
        """
        target = require_target(target, num_classes)
        over = member(over, CONVENTIONS, "convention of LabelSmoothing (over)")
        share = 1 - 1 / num_classes if over == "all_classes" else 1
        # Where the target is barely above 1/K, rounding may reach 1.
        return cls(eps=min((1 - target) / share, math.nextafter(1, 0)), over=over)
