"""Cross-entropy with the class-wise calibration error of the batch's means."""

from dataclasses import dataclass

import torch

from calibench.losses.focal import Focal
from calibench.losses.global_batch import global_batch
from calibench.losses.log_probability import label_index, widened
from calibench.losses.parameters import (
    refuse_target,
    require_coefficient,
    require_num_classes,
)
from calibench.shapes import Labels, Logits, Scalar


@dataclass(frozen=True, kw_only=True)
class MDCA:
    """Cross-entropy plus the multi-class difference of confidence and accuracy.

    mean -ln p_y + weight / K sum_k |mean_i p_ik - mean_i [y_i = k]|; at least 0. With
    gamma above 0 focal loss takes the place of cross-entropy. There is no loss of one
    example: under data parallelism it is that of the global batch (`global_batch`).

    Raises:
        ParameterError: weight or gamma is not a finite number that is at least 0.

    Source:
        Hebbalaguppe, Prakash, Madan and Arora 2022, equation 5, who add it to focal
        loss.

    >>> import torch
    >>> MDCA(weight=1)(torch.zeros(1, 2), torch.tensor([0]))  # ln 2 + 1/2
    tensor(1.1931)
    """

    weight: float = 1.0
    gamma: float = 0.0

    def __post_init__(self) -> None:
        for name in ("weight", "gamma"):
            value = require_coefficient(f"MDCA: {name}", getattr(self, name))
            object.__setattr__(self, name, value)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        logits, labels = global_batch(logits, labels)
        probs = widened(logits).softmax(dim=1)
        one_hot = torch.zeros_like(probs).scatter(1, label_index(probs, labels), 1)
        error = (probs - one_hot).mean(dim=0).abs().mean()
        return Focal(gamma=self.gamma)(logits, labels) + self.weight * error

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: where labels can be fitted, both terms fall to 0 there.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> MDCA().target_confidence(num_classes=10)
        1.0
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "MDCA":
        """Refuse: the target is 1 whatever the weight is.

        Raises:
            ParameterError: Always.
        """
        refuse_target("MDCA", "weight", target, num_classes)
