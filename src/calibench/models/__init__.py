"""The CIFAR forms of the study's architectures, at any width."""

from calibench.models.build import MODELS, ModelFactory, build_model
from calibench.models.multiply_adds import num_multiply_adds
from calibench.models.resnet import resnet18, resnet50
from calibench.models.vgg import vgg16

__all__ = [
    "MODELS",
    "ModelFactory",
    "build_model",
    "num_multiply_adds",
    "resnet18",
    "resnet50",
    "vgg16",
]
