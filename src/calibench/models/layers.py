"""What the architectures share: the checks of their sizes and the initial weights."""

from contextlib import nullcontext

import torch
from torch import nn

from calibench.errors import ParameterError
from calibench.shapes import Images, Logits

_HALVES = (torch.bfloat16, torch.float16)


def require_sizes(*, num_classes: int, width: int, in_channels: int) -> None:
    """Refuse sizes from which no classifier can be built.

    Raises:
        ParameterError: A size is not a whole number, there are fewer than 2 classes,
            or the width or the number of channels is below 1.

    >>> require_sizes(num_classes=10, width=64, in_channels=3)
    """
    sizes: tuple[tuple[str, object, int], ...] = (
        ("num_classes", num_classes, 2),
        ("width", width, 1),
        ("in_channels", in_channels, 1),
    )
    for name, size, least in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < least:
            msg = f"{name} must be a whole number, at least {least}, got {size!r}."
            raise ParameterError(msg)


def convolution(
    in_width: int, out_width: int, size: int, *, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Return a convolution that keeps height and width at stride 1 (odd size).

    Weights are normal with variance 2 / (size^2 out_width), biases 0.

    Source:
        He et al. 2015, "Delving Deep into Rectifiers", equation 14.

    >>> convolution(3, 8, 3).padding
    (1, 1)
    """
    layer = nn.Conv2d(
        in_width, out_width, size, stride=stride, padding=size // 2, bias=bias
    )
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def averaged_and_mapped(features: Images, head: nn.Linear) -> Logits:
    """Average over the image and apply the last layer, in float32 or wider.

    Under autocast the layers before may compute in bfloat16: its 8 bits of precision
    would be too few for logits, whose differences are what calibration is about.

    >>> averaged_and_mapped(torch.ones(1, 2, 3, 3).bfloat16(), nn.Linear(2, 4)).dtype
    torch.float32
    """
    wide = features.float() if features.dtype in _HALVES else features
    kind = features.device.type
    plain = (
        torch.autocast(kind, enabled=False)
        if torch.amp.is_autocast_available(kind)
        else nullcontext()
    )
    with plain:
        return head(wide.mean(dim=(2, 3)))
