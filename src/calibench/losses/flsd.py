"""Focal loss whose gamma depends on the probability of the label."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from calibench.losses.focal_terms import (
    focal_slope,
    focal_values,
    label_terms,
    pull_by,
)
from calibench.losses.fused import fused
from calibench.losses.log_probability import label_log_odds, of_labels
from calibench.losses.parameters import (
    refuse_target,
    require_num_classes,
    require_steps,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class FLSD:
    """Focal loss with a gamma for each range of p_y; as it stands, FLSD-53.

    -(1 - p_y)^gamma(p_y) ln p_y with gamma(p) = gammas[i] for p in
    [edges[i - 1], edges[i]). The choice of gamma has no gradient. The loss jumps at an
    edge, so its optimum for an uncertain label may lie on one, and no link inverts it.

    Raises:
        ParameterError: A gamma is not in [0, inf), the edges do not ascend in (0, 1),
            or there is not one more gamma than edges.

    Source:
        Mukhoti et al. 2020, section 5: gamma 5 for p_y in [0, 0.2), else 3.

    >>> import torch
    >>> FLSD()(torch.zeros(1, 2), torch.tensor([0]))  # ln 2 / 8
    tensor(0.0866)
    """

    gammas: tuple[float, ...] = (5.0, 3.0)
    edges: tuple[float, ...] = (0.2,)

    def __post_init__(self) -> None:
        gammas, edges = require_steps("FLSD", self.gammas, self.edges, "edges")
        object.__setattr__(self, "gammas", gammas)
        object.__setattr__(self, "edges", edges)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        return fused(self, logits, labels)

    def differentiable(self, logits: Logits, labels: Labels) -> PerExample:
        # Not from the log-odds: of K equal logits this is 1 / K to the last bit.
        p = of_labels(logits.detach().softmax(dim=1), labels)
        return focal_values(label_log_odds(logits, labels), self._gamma_of(p))

    def with_gradient(
        self, logits: Logits, labels: Labels, gradient: Logits
    ) -> PerExample:
        label = label_terms(logits, labels, gradient)
        gamma = self._gamma_of(label.p)
        pull_by(focal_slope(label, gamma), label, gradient)
        return (-(label.others**gamma) * label.log_p).squeeze(1)

    def _gamma_of(self, p: Tensor) -> Tensor:
        gamma = torch.full_like(p, self.gammas[0])
        # Numbers and not a tensor of gammas: no copy to the device.
        for (low, high), edge in zip(pairwise(self.gammas), self.edges, strict=True):
            gamma = gamma + (high - low) * (p >= edge)
        return gamma

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: the loss of one example falls to 0 as p_y rises to 1.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> FLSD().target_confidence(num_classes=10)
        1.0
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "FLSD":
        """Refuse: the target is 1 whatever the gammas are.

        Raises:
            ParameterError: Always.
        """
        refuse_target("FLSD", "gammas", target, num_classes)
