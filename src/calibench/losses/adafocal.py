"""Focal loss whose gammas follow the calibration on held-out examples."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from calibench.binning import equal_mass, summarize
from calibench.errors import ParameterError
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
    require_coefficient,
    require_num_classes,
    require_real,
    require_sequence,
)
from calibench.options import whole_number
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class AdaFocal:
    """Focal loss with a gamma for each range of p_y, learned from held-out examples.

    -(1 - p_y)^gamma ln p_y where the gamma of p_y's bin is positive, and inverse focal
    loss, -(1 + p_y)^|gamma| ln p_y, where it is negative. `successor` lays equal-mass
    bins over the confidence of held-out examples and multiplies the gamma of each by
    exp(rate * gap), a negative one by exp(-rate * gap), gap = mean confidence -
    accuracy. A gamma whose size falls below `switch` changes sign and becomes
    +-`switch`; all stay in [lowest, highest]. The choice of gamma has no gradient.

    Attributes:
        gamma: Of every bin, before anything is known.
        rate: How fast gammas follow the gap.
        num_bins: Bins of held-out confidence.
        switch: The least size of a gamma, above 0.
        lowest: The most negative gamma, at most -switch.
        highest: The largest, at least switch.
        gammas: What has been learned: one for each bin. Empty at first.
        edges: Between the bins: bin b holds p_y in (edges[b - 1], edges[b]].

    Raises:
        ParameterError: A parameter is out of range.

    Source:
        Ghosh, Schaaf and Gormley 2022, algorithm 1, with the constants of their code.
        Bins of equal mass keep equal confidences together, as `binning.equal_mass`.

    >>> import torch
    >>> AdaFocal()(torch.zeros(1, 2), torch.tensor([0]))  # gamma 1: ln 2 / 2
    tensor(0.3466)
    """

    gamma: float = 1.0
    rate: float = 1.0
    num_bins: int = 15
    switch: float = 0.2
    lowest: float = -2.0
    highest: float = 20.0
    gammas: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rate", "switch"):
            value = require_coefficient(f"AdaFocal: {name}", getattr(self, name))
            object.__setattr__(self, name, value)
        whole_number(self.num_bins, "AdaFocal: num_bins", 1, 10_000)
        least = require_real(
            "AdaFocal: lowest",
            self.lowest,
            allowed=lambda number: -math.inf < number <= -self.switch,
            interval=f"in (-inf, -switch = {-self.switch:g}]",
        )
        most = require_real(
            "AdaFocal: highest",
            self.highest,
            allowed=lambda number: self.switch <= number < math.inf,
            interval=f"in [switch = {self.switch:g}, inf)",
        )
        object.__setattr__(self, "lowest", least)
        object.__setattr__(self, "highest", most)
        self._check_gammas()

    def _check_gammas(self) -> None:
        low, high = self.lowest, self.highest
        interval = f"in [{low:g}, {high:g}]"
        (first,) = require_sequence(
            "AdaFocal: gamma",
            (self.gamma,),
            allowed=lambda number: low <= number <= high,
            interval=interval,
        )
        gammas = require_sequence(
            "AdaFocal: gammas",
            self.gammas,
            allowed=lambda number: low <= number <= high,
            interval=interval,
        )
        edges = require_sequence(
            "AdaFocal: edges",
            self.edges,
            allowed=lambda number: 0 <= number <= 1,
            interval="in [0, 1]",
        )
        sizes = {(0, 0), (self.num_bins, self.num_bins - 1)}
        if (len(gammas), len(edges)) not in sizes or list(edges) != sorted(edges):
            msg = (
                f"AdaFocal: {len(gammas)} gammas and {len(edges)} edges are not what "
                f"{self.num_bins} bins have. Leave both out; training learns them."
            )
            raise ParameterError(msg)
        object.__setattr__(self, "gamma", first)
        object.__setattr__(self, "gammas", gammas)
        object.__setattr__(self, "edges", edges)

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.per_example(logits, labels).mean()

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        return fused(self, logits, labels)

    def differentiable(self, logits: Logits, labels: Labels) -> PerExample:
        log_odds = label_log_odds(logits, labels)
        # Not from the log-odds: of K equal logits this is 1 / K to the last bit.
        p = of_labels(logits.detach().softmax(dim=1), labels)
        gamma = self._gamma_of(p)
        focal = focal_values(log_odds, gamma.relu())
        log_1_plus_p = torch.log1p(log_odds.sigmoid())
        inverse = (gamma.neg().relu() * log_1_plus_p).exp() * F.softplus(-log_odds)
        return torch.where(gamma < 0, inverse, focal)

    def with_gradient(
        self, logits: Logits, labels: Labels, gradient: Logits
    ) -> PerExample:
        label = label_terms(logits, labels, gradient)
        gamma = self._gamma_of(label.p)
        is_inverse, size = gamma < 0, gamma.abs()
        # -(1 + p)^size ln p has the slope (1 + p)^size [1 + size p ln p / (1 + p)].
        raised = (1 + label.p) ** size
        inverse = raised * (1 + size * label.p * label.log_p / (1 + label.p))
        slope = torch.where(is_inverse, inverse, focal_slope(label, size))
        pull_by(slope, label, gradient)
        weight = torch.where(is_inverse, raised, label.others**size)
        return (-weight * label.log_p).squeeze(1)

    def _gamma_of(self, p: Tensor) -> Tensor:
        first, *others = self.gammas or (self.gamma,)
        gamma = torch.full_like(p, first)
        # Numbers and not a tensor of gammas: no copy to the device.
        for edge, value in zip(self.edges, others, strict=True):
            gamma = torch.where(p > edge, value, gamma)
        return gamma

    def successor(self, logits: Logits, labels: Labels) -> "AdaFocal":
        """Return the loss of the next epoch, from held-out logits and labels.

        A bin without examples keeps its gamma.
        """
        confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
        held_out = confidence.cpu().numpy()
        bins = equal_mass(held_out, self.num_bins)
        stats = summarize(bins, held_out, (predicted == labels).cpu().numpy())
        gammas = list(self.gammas or (self.gamma,) * self.num_bins)
        for index, gap in zip(np.unique(bins.index), stats.gap, strict=True):
            gammas[index] = self._next(gammas[index], float(gap))
        return replace(
            self, gammas=tuple(gammas), edges=tuple(bins.edges[1:-1].tolist())
        )

    def _next(self, gamma: float, gap: float) -> float:
        sign = 1 if gamma > 0 else -1
        moved = gamma * math.exp(sign * self.rate * gap)
        if abs(moved) < self.switch:
            moved = -sign * self.switch
        return min(max(moved, self.lowest), self.highest)

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: every gamma's loss falls to 0 as p_y rises to 1.

        Raises:
            ParameterError: There are fewer than 2 classes.

        >>> AdaFocal().target_confidence(num_classes=10)
        1.0
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "AdaFocal":
        """Refuse: the target is 1 whatever the gammas are.

        Raises:
            ParameterError: Always.
        """
        refuse_target("AdaFocal", "gamma", target, num_classes)
