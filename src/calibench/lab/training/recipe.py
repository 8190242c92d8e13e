"""How a network is trained, apart from its loss: pure data."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from calibench.errors import ParameterError
from calibench.lab.training.schedule import Cosine, Schedule


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Stochastic gradient descent with momentum, as studies write it under [train].

    Attributes:
        epochs: Passes over the training split. An epoch is `examples // batch_size`
            batches of one size; the few examples left over differ each epoch.
        learning_rate: Its highest value; `schedule` multiplies it at every step.
        weight_decay: L2, coupled to the learning rate; on all parameters.
        crop_padding: Pixels of zero padding for random crops; 0 turns them off.
        flip: Mirror half of the images, where that keeps the label.
        clip_grad_norm: Largest global gradient norm; absent means no clipping.
        reduction: The batch's "mean" loss, or its "sum" as some public codes do.
        precision: Of convolutions and matrix products; weights, batch norm, logits
            and loss are float32 always. "bfloat16" needs a CUDA device.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    schedule: Schedule = field(default_factory=Cosine)
    crop_padding: int = 4
    flip: bool = True
    clip_grad_norm: float | None = None
    reduction: Literal["mean", "sum"] = "mean"
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        _check_least("epochs", self.epochs, 1)
        _check_least("batch_size", self.batch_size, 2)
        _check_least("crop_padding", self.crop_padding, 0)
        _check_least("weight_decay", self.weight_decay, 0)
        if not (self.learning_rate > 0 and isfinite(self.learning_rate)):
            msg = f"learning_rate must be positive, got {self.learning_rate}."
            raise ParameterError(msg)
        if not 0 <= self.momentum < 1:
            msg = f"momentum must be in [0, 1), got {self.momentum}."
            raise ParameterError(msg)
        if self.nesterov and self.momentum == 0:
            msg = "nesterov needs momentum > 0. Set momentum, or nesterov = false."
            raise ParameterError(msg)
        if self.clip_grad_norm is not None and not self.clip_grad_norm > 0:
            msg = f"clip_grad_norm must be positive, got {self.clip_grad_norm}."
            raise ParameterError(msg)


def _check_least(name: str, value: float, least: float) -> None:
    if not (value >= least and isfinite(value)):
        msg = f"{name} must be at least {least}, got {value}."
        raise ParameterError(msg)
