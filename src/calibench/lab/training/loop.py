"""Train a classifier, handing each finished epoch to the caller."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from calibench.errors import InterruptedRunError
from calibench.lab.data.batches import DeviceImages, TrainingBatches
from calibench.lab.training.recipe import Recipe

# Small enough on a CPU to stop within seconds, large enough to fill a GPU.
_INFERENCE_BATCH = {"cpu": 250, "cuda": 5000}

BatchLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


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
    loss: BatchLoss,
    batches: TrainingBatches,
    optimizer: torch.optim.SGD,
    recipe: Recipe,
    epochs: range,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Epoch]:
    """Yield after every epoch, with the model trained so far.

    A generator instead of callbacks: the caller evaluates, saves, logs and stops
    in plain code between two epochs. To resume, pass a range that starts later.

    Raises:
        InterruptedRunError: `is_stopping` turned true; asked between two steps.
    """
    device = batches.images.labels.device
    for index in epochs:
        model.train()
        # Summed on the device: reading a number at every step would stall a GPU.
        total_loss = torch.zeros((), dtype=torch.float64, device=device)
        wrong = torch.zeros((), dtype=torch.int64, device=device)
        rate = 0.0
        for step, (inputs, labels) in enumerate(batches.epoch(index)):
            if is_stopping():
                msg = f"stopped in epoch {index}; it is run again on resuming."
                raise InterruptedRunError(msg)
            progress = (index - 1 + step / batches.per_epoch) / recipe.epochs
            rate = recipe.learning_rate * recipe.schedule.multiplier(progress)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast(
                device.type,
                dtype=torch.bfloat16,
                enabled=recipe.precision == "bfloat16",
            ):
                logits = model(inputs)
            logits = logits.float()
            value = loss(logits, labels)
            _step(model, optimizer, recipe, value, len(labels))
            total_loss += value.detach()
            wrong += (logits.detach().argmax(dim=1) != labels).sum()
        yield Epoch(
            index=index,
            mean_loss=total_loss.item() / batches.per_epoch,
            error_rate=wrong.item() / (batches.per_epoch * batches.batch_size),
            learning_rate=rate,
        )


def _step(
    model: nn.Module,
    optimizer: torch.optim.SGD,
    recipe: Recipe,
    value: Tensor,
    batch_size: int,
) -> None:
    optimizer.zero_grad(set_to_none=True)
    (value * batch_size if recipe.reduction == "sum" else value).backward()
    if recipe.clip_grad_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_grad_norm)
    optimizer.step()


@torch.inference_mode()
def infer(
    model: nn.Module,
    images: DeviceImages,
    *,
    precision: str = "float32",
    is_stopping: Callable[[], bool] = lambda: False,
) -> Float32[Tensor, "examples classes"]:
    """Return the logits of a whole split, on the CPU.

    The batches are fixed: their size can move the last bits of a logit.

    Raises:
        InterruptedRunError: `is_stopping` turned true; asked between two batches.
    """
    model.eval()
    device = images.labels.device
    size = _INFERENCE_BATCH[device.type]
    logits = []
    for start in range(0, len(images), size):
        if is_stopping():
            msg = "stopped while measuring an epoch; it is run again on resuming."
            raise InterruptedRunError(msg)
        inputs = images.standardized(images.pixels[start : start + size])
        with torch.autocast(
            device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"
        ):
            logits.append(model(inputs).float())
    return torch.cat(logits).cpu()
