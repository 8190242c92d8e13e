"""Which way of taking a training step is quickest here, found by taking some."""

import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from statistics import median

import torch
from torch import nn

from calibench.lab.data.batches import TrainingBatches
from calibench.lab.training.loop import sgd
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.step import new_step
from calibench.losses import Loss

_ROUNDS = 5
_STEPS = 20  # in a round: long enough that starting and stopping the clock is nothing


def quickest_way(seconds: Callable[[str], float], ways: Iterable[str]) -> str:
    """Return the way whose steps take the fewest seconds; the first of equals."""
    return min(ways, key=seconds)


def step_seconds(
    way: str,
    model: nn.Module,
    loss: Loss,
    batches: TrainingBatches,
    recipe: Recipe,
) -> float:
    """Return what a training step takes, on a copy of the model: a median of rounds."""
    copied = deepcopy(model).train()
    step = new_step(way, copied, batches, sgd(copied, recipe), recipe)
    step.begin(1, loss)
    steps = min(_STEPS, batches.per_epoch)
    found = []
    for _ in range(_ROUNDS):
        step.begin(1, loss)
        _wait(batches.images.labels.device)
        started = time.perf_counter()
        for _ in range(steps):
            step.take()
        _wait(batches.images.labels.device)
        found.append((time.perf_counter() - started) / steps)
    return median(found)


def _wait(device: torch.device) -> None:
    """Wait for what a device was told to do: a GPU does it later."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
