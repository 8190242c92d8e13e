"""How the learning rate moves over training."""

from dataclasses import dataclass
from math import cos, pi
from typing import Literal, TypeAlias

from calibench.errors import ParameterError
from calibench.lab.training.ranges import check_positive, check_share


@dataclass(frozen=True, kw_only=True)
class MultiStep:
    """Multiply the learning rate by `factor` as each of the `milestones` is reached.

    Milestones are shares of all epochs, so that a study can be shortened as a whole;
    150 and 250 of 350 epochs are 0.4286 and 0.7143.
    """

    kind: Literal["multi_step"] = "multi_step"
    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        inside = all(0 < milestone < 1 for milestone in self.milestones)
        if not inside or list(self.milestones) != sorted(set(self.milestones)):
            msg = (
                "milestones must be rising shares of all epochs, between 0 and 1, "
                f"got {list(self.milestones)}. Epoch 100 of 200 is 0.5."
            )
            raise ParameterError(msg)
        check_positive("factor", self.factor)

    def multiplier(self, progress: float) -> float:
        """Return the factor on the learning rate at `progress` in [0, 1)."""
        # Milestones written as decimals must not miss their epoch by a rounding.
        passed = sum(progress >= milestone - 1e-9 for milestone in self.milestones)
        return self.factor**passed


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine from the learning rate down to `final` times it, after a warm-up.

    Source:
        Loshchilov and Hutter 2017, without restarts.
    """

    kind: Literal["cosine"] = "cosine"
    warmup: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        check_share("warmup", self.warmup)
        check_share("final", self.final)

    def multiplier(self, progress: float) -> float:
        """Return the factor on the learning rate at `progress` in [0, 1)."""
        if progress < self.warmup:
            return progress / self.warmup
        done = (progress - self.warmup) / (1 - self.warmup)
        return self.final + (1 - self.final) * (1 + cos(pi * done)) / 2


@dataclass(frozen=True, kw_only=True)
class OneCycle:
    """A straight line up to the learning rate at `peak`, then a straight line to 0.

    Source:
        Smith and Topin 2017, with linear legs and constant momentum.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    peak: float = 0.3

    def __post_init__(self) -> None:
        check_share("peak", self.peak)
        check_positive("peak", self.peak)

    def multiplier(self, progress: float) -> float:
        """Return the factor on the learning rate at `progress` in [0, 1)."""
        if progress < self.peak:
            return progress / self.peak
        return (1 - progress) / (1 - self.peak)


Schedule: TypeAlias = MultiStep | Cosine | OneCycle
