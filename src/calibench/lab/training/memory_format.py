"""The memory format in which a network trains fastest on a device, by measuring."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from statistics import median

import torch
from torch import nn
from torch.nn import functional as F

from calibench.errors import InterruptedRunError, ParameterError
from calibench.lab.training.devices import make_repeatable
from calibench.validation import member

FORMATS = {
    "channels_last": torch.channels_last,
    "contiguous": torch.contiguous_format,
}
USUAL_FORMAT = "channels_last"

_ROUNDS = 5
# Small batches do not rank formats as large ones do: as large as patience allows.
_SECONDS_A_STEP = 1.0
_SMALL = 4
# What another format must save at least: less is noise, and would be chosen by chance.
_GAIN = 0.05


def check_format(name: str) -> None:
    """Refuse what is no memory format.

    Raises:
        ParameterError: It is not in `FORMATS`.
    """
    member(name, tuple(FORMATS), "memory_format")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What a training step computes on.

    Attributes:
        build: Returns a new network on the CPU.
        image_shape: Channels, height and width.
        batch_size: Of the study. Fewer images are taken where a step on them would
            take long.
        precision: As in a recipe.
    """

    build: Callable[[], nn.Module]
    image_shape: tuple[int, int, int]
    batch_size: int
    precision: str = "float32"


def fastest_format(
    workload: Workload,
    device: torch.device,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
) -> str:
    """Return the name of the format whose training steps take the least time.

    Takes some steps in each format in turn: a second for small networks, a quarter of
    a minute for large ones. The usual format stays unless another saves 5 %. A format
    in which the network cannot be computed is not chosen.

    Raises:
        ParameterError: The network cannot be computed in any.
        InterruptedRunError: `is_stopping` turned true; asked before every step.
    """
    make_repeatable(device)
    trials = {name: _Trial(workload, name, device, is_stopping) for name in FORMATS}
    first = {name: trial.seconds(_SMALL) for name, trial in trials.items()}
    able = {name: trials[name] for name, seconds in first.items() if seconds < inf}
    if not able:
        msg = "the network fails on a batch of random images, in every memory format."
        raise ParameterError(msg)
    # The first step also prepares kernels; the second is like all others.
    small = max(trial.seconds(_SMALL) for trial in able.values())
    size = int(_SMALL * _SECONDS_A_STEP / small)
    size = min(max(size, _SMALL), workload.batch_size)
    for trial in able.values():
        trial.seconds(size)
    rounds = [
        {name: trial.seconds(size) for name, trial in able.items()}
        for _ in range(_ROUNDS)
    ]
    typical = {name: median(each[name] for each in rounds) for name in able}
    best = min(typical, key=typical.__getitem__)
    usual = typical.get(USUAL_FORMAT, inf)
    return best if typical[best] < (1 - _GAIN) * usual else USUAL_FORMAT


class _Trial:
    """A network in one format, and what a step of it takes."""

    def __init__(
        self,
        workload: Workload,
        name: str,
        device: torch.device,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._workload, self._layout, self._device = workload, FORMATS[name], device
        self._is_stopping = is_stopping
        network = workload.build().to(device).train()
        self._network = network.to(memory_format=self._layout)  # type: ignore[call-overload]

    def seconds(self, batch_size: int) -> float:
        """Return what one step takes; infinity where the network fails."""
        if self._is_stopping():
            msg = "stopped before any run began."
            raise InterruptedRunError(msg)
        shape = (batch_size, *self._workload.image_shape)
        drawn = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        images = drawn.to(self._device, memory_format=self._layout)
        started = self._now()
        try:
            self._step(images)
        except Exception:  # noqa: BLE001 - a user's network may raise anything
            return inf
        return self._now() - started

    def _step(self, images: torch.Tensor) -> None:
        with torch.autocast(
            self._device.type,
            dtype=torch.bfloat16,
            enabled=self._workload.precision == "bfloat16",
        ):
            logits = self._network(images)
        labels = torch.zeros(len(images), dtype=torch.int64, device=self._device)
        F.cross_entropy(logits.float(), labels).backward()
        self._network.zero_grad(set_to_none=True)

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            return time.perf_counter()
        # What else runs on the machine does not count: the thread's own time does.
        return time.thread_time()
