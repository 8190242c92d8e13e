"""How a network is trained, apart from its loss: pure data."""

from dataclasses import dataclass, field
from typing import Literal

from calibench.errors import ParameterError
from calibench.lab.training.ranges import check_least, check_positive, check_share
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
        precision: Of convolutions; weights, batch norm, the last layer of our models,
            logits and loss are float32 always. "tf32" and "bfloat16" (also of other
            matrix products) need a CUDA device.
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
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        check_least("epochs", self.epochs, 1)
        check_least("batch_size", self.batch_size, 2)
        check_positive("learning_rate", self.learning_rate)
        check_share("momentum", self.momentum)
        check_least("weight_decay", self.weight_decay, 0)
        check_least("crop_padding", self.crop_padding, 0)
        if self.clip_grad_norm is not None:
            check_positive("clip_grad_norm", self.clip_grad_norm)
        if self.nesterov and self.momentum == 0:
            msg = "nesterov needs momentum > 0. Set momentum, or nesterov = false."
            raise ParameterError(msg)

    def rate(self, epoch: int, step: int, per_epoch: int) -> float:
        """Return the learning rate of a step of an epoch that has `per_epoch` of them.

        Epochs are counted from 1, steps from 0.
        """
        progress = (epoch - 1 + step / per_epoch) / self.epochs
        return self.learning_rate * self.schedule.multiplier(progress)
