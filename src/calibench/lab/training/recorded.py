"""Work on a GPU, recorded once and then repeated without the host."""

from collections.abc import Callable
from typing import TypeAlias

import torch

Work: TypeAlias = Callable[[], None]

_WARM_UPS = 3  # libraries choose kernels and workspaces in the first


def recorded(work: Work) -> Work:
    """Return what repeats `work` as one CUDA graph.

    It is carried out a few times first, and must read and write the same memory each
    time: what the host computes in it is frozen.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
