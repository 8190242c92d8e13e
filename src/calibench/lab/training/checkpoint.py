"""A training state as bytes, and back, without pickle's ability to run code."""

import io
from copy import copy
from dataclasses import dataclass
from pickle import UnpicklingError  # noqa: TID251 - torch.load raises it
from typing import Any

import torch
from torch import Tensor, nn

from calibench.errors import IntegrityError, ParameterError
from calibench.lab.training.run_loss import RunLoss

# What torch raises on bytes that are no checkpoint, or one of something else.
_FOREIGN = (
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    EOFError,
    UnpicklingError,
    ParameterError,
)


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that moves during training; the rest follows from the spec.

    Attributes:
        loss: That of the run; only a loss that learns moves.
    """

    model: nn.Module
    optimizer: torch.optim.SGD
    loss: RunLoss | None = None

    def content(self) -> dict[str, Any]:
        """Return a copy, on the CPU, which training does not change any more."""
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.loss is not None and self.loss.learns:
            content["loss"] = self.loss.parameters()
        return _copied(content)

    def to_bytes(self) -> bytes:
        """Return the state; equal states give equal bytes."""
        return bytes_of(self.content())

    def restore(self, content: bytes) -> None:
        """Go back to a state that `to_bytes` returned.

        Raises:
            IntegrityError: The state belongs to another model or optimizer.
        """
        device = next(self.model.parameters()).device
        try:
            loaded = torch.load(
                io.BytesIO(content), map_location=device, weights_only=True
            )
            self.model.load_state_dict(loaded["model"])
            self.optimizer.load_state_dict(loaded["optimizer"])
            if self.loss is not None and self.loss.learns:
                self.loss.restore(loaded["loss"])
        except _FOREIGN as error:
            msg = f"the checkpoint is not one of this model and optimizer: {error}"
            raise IntegrityError(msg) from error


def bytes_of(content: dict[str, Any]) -> bytes:
    """Return the content of a state as bytes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _copied(value: Any) -> Any:  # noqa: ANN401 - tensors in dicts and lists
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        # Not a plain dict: that of a model carries the versions of its layers.
        same = copy(value)
        same.update({name: _copied(part) for name, part in value.items()})
        return same
    return [_copied(part) for part in value] if isinstance(value, list) else value
