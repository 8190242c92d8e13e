"""Residual networks for small images."""

from collections.abc import Sequence
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from calibench.models.layers import (
    averaged_and_mapped,
    convolution,
    require_sizes,
)
from calibench.shapes import Images, Logits

_Features: TypeAlias = Float[Tensor, "batch out_channels out_height out_width"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions added to a shortcut.

    Source:
        He et al. 2016 (CVPR), figure 5 left; where the shape changes, the shortcut is
        a 1x1 convolution with batch norm (their option B).
    """

    expansion = 1

    def __init__(self, in_width: int, inner_width: int, *, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(in_width, inner_width, 3, stride=stride),
            nn.BatchNorm2d(inner_width),
            nn.ReLU(inplace=True),
            convolution(inner_width, inner_width, 3),
            nn.BatchNorm2d(inner_width),
        )
        self.shortcut = _shortcut(in_width, inner_width, stride)

    def forward(self, features: Images) -> _Features:
        """Return the next features."""
        return F.relu_(self.residual(features) + self.shortcut(features))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions added to a shortcut; the output is 4 times wider.

    Source:
        He et al. 2016 (CVPR), figure 5 right. The stride is in the 3x3 convolution,
        not in the first 1x1, as most code has it since.
    """

    expansion = 4

    def __init__(self, in_width: int, inner_width: int, *, stride: int) -> None:
        super().__init__()
        out_width = self.expansion * inner_width
        self.residual = nn.Sequential(
            convolution(in_width, inner_width, 1),
            nn.BatchNorm2d(inner_width),
            nn.ReLU(inplace=True),
            convolution(inner_width, inner_width, 3, stride=stride),
            nn.BatchNorm2d(inner_width),
            nn.ReLU(inplace=True),
            convolution(inner_width, out_width, 1),
            nn.BatchNorm2d(out_width),
        )
        self.shortcut = _shortcut(in_width, out_width, stride)

    def forward(self, features: Images) -> _Features:
        """Return the next features."""
        return F.relu_(self.residual(features) + self.shortcut(features))


class ResNet(nn.Module):
    """A 3x3 stem, stages of blocks, the average over the image and one linear layer.

    Each stage but the first halves height and width and doubles the inner width.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        num_blocks: Sequence[int],
        num_classes: int,
        *,
        width: int,
        in_channels: int,
    ) -> None:
        super().__init__()
        require_sizes(num_classes=num_classes, width=width, in_channels=in_channels)
        self.stem = nn.Sequential(
            convolution(in_channels, width, 3),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        blocks: list[nn.Module] = []
        features = width
        for stage, repeats in enumerate(num_blocks):
            inner_width = width * 2**stage
            for index in range(repeats):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(features, inner_width, stride=stride))
                features = block.expansion * inner_width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(features, num_classes)

    def forward(self, images: Images) -> Logits:
        """Return the logits of a batch of images."""
        return averaged_and_mapped(self.blocks(self.stem(images)), self.head)


def resnet18(num_classes: int, *, width: int = 64, in_channels: int = 3) -> ResNet:
    """Return a ResNet of 2, 2, 2, 2 basic blocks for small images.

    11,173,962 parameters at 10 classes and width 64. The stem neither strides nor
    pools, so 32x32 images end as 4x4 features and 16x16 images as 2x2.

    Raises:
        ParameterError: Fewer than 2 classes, or a width or channel number below 1.

    Source:
        He et al. 2016 (CVPR), table 1, with their CIFAR stem.

    >>> resnet18(10).head
    Linear(in_features=512, out_features=10, bias=True)
    """
    return ResNet(
        BasicBlock, (2, 2, 2, 2), num_classes, width=width, in_channels=in_channels
    )


def resnet50(num_classes: int, *, width: int = 64, in_channels: int = 3) -> ResNet:
    """Return a ResNet of 3, 4, 6, 3 bottlenecks for small images.

    23,520,842 parameters at 10 classes and width 64; otherwise as `resnet18`.

    Raises:
        ParameterError: Fewer than 2 classes, or a width or channel number below 1.

    Source:
        He et al. 2016 (CVPR), table 1, with their CIFAR stem.

    >>> resnet50(10, width=16).head
    Linear(in_features=512, out_features=10, bias=True)
    """
    return ResNet(
        Bottleneck, (3, 4, 6, 3), num_classes, width=width, in_channels=in_channels
    )


def _shortcut(in_width: int, out_width: int, stride: int) -> nn.Module:
    if stride == 1 and in_width == out_width:
        return nn.Identity()
    return nn.Sequential(
        convolution(in_width, out_width, 1, stride=stride),
        nn.BatchNorm2d(out_width),
    )
