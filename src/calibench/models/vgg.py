"""VGG with batch norm for small images."""

from torch import nn

from calibench.models.layers import (
    averaged_and_mapped,
    convolution,
    require_sizes,
)
from calibench.shapes import Images, Logits

# Convolutions of each stage, and their width in units of the first stage's.
_VGG16_STAGES = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))


class VGG(nn.Module):
    """Stages of 3x3 convolutions, each ending in a pooling, and one linear layer.

    Pooling rounds sizes up, so 1x1 features pass through it unchanged: a 16x16 image
    has reached them after four of the five poolings. What is left of height and width
    after the last stage is averaged.
    """

    def __init__(self, num_classes: int, *, width: int, in_channels: int) -> None:
        super().__init__()
        require_sizes(num_classes=num_classes, width=width, in_channels=in_channels)
        layers: list[nn.Module] = []
        features = in_channels
        for num_convolutions, factor in _VGG16_STAGES:
            for _ in range(num_convolutions):
                # The bias changes nothing before batch norm; the published parameter
                # count has it.
                layers += [
                    convolution(features, factor * width, 3, bias=True),
                    nn.BatchNorm2d(factor * width),
                    nn.ReLU(inplace=True),
                ]
                features = factor * width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(features, num_classes)

    def forward(self, images: Images) -> Logits:
        """Return the logits of a batch of images."""
        return averaged_and_mapped(self.features(images), self.head)


def vgg16(num_classes: int, *, width: int = 64, in_channels: int = 3) -> VGG:
    """Return VGG16 with batch norm and one linear layer in place of three.

    14,728,266 parameters at 10 classes and width 64; stages of width 1, 2, 4, 8 and 8
    times `width`.

    Raises:
        ParameterError: Fewer than 2 classes, or a width or channel number below 1.

    Source:
        Simonyan and Zisserman 2015, table 1, column D; batch norm after each
        convolution and no dropout, as is usual for CIFAR.

    >>> vgg16(10).head
    Linear(in_features=512, out_features=10, bias=True)
    """
    return VGG(num_classes, width=width, in_channels=in_channels)
