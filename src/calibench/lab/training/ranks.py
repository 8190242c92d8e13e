"""Processes that train one network together, each on its part of every batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor, distributed

from calibench.errors import ParameterError


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is; one of one unless a group was joined.

    Every method that takes part in a collective must be called by all of them, in the
    same order.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> "Ranks":
        """Return this process's place in torch's default process group."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def owns(self, number: int) -> bool:
        """Whether this process is the one to compute the batch of that number."""
        return number % self.count == self.index

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes.

        In one sum over one buffer, whose layout never changes: which numbers are added
        in which order, and so the bits, are the same at the first step after resuming.
        """
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.count
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))

    def summed(self, number: Tensor) -> Tensor:
        """Return the sum over all processes of a number that lies on the device."""
        if self.count == 1:
            return number
        total = number.clone()
        distributed.all_reduce(total)
        return total

    def merged(
        self, parts: Mapping[int, Float32[Tensor, "rows classes"]], num_rows: int
    ) -> Float32[Tensor, "{num_rows} classes"]:
        """Return the rows of all processes, each part beginning at its key.

        The parts of all must cover every row once; somebody has one.
        """
        if self.count == 1:
            return torch.cat([parts[start] for start in sorted(parts)])
        width = torch.tensor([0], device=_device())
        for part in parts.values():
            width.fill_(part.shape[1])
        distributed.all_reduce(width, op=distributed.ReduceOp.MAX)
        # Bits are summed with zeros as whole numbers: -0.0 + 0.0 would lose its sign.
        bits = torch.zeros(
            num_rows, int(width.item()), dtype=torch.int32, device=_device()
        )
        for start, part in parts.items():
            bits[start : start + len(part)] = part.contiguous().view(torch.int32)
        distributed.all_reduce(bits)
        return bits.view(torch.float32)

    def given_by_first(self, content: bytes | None) -> bytes:
        """Return what the first process has; the others' own content is ignored."""
        if self.count == 1:
            return content or b""
        size = torch.tensor([len(content or b"")], device=_device())
        distributed.broadcast(size, src=0)
        buffer = torch.zeros(int(size.item()), dtype=torch.uint8)
        if self.index == 0 and content:
            buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        buffer = buffer.to(_device())
        if len(buffer):
            distributed.broadcast(buffer, src=0)
        return buffer.cpu().numpy().tobytes()


def check_ranks(count: int, device: torch.device) -> None:
    """Refuse more ranks than there are GPUs.

    Raises:
        ParameterError: Says how many there are.
    """
    if device.type == "cuda" and count > max(1, torch.cuda.device_count()):
        found = torch.cuda.device_count()
        msg = f"--ranks {count} needs a GPU for each, and torch sees {found}."
        raise ParameterError(msg)


def _device() -> torch.device:
    """Return where the group's collectives work."""
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
