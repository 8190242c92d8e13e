"""Cross-entropy with an ECE whose bins have soft edges."""

import math
from dataclasses import dataclass

import torch

from calibench.losses.focal import Focal
from calibench.losses.global_batch import global_batch
from calibench.losses.parameters import (
    refuse_target,
    require_coefficient,
    require_num_classes,
    require_real,
)
from calibench.losses.predicted import predicted
from calibench.options import whole_number
from calibench.shapes import Labels, Logits, Scalar


@dataclass(frozen=True, kw_only=True)
class SoftBinnedECE:
    """Cross-entropy plus the soft-binned calibration error of the batch.

    mean -ln p_y + weight (sum_b S_b / B |A_b - C_b|^norm)^(1 / norm). An example of
    confidence c belongs to bin b, of M, to the share u_b = softmax_b(-(c - x_b)^2 /
    temperature), x_b = (b - 1/2) / M; S_b is the sum of shares, A_b and C_b are means
    of correctness and confidence with shares as weights. Temperature 0 would be ECE
    for norm 1. At least 0. With gamma above 0 focal loss takes the place of
    cross-entropy. There is no loss of one example: under data parallelism it is that
    of the global batch (`global_batch`).

    Raises:
        ParameterError: A parameter is out of range; norm is 1 or 2.

    Source:
        Karandikar et al. 2021, equations 9 to 11 (SB-ECE, top label).

    >>> import torch
    >>> loss = SoftBinnedECE(weight=1, num_bins=1, norm=1)
    >>> loss(torch.zeros(1, 2), torch.tensor([0]))  # ln 2 + 1/2
    tensor(1.1931)
    """

    weight: float
    num_bins: int = 15
    temperature: float = 0.01
    norm: int = 2
    gamma: float = 0.0

    def __post_init__(self) -> None:
        for name in ("weight", "gamma"):
            value = require_coefficient(f"SoftBinnedECE: {name}", getattr(self, name))
            object.__setattr__(self, name, value)
        temperature = require_real(
            "SoftBinnedECE: temperature",
            self.temperature,
            allowed=lambda number: 1e-6 <= number < math.inf,
            interval="in [1e-6, inf)",
        )
        object.__setattr__(self, "temperature", temperature)
        whole_number(self.num_bins, "SoftBinnedECE: num_bins", 1, 10_000)
        whole_number(self.norm, "SoftBinnedECE: norm", 1, 2)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        logits, labels = global_batch(logits, labels)
        confidence, residual = predicted(logits, labels)
        places = 0.5 + torch.arange(
            self.num_bins, dtype=confidence.dtype, device=confidence.device
        )
        distance = confidence[:, None] - places / self.num_bins
        shares = (-distance.square() / self.temperature).softmax(dim=1)
        # S_b (C_b - A_b) / B, which needs no division by a bin's size.
        gaps = (shares * residual[:, None]).mean(dim=0)
        error = gaps.abs().sum()
        if self.norm == 2:
            sizes = shares.mean(dim=0)
            # Below this a bin counts for nothing, and the cube of a size is still a
            # number, by whose root the gradient divides.
            least = torch.finfo(sizes.dtype).tiny ** 0.5
            # The norm has gradient 0 where all gaps are 0; a root would have none.
            error = torch.linalg.vector_norm(gaps * sizes.clamp(min=least).rsqrt())
        return Focal(gamma=self.gamma)(logits, labels) + self.weight * error

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: where labels can be fitted, both terms fall to 0 there.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> SoftBinnedECE(weight=1).target_confidence(num_classes=10)
        1.0
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "SoftBinnedECE":
        """Refuse: the target is 1 whatever the weight is.

        Raises:
            ParameterError: Always.
        """
        refuse_target("SoftBinnedECE", "weight", target, num_classes)
