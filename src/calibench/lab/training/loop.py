"""Train a classifier, handing each finished epoch to the caller."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from calibench.errors import InterruptedRunError
from calibench.lab.data.batches import DeviceImages, TrainingBatches
from calibench.lab.training.ranks import Ranks
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.run_loss import RunLoss
from calibench.lab.training.step import new_step
from calibench.losses import Loss

# Small enough on a CPU to stop within seconds, large enough to fill a GPU.
_INFERENCE_BATCH = {"cpu": 250, "cuda": 5000}


@dataclass(frozen=True)
class Epoch:
    """An epoch that has just ended.

    Attributes:
        index: Counted from 1.
        mean_loss: Of the batches as they were trained on, augmented, weights moving.
        error_rate: Of the same batches; a fraction.
        learning_rate: At the last step.
    """

    index: int
    mean_loss: float
    error_rate: float
    learning_rate: float


def sgd(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Return the recipe's optimizer; the schedule sets its rate at every step."""
    return torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def train(  # noqa: PLR0913 - the six things that make a training run
    model: nn.Module,
    loss: Loss | RunLoss,
    batches: TrainingBatches,
    optimizer: torch.optim.SGD,
    recipe: Recipe,
    epochs: range,
    *,
    way: str = "eager",
    is_stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Epoch]:
    """Yield after every epoch, with the model trained so far.

    A generator instead of callbacks: the caller evaluates, saves, logs and stops
    in plain code between two epochs. To resume, pass a range that starts later.

    Args:
        model: What is trained.
        loss: Asked for its form before every epoch, where it is that of a run.
        batches: Of any epoch.
        optimizer: From `sgd`.
        recipe: That of the optimizer.
        epochs: Counted from 1.
        way: How a step is carried out: one of `step.WAYS`.
        is_stopping: Whether to stop.

    Raises:
        InterruptedRunError: `is_stopping` turned true; asked between two steps.
    """
    step = new_step(way, model, batches, optimizer, recipe)
    moving = loss if isinstance(loss, RunLoss) else RunLoss(loss)
    for index in epochs:
        model.train()
        step.begin(index, moving.at((index - 1) / recipe.epochs))
        for _ in range(batches.per_epoch):
            if is_stopping():
                msg = f"stopped in epoch {index}; it is run again on resuming."
                raise InterruptedRunError(msg)
            step.take()
        mean_loss, error_rate = step.totals()
        yield Epoch(
            index=index,
            mean_loss=mean_loss,
            error_rate=error_rate,
            learning_rate=recipe.rate(index, batches.per_epoch - 1, batches.per_epoch),
        )


@torch.inference_mode()
def infer(
    model: nn.Module,
    images: DeviceImages,
    *,
    precision: str = "float32",
    is_stopping: Callable[[], bool] = lambda: False,
) -> Float32[Tensor, "examples classes"]:
    """Return the logits of a whole split, on the CPU.

    The batches are fixed: their size can move the last bits of a logit. Ranks take
    turns with them, and each gets all logits.

    Raises:
        InterruptedRunError: `is_stopping` turned true; asked between two batches.
    """
    model.eval()
    device = images.labels.device
    size = _INFERENCE_BATCH[device.type]
    ranks = Ranks.here()
    parts = {}
    for number, start in enumerate(range(0, len(images), size)):
        if is_stopping():
            msg = "stopped while measuring an epoch; it is run again on resuming."
            raise InterruptedRunError(msg)
        if ranks.owns(number):
            inputs = images.standardized(images.pixels[start : start + size])
            with torch.autocast(
                device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"
            ):
                parts[start] = model(inputs).float()
    return ranks.merged(parts, len(images)).cpu()
