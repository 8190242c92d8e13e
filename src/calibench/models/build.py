"""The menu of models, and models whose initial weights depend on a seed alone."""

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from calibench.models.resnet import resnet18, resnet50
from calibench.models.vgg import vgg16
from calibench.validation import member


@runtime_checkable
class ModelFactory(Protocol):
    """Builds a classifier of images; its weights come from torch's global generator."""

    def __call__(
        self, num_classes: int, *, width: int = 64, in_channels: int = 3
    ) -> nn.Module:
        """Return a model that maps images to logits."""
        ...


MODELS: dict[str, ModelFactory] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vgg16": vgg16,
}


def build_model(
    model: str | ModelFactory,
    num_classes: int,
    *,
    width: int = 64,
    in_channels: int = 3,
    seed: int,
) -> nn.Module:
    """Return a model on the CPU, its initial weights drawn from the seed alone.

    torch's global generators are left as they were. The draws are made on the CPU,
    whatever the default device, so that every device starts from the same bits.

    Args:
        model: A name in `MODELS`, or a factory.
        num_classes: K.
        width: Channels of the first stage.
        in_channels: Channels of an image.
        seed: Of the initial weights.

    Raises:
        ParameterError: The name is not in `MODELS`, or a size is not valid.

    >>> model = build_model("resnet18", 10, width=4, seed=0)
    >>> sum(parameter.numel() for parameter in model.head.parameters())  # 32 * 10 + 10
    330
    """
    if isinstance(model, str):
        model = MODELS[member(model, tuple(MODELS), "model")]
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would reseed the accelerators as well.
        torch.default_generator.manual_seed(seed)
        return model(num_classes, width=width, in_channels=in_channels)
