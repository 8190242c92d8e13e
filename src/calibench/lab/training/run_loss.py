"""The loss of a run, which may change from epoch to epoch."""

from typing import Any

from torch import Tensor

from calibench.losses import AdaptiveLoss, Loss, ScheduledLoss


class RunLoss:
    """The loss that a run is trained with now.

    Most losses stay as they are. One with a schedule is asked for its form at the
    beginning of every epoch; one that learns is replaced after every epoch.
    """

    def __init__(self, loss: Loss) -> None:
        self._loss = loss

    @property
    def learns(self) -> bool:
        """Whether it depends on more than its spec and the time."""
        return isinstance(self._loss, AdaptiveLoss)

    def at(self, progress: float) -> Loss:
        """Return the loss of an epoch that begins when a share of training is done."""
        if isinstance(self._loss, ScheduledLoss):
            return self._loss.at(progress)
        return self._loss

    def learn(self, logits: Tensor, labels: Tensor) -> None:
        """Move on, from what the network says about examples held out to choose on."""
        if isinstance(self._loss, AdaptiveLoss):
            self._loss = self._loss.successor(logits, labels)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a loss that learns, as plain values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self._loss).items()
        }

    def restore(self, parameters: dict[str, Any]) -> None:
        """Go back to parameters that were returned before.

        Raises:
            ParameterError: They are not such a loss's.
            TypeError: They are those of another loss.
        """
        given = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in parameters.items()
        }
        self._loss = type(self._loss)(**given)
