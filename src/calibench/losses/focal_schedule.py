"""Focal loss whose gamma changes over training."""

from dataclasses import dataclass

from calibench.losses.focal import Focal
from calibench.losses.parameters import (
    refuse_target,
    require_num_classes,
    require_real,
    require_steps,
)
from calibench.shapes import Labels, Logits, PerExample, Scalar


@dataclass(frozen=True, kw_only=True)
class FocalSchedule:
    """Focal loss with one gamma after the other.

    `at(progress)` is the focal loss of a moment, with gammas[i] for progress in
    [milestones[i - 1], milestones[i]); progress is the share of training that is done,
    so a schedule does not depend on the number of epochs. Called as it is, it is the
    first one.

    Raises:
        ParameterError: A gamma is not in [0, inf), the milestones do not ascend in
            (0, 1), or there is not one more gamma than milestones.

    Source:
        Mukhoti et al. 2020, section 5: gamma 5, 3, 2 from epochs 0, 100 and 250 of 350.

    >>> FocalSchedule().at(0.5)
    Focal(gamma=3.0, detached=False)
    """

    gammas: tuple[float, ...] = (5.0, 3.0, 2.0)
    milestones: tuple[float, ...] = (100 / 350, 250 / 350)

    def __post_init__(self) -> None:
        gammas, milestones = require_steps(
            "FocalSchedule", self.gammas, self.milestones, "milestones"
        )
        object.__setattr__(self, "gammas", gammas)
        object.__setattr__(self, "milestones", milestones)

    def at(self, progress: float) -> Focal:
        """Return the loss when a share of training is done.

        Raises:
            ParameterError: The share is not a number in [0, 1].
        """
        share = require_real(
            "FocalSchedule: progress",
            progress,
            allowed=lambda number: 0 <= number <= 1,
            interval="in [0, 1]",
        )
        passed = sum(share >= milestone for milestone in self.milestones)
        return Focal(gamma=self.gammas[passed])

    def __call__(self, logits: Logits, labels: Labels) -> Scalar:
        return self.at(0.0)(logits, labels)

    def per_example(self, logits: Logits, labels: Labels) -> PerExample:
        return self.at(0.0).per_example(logits, labels)

    def target_confidence(self, num_classes: int) -> float:
        """Return 1: that of focal loss with any gamma.

        Raises:
            ParameterError: There are fewer than 2 classes.
        """
        require_num_classes(num_classes)
        return 1.0

    @classmethod
    def for_target_confidence(cls, target: float, num_classes: int) -> "FocalSchedule":
        """Refuse: the target is 1 whatever the gammas are.

        Raises:
            ParameterError: Always.
        """
        refuse_target("FocalSchedule", "gammas", target, num_classes)
