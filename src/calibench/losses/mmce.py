"""Cross-entropy with a kernel estimate of the calibration error of the batch."""

from dataclasses import dataclass

from calibench.losses.focal import Focal
from calibench.losses.global_batch import global_batch
from calibench.losses.parameters import (
    refuse_target,
    require_coefficient,
    require_num_classes,
)
from calibench.losses.predicted import predicted
from calibench.shapes import Labels, Logits, Scalar

_WIDTH = 0.4


@dataclass(frozen=True, kw_only=True)
class MMCE:
    """Cross-entropy plus the squared maximum mean calibration error of the batch.

    mean -ln p_y + weight / B^2 sum_ij r_i r_j exp(-|c_i - c_j| / 0.4), c the
    confidence, r = c - [correct], over a batch of B examples; at least 0. With gamma
    above 0 focal loss takes the place of cross-entropy. There is no loss of one
    example: under data parallelism it is that of the global batch (`global_batch`).
    Memory grows with B^2.

    Raises:
        ParameterError: weight or gamma is not a finite number that is at least 0.

    Source:
        Kumar, Sarawagi and Jain 2018, equation 7. They add the root of the error, whose
        gradient is unbounded where the error is 0, or its form weighted by class.

    >>> import torch
    >>> MMCE(weight=1)(torch.zeros(1, 2), torch.tensor([0]))  # ln 2 + 1/4
    tensor(0.9431)
    """

    weight: float
    gamma: float = 0.0

    def __post_init__(self) -> None:
        for name in ("weight", "gamma"):
            value = require_coefficient(f"MMCE: {name}", getattr(self, name))
            object.__setattr__(self, name, value)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        logits, labels = global_batch(logits, labels)
        confidence, residual = predicted(logits, labels)
        distance = (confidence[:, None] - confidence).abs()
        products = residual[:, None] * residual
        error = (products * (-distance / _WIDTH).exp()).mean()
        return Focal(gamma=self.gamma)(logits, labels) + self.weight * error

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: where labels can be fitted, both terms fall to 0 there.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> MMCE(weight=2).target_confidence(num_classes=10)
        1.0
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "MMCE":
        """Refuse: the target is 1 whatever the weight is.

        Raises:
            ParameterError: Always.
        """
        refuse_target("MMCE", "weight", target, num_classes)
