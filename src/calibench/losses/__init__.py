"""Training losses. Each is a frozen dataclass: its parameters are its configuration."""

from calibench.losses.acls import ACLS
from calibench.losses.adafocal import AdaFocal
from calibench.losses.brier import Brier
from calibench.losses.cross_entropy import CrossEntropy
from calibench.losses.dual_focal import DualFocal
from calibench.losses.entropy import EntropyRegularization
from calibench.losses.flsd import FLSD
from calibench.losses.focal import Focal
from calibench.losses.focal_schedule import FocalSchedule
from calibench.losses.from_hidden import loss_from_hidden
from calibench.losses.label_smoothing import LabelSmoothing
from calibench.losses.logit_norm import LogitNorm
from calibench.losses.lp_norm import LpNorm
from calibench.losses.margin_smoothing import MarginSmoothing
from calibench.losses.mdca import MDCA
from calibench.losses.mmce import MMCE
from calibench.losses.protocol import (
    AdaptiveLoss,
    Loss,
    PerExampleLoss,
    ScheduledLoss,
    TargetedLoss,
)
from calibench.losses.soft_binned_ece import SoftBinnedECE
from calibench.losses.squentropy import Squentropy

LOSSES: dict[str, type[TargetedLoss]] = {
    "cross_entropy": CrossEntropy,
    "lp_norm": LpNorm,
    "entropy": EntropyRegularization,
    "focal": Focal,
    "brier": Brier,
    "label_smoothing": LabelSmoothing,
    "margin_smoothing": MarginSmoothing,
    "acls": ACLS,
    "logit_norm": LogitNorm,
    "squentropy": Squentropy,
    "flsd": FLSD,
    "focal_schedule": FocalSchedule,
    "dual_focal": DualFocal,
    "adafocal": AdaFocal,
    "mmce": MMCE,
    "mdca": MDCA,
    "soft_binned_ece": SoftBinnedECE,
}

__all__ = [
    "ACLS",
    "FLSD",
    "LOSSES",
    "MDCA",
    "MMCE",
    "AdaFocal",
    "AdaptiveLoss",
    "Brier",
    "CrossEntropy",
    "DualFocal",
    "EntropyRegularization",
    "Focal",
    "FocalSchedule",
    "LabelSmoothing",
    "LogitNorm",
    "Loss",
    "LpNorm",
    "MarginSmoothing",
    "PerExampleLoss",
    "ScheduledLoss",
    "SoftBinnedECE",
    "Squentropy",
    "TargetedLoss",
    "loss_from_hidden",
]
