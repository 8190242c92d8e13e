"""Which calibrator leads from the optimum of a loss back to the posterior.

It needs torch, as losses do; the rest of the theory does not.
"""

from calibench.losses import (
    CrossEntropy,
    DualFocal,
    EntropyRegularization,
    Focal,
    LabelSmoothing,
    LogitNorm,
    LpNorm,
    Squentropy,
    TargetedLoss,
)
from calibench.posthoc import Calibrator, FocalLink, LossLink

# The kind of the link, and the parameter of the loss that is its strength.
_LINKED: dict[type, tuple[str, str]] = {
    EntropyRegularization: ("entropy", "alpha"),
    Squentropy: ("squentropy", "alpha"),
    LogitNorm: ("logit_norm", "tau"),
    DualFocal: ("dual_focal", "gamma"),
}


def link_of(
    loss: TargetedLoss, num_classes: int, *, temperature: float = 1.0
) -> Calibrator | None:
    """Return the inverse link of a loss; None where it needs none or has none.

    Proper losses (cross-entropy, Brier, any loss of strength 0) need none. Losses whose
    optimum several posteriors share, that jump, or that change have none; the pages
    under `docs/losses.md` say why of each.

    >>> link_of(EntropyRegularization(alpha=0.25), num_classes=10)
    LossLink(kind='entropy', strength=0.25, temperature=1.0, floor=1e-06)
    """
    if isinstance(loss, Focal):
        return FocalLink(loss.gamma, temperature, loss.detached) if loss.gamma else None
    kind, strength = _kind_and_strength(loss, num_classes)
    return LossLink(kind, strength, temperature) if strength else None


def _kind_and_strength(loss: TargetedLoss, num_classes: int) -> tuple[str, float]:
    if isinstance(loss, CrossEntropy):
        return "label_smoothing", loss.smoothing
    if isinstance(loss, LabelSmoothing):
        share = 1.0 if loss.over == "all_classes" else num_classes / (num_classes - 1)
        return "label_smoothing", loss.eps * share
    if isinstance(loss, LpNorm):
        return "lp_norm", loss.alpha if loss.p == 2 else 0.0
    kind, parameter = _LINKED.get(type(loss), ("", ""))
    return kind, getattr(loss, parameter) if parameter else 0.0
