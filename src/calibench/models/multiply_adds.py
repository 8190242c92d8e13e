"""The cost of a model: multiply-adds for one image."""

import copy
from functools import partial

import torch
from torch import Tensor, nn


def num_multiply_adds(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return the multiply-adds of convolutions and linear layers for one image.

    Biases, batch norm, activations and poolings are not counted, as is usual. Nothing
    is computed: shapes pass through a copy of the model without memory, and the model
    itself stays as it is.

    Args:
        model: Any model of two-dimensional convolutions and linear layers; built
            under `torch.device("meta")` it costs neither time nor memory.
        image_shape: Channels, height and width.

    >>> layer = nn.Conv2d(3, 8, 3, padding=1)
    >>> num_multiply_adds(layer, (3, 4, 4))  # 8 * 4 * 4 outputs of 3 * 3 * 3 terms
    3456
    """
    shadow = copy.deepcopy(model).to("meta").eval()
    counts: list[int] = []

    for layer in shadow.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(partial(_count, counts))
    with torch.no_grad():
        shadow(torch.empty(1, *image_shape, device="meta"))
    return sum(counts)


def _count(
    counts: list[int],
    layer: nn.Conv2d | nn.Linear,
    _inputs: tuple[Tensor, ...],
    output: Tensor,
) -> None:
    # The weights of one output channel: a product for each of them.
    counts.append(output.numel() * layer.weight[0].numel())
