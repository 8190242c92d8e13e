"""One batch of all data-parallel processes, for losses that need its statistics."""

from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed

from calibench.shapes import Labels, Logits

_AllLogits: TypeAlias = Float[Tensor, "everywhere classes"]
_AllLabels: TypeAlias = Int[Tensor, " everywhere"]


def global_batch(logits: Logits, labels: Labels) -> tuple[_AllLogits, _AllLabels]:
    """Return the examples of every process, in the order of their ranks.

    Without a process group these are the examples themselves. With one, each process
    must hold equally many, and the loss of what is returned is the same number on
    all. A process's logits receive the gradient of the *sum* of that number over
    processes; averaging the gradients of the weights, as DistributedDataParallel does,
    makes it the gradient of the loss on one process that holds the whole batch. So do
    second derivatives. All processes must call it, and differentiate, together.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return logits, labels
    return _Gathered.apply(logits), _gathered(labels)


def _gathered(part: Tensor) -> Tensor:
    local = part.contiguous()
    parts = [torch.empty_like(local) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, local)
    return torch.cat(parts)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        ctx.size = len(part)
        return _gathered(part)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return _Scattered.apply(upstream, ctx.size)


class _Scattered(torch.autograd.Function):
    """The reverse: the sum over processes, of which each keeps its part."""

    @staticmethod
    def forward(ctx: Any, everywhere: Tensor, size: int) -> Tensor:  # noqa: ANN401 - torch's
        del ctx
        total = everywhere.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total[distributed.get_rank() * size :][:size]

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - torch's
        del ctx
        return _Gathered.apply(upstream), None
