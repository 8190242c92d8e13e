"""Cross-entropy with a square for every other logit."""

from dataclasses import dataclass

from calibench.losses.log_probability import (
    label_index,
    log_probs,
    of_labels,
    widened,
)
from calibench.losses.parameters import (
    refuse_target,
    require_coefficient,
    require_num_classes,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class Squentropy:
    """Cross-entropy plus the mean square of the logits other than the label's.

    -ln p_y + alpha / (K - 1) sum over k != y of z_k^2, alpha >= 0. At least 0.
    alpha = 0 is cross-entropy. It changes when a constant is added to all logits. Not
    proper: `posthoc.LossLink` leads back from its optimum.

    Raises:
        ParameterError: alpha is not a finite number that is at least 0.

    Source:
        Hui, Belkin and Wright 2023, equation 1, which is alpha = 1.

    >>> import torch
    >>> Squentropy()(torch.tensor([[50.0, 3.0]]), torch.tensor([0]))  # 3^2
    tensor(9.)
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        alpha = require_coefficient("Squentropy: alpha", self.alpha)
        object.__setattr__(self, "alpha", alpha)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        wide = widened(logits)
        others = wide.scatter(1, label_index(wide, labels), 0)
        mean_square = others.square().sum(dim=1) / (wide.shape[1] - 1)
        return self.alpha * mean_square - of_labels(log_probs(wide), labels)

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: the label's logit is free to rise.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> Squentropy().target_confidence(num_classes=10)
        1.0
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "Squentropy":
        """Refuse: the target is 1 whatever alpha is.

        Raises:
            ParameterError: Always.
        """
        refuse_target("Squentropy", "alpha", target, num_classes)
