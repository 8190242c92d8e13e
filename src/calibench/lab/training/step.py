"""One training step, carried out in the way that is fastest on the device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args, runtime_checkable

import torch
from torch import Tensor, nn

from calibench.errors import ParameterError
from calibench.lab.data.batches import TrainingBatches
from calibench.lab.training.ranks import Ranks
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.recorded import Work, recorded
from calibench.losses import Loss
from calibench.validation import member

Way: TypeAlias = Literal["eager", "compiled", "captured", "compiled_captured"]
WAYS: tuple[Way, ...] = get_args(Way)


def check_way(way: str, device: torch.device, num_ranks: int = 1) -> None:
    """Refuse what is no way of taking a step, or none on this device.

    Raises:
        ParameterError: It is not in `WAYS`, or CUDA graphs are asked of a CPU, or
            several ranks are to take their steps otherwise than eagerly.
    """
    member(way, WAYS, "step")
    if num_ranks > 1 and way != "eager":
        msg = f"--ranks {num_ranks} takes eager steps, not {way}. Leave --step away."
        raise ParameterError(msg)
    if "captured" in way and device.type != "cuda":
        msg = (
            f"--step {way} records CUDA graphs, and this run is on the CPU. "
            "Use --step eager or compiled."
        )
        raise ParameterError(msg)


@runtime_checkable
class Step(Protocol):
    """Takes the steps of one epoch after the other."""

    def begin(self, epoch: int, loss: Loss) -> None:
        """Get ready for an epoch, counted from 1, and for its loss."""
        ...

    def take(self) -> None:
        """Take the next step. Nothing is read back from the device."""
        ...

    def totals(self) -> tuple[float, float]:
        """Return mean loss and error rate of the epoch, once it has ended."""
        ...


@dataclass(frozen=True, eq=False)
class _Outcome:
    loss: Tensor
    wrong: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Training:
    """What training moves, by which recipe, and on what.

    Attributes:
        forward: The model, or what computes the same faster.
    """

    model: nn.Module
    forward: Callable[[Tensor], Tensor]
    batches: TrainingBatches
    optimizer: torch.optim.SGD
    recipe: Recipe
    ranks: Ranks

    @property
    def device(self) -> torch.device:
        """Where all of it lies."""
        return self.batches.images.labels.device

    def rate(self, epoch: int, number: int) -> float:
        """Return the learning rate of a step."""
        return self.recipe.rate(epoch, number, self.batches.per_epoch)

    def set_rate(self, rate: float | Tensor) -> None:
        """Set the rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def descend(self, loss: Loss, inputs: Tensor, labels: Tensor) -> _Outcome:
        """Move the weights once."""
        with torch.autocast(
            self.device.type,
            dtype=torch.bfloat16,
            enabled=self.recipe.precision == "bfloat16",
        ):
            logits = self.forward(inputs)
        logits = logits.float()
        value = loss(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        summed = self.recipe.reduction == "sum"
        (value * self.batches.batch_size if summed else value).backward()
        if self.ranks.count > 1:
            weights = self.model.parameters()
            self.ranks.average([w.grad for w in weights if w.grad is not None])
        if self.recipe.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(
                self.model.parameters(), self.recipe.clip_grad_norm
            )
        self.optimizer.step()
        wrong = (logits.detach().argmax(dim=1) != labels).sum()
        return _Outcome(value.detach(), wrong)


class _Totals:
    """Summed on the device: reading a number at every step would stall a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.wrong = torch.zeros((), dtype=torch.int64, device=device)

    def clear(self) -> None:
        self.loss.zero_()
        self.wrong.zero_()

    def add(self, outcome: _Outcome) -> None:
        self.loss += outcome.loss
        self.wrong += outcome.wrong

    def means(self, training: Training) -> tuple[float, float]:
        batches, ranks = training.batches, training.ranks
        loss = ranks.summed(self.loss).item() / (batches.per_epoch * ranks.count)
        examples = batches.per_epoch * batches.batch_size
        return loss, ranks.summed(self.wrong).item() / examples


def new_step(
    way: str,
    model: nn.Module,
    batches: TrainingBatches,
    optimizer: torch.optim.SGD,
    recipe: Recipe,
) -> Step:
    """Return what takes a run's training steps in one of the `WAYS`.

    "eager" starts every kernel from Python. "compiled" lets torch.compile fuse those
    of the network. "captured" records the whole step, from choosing the batch to the
    weights, as a CUDA graph. All compute the same up to rounding.

    Raises:
        ParameterError: There is no such way.
    """
    member(way, WAYS, "step")
    forward = torch.compile(model, dynamic=False) if "compiled" in way else model
    training = Training(
        model=model,
        forward=forward,
        batches=batches,
        optimizer=optimizer,
        recipe=recipe,
        ranks=Ranks.here(),
    )
    return _CapturedStep(training) if "captured" in way else _DirectStep(training)


class _DirectStep:
    """Every kernel of a step is started by the host."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._totals = _Totals(training.device)

    def begin(self, epoch: int, loss: Loss) -> None:
        self._epoch, self._loss, self._number = epoch, loss, 0
        self._draws = self._training.batches.draws(epoch)
        self._totals.clear()

    def take(self) -> None:
        training = self._training
        inputs, labels = training.batches.batch(self._draws, self._number)
        training.set_rate(training.rate(self._epoch, self._number))
        self._totals.add(training.descend(self._loss, inputs, labels))
        self._number += 1

    def totals(self) -> tuple[float, float]:
        return self._totals.means(self._training)


class _CapturedStep:
    """The host only says "again": which batch and which rate lie on the device."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._totals = _Totals(training.device)
        self._number = torch.zeros(1, dtype=torch.int64, device=training.device)
        self._rate = torch.zeros((), device=training.device)
        self._rates = torch.zeros(training.batches.per_epoch, device=training.device)
        self._draws = training.batches.draws(1)
        self._loss: Loss | None = None
        self._again: Work | None = None

    def begin(self, epoch: int, loss: Loss) -> None:
        training = self._training
        rates = [training.rate(epoch, number) for number in range(len(self._rates))]
        self._rates.copy_(torch.tensor(rates))
        self._draws.become(training.batches.draws(epoch))
        self._number.zero_()
        self._totals.clear()
        if self._again is None or loss != self._loss:
            self._record(loss)

    def take(self) -> None:
        assert self._again is not None  # noqa: S101 - an epoch has begun
        self._again()

    def totals(self) -> tuple[float, float]:
        return self._totals.means(self._training)

    def _record(self, loss: Loss) -> None:
        """Record the step with another loss, and undo the steps that this takes."""
        training = self._training
        training.set_rate(self._rate)
        moving = [
            *training.model.state_dict().values(),
            *_momenta(training.optimizer),
            self._totals.loss,
            self._totals.wrong,
            self._number,
        ]
        before = [tensor.clone() for tensor in moving]
        self._again = recorded(lambda: self._step(loss))
        self._loss = loss
        with torch.no_grad():
            for tensor, value in zip(moving, before, strict=True):
                tensor.copy_(value)

    def _step(self, loss: Loss) -> None:
        training = self._training
        inputs, labels = training.batches.batch(self._draws, self._number)
        self._rate.copy_(self._rates.index_select(0, self._number).squeeze(0))
        self._totals.add(training.descend(loss, inputs, labels))
        # Around, so that warming up does not run out of batches.
        self._number.add_(1).remainder_(training.batches.per_epoch)


def _momenta(optimizer: torch.optim.SGD) -> list[Tensor]:
    """Return the momentum of every weight: 0 where there has been no step yet."""
    momenta = []
    for group in optimizer.param_groups:
        if group["momentum"] != 0:
            for weight in group["params"]:
                state = optimizer.state[weight]
                if state.get("momentum_buffer") is None:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                momenta.append(state["momentum_buffer"])
    return momenta
