"""Training losses. Each is a frozen dataclass: its parameters are its configuration."""

from calibench.losses.cross_entropy import CrossEntropy
from calibench.losses.entropy import EntropyRegularization
from calibench.losses.focal import Focal
from calibench.losses.lp_norm import LpNorm
from calibench.losses.protocol import Loss, PerExampleLoss

LOSSES: dict[str, type[PerExampleLoss]] = {
    "cross_entropy": CrossEntropy,
    "lp_norm": LpNorm,
    "entropy": EntropyRegularization,
    "focal": Focal,
}

__all__ = [
    "LOSSES",
    "CrossEntropy",
    "EntropyRegularization",
    "Focal",
    "Loss",
    "LpNorm",
    "PerExampleLoss",
]
