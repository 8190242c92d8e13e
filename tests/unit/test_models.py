"""Architectures: published sizes and costs, shapes, initial weights, seeds."""

import math

import pytest
import torch
from torch import nn

from calibench.errors import ParameterError
from calibench.models import MODELS, build_model, num_multiply_adds
from calibench.models.resnet import BasicBlock, Bottleneck

every_model = pytest.mark.parametrize("name", MODELS)


def shapes_only(name, num_classes=10, **sizes):
    """Build the model without memory or arithmetic."""
    with torch.device("meta"):
        return MODELS[name](num_classes, **sizes)


def num_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "parameters", "at_32", "at_16"),
    [
        ("resnet18", 11_173_962, 555_422_720, 138_859_520),
        ("resnet50", 23_520_842, 1_297_829_888, 324_472_832),
        ("vgg16", 14_728_266, 313_201_664, 78_304_256),
    ],
)
def test_published_size_and_cost(name, parameters, at_32, at_16):
    model = shapes_only(name)
    assert num_parameters(model) == parameters
    assert num_multiply_adds(model, (3, 32, 32)) == at_32
    assert num_multiply_adds(model, (3, 16, 16)) == at_16


def test_costs_round_to_the_published_millions():
    costs = [num_multiply_adds(shapes_only(name), (3, 32, 32)) / 1e6 for name in MODELS]
    assert [round(cost, 1) for cost in costs] == [555.4, 1297.8, 313.2]


@pytest.mark.parametrize(
    ("name", "convolutions", "projections"),
    [("resnet18", 17, 3), ("resnet50", 49, 4), ("vgg16", 13, 0)],
)
def test_layers_are_those_the_name_counts(name, convolutions, projections):
    # 17 + 1, 49 + 1 and 13 + 1 linear layer; VGG16 had three of those.
    layers = list(shapes_only(name).modules())
    found = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert len(found) == convolutions + projections
    assert sum(isinstance(layer, nn.Linear) for layer in layers) == 1
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == len(found)
    assert all((layer.bias is not None) == (name == "vgg16") for layer in found)


@every_model
@pytest.mark.parametrize("size", [32, 16, 8, 1, 28])
@pytest.mark.parametrize("width", [1, 3, 16])
def test_any_width_and_image_size_gives_logits(name, size, width):
    model = shapes_only(name, 7, width=width, in_channels=1)
    images = torch.empty(2, 1, size, size, device="meta")
    assert model(images).shape == (2, 7)


@every_model
def test_the_width_scales_the_last_features(name):
    last = {"resnet18": 8, "resnet50": 32, "vgg16": 8}[name]
    for width in (1, 5, 64):
        assert shapes_only(name, width=width).head.in_features == last * width


@pytest.mark.parametrize(
    ("name", "size", "last"),
    [
        ("resnet18", 32, 4),
        ("resnet18", 16, 2),
        ("resnet50", 32, 4),
        ("resnet50", 16, 2),
        ("vgg16", 32, 1),
        ("vgg16", 16, 1),
        ("vgg16", 64, 2),
    ],
)
def test_features_end_at_this_size(name, size, last):
    model = shapes_only(name, width=1)
    body = (
        model.features if name == "vgg16" else nn.Sequential(model.stem, model.blocks)
    )
    images = torch.empty(1, 3, size, size, device="meta")
    assert body.eval()(images).shape[2:] == (last, last)


@every_model
def test_every_parameter_learns(name):
    model = build_model(name, 4, width=2, seed=0)
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    nn.functional.cross_entropy(model(images), torch.arange(8) % 4).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), parameter_name
        # A bias before batch norm is the one thing that cannot matter.
        layer = model.get_submodule(parameter_name.rpartition(".")[0])
        if not (isinstance(layer, nn.Conv2d) and parameter_name.endswith("bias")):
            assert parameter.grad.abs().sum() > 0, parameter_name


@every_model
def test_examples_do_not_meet_in_evaluation(name):
    model = build_model(name, 4, width=4, seed=0).double().eval()
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(model(images)[1:2], model(images[1:2]))


@every_model
def test_channels_last_changes_nothing_but_the_layout(name):
    model = build_model(name, 4, width=4, seed=0).double().eval()
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    logits = model(images)
    reordered = model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        reordered(images.to(memory_format=torch.channels_last)), logits
    )


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_block_without_residual_is_its_shortcut_after_relu(block):
    width = 4 // block.expansion
    plain = block(4, width, stride=1)
    nn.init.zeros_(plain.residual[-1].weight)
    features = torch.tensor([[[[-1.0]], [[2.0]], [[-3.0]], [[4.0]]]])
    assert plain.eval()(features).flatten().tolist() == [0, 2, 0, 4]


@every_model
def test_initial_weights_have_the_stated_spread(name):
    for layer in build_model(name, 10, width=32, seed=3).modules():
        if isinstance(layer, nn.Conv2d):
            expected = math.sqrt(2 / (layer.kernel_size[0] ** 2 * layer.out_channels))
            allowed = 5 / math.sqrt(2 * layer.weight.numel())
            assert layer.weight.std().item() == pytest.approx(expected, rel=allowed)
            assert layer.bias is None or (layer.bias == 0).all()
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()


@every_model
def test_weights_come_from_the_seed_alone(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_model(name, 4, width=2, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, other = (build_model(name, 4, width=2, seed=seed) for seed in (5, 6))
    weights, same, different = (
        nn.utils.parameters_to_vector(model.parameters())
        for model in (first, second, other)
    )
    assert torch.equal(weights, same)
    assert not torch.equal(weights, different)


def test_the_model_is_built_on_the_cpu_whatever_the_default():
    with torch.device("meta"):
        model = build_model("vgg16", 4, width=1, seed=0)
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


def test_an_unknown_model_is_refused_with_a_suggestion():
    with pytest.raises(ParameterError, match=r"'resnet81'\. Did you mean 'resnet18'\?"):
        build_model("resnet81", 10, seed=0)
    with pytest.raises(ParameterError, match="Choose from resnet18, resnet50, vgg16"):
        build_model("transformer", 10, seed=0)


@every_model
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_classes": 1}, "num_classes must be a whole number, at least 2, got 1"),
        ({"width": 0}, "width must be a whole number, at least 1, got 0"),
        ({"width": True}, "got True"),
        ({"in_channels": -3}, "in_channels must be .* got -3"),
    ],
)
def test_sizes_are_checked(name, sizes, message):
    with pytest.raises(ParameterError, match=message):
        MODELS[name](**{"num_classes": 10, **sizes})


def test_multiply_adds_by_hand():
    # 3x3 over 2 input channels in each of 2 groups, 5x5 outputs of 6 channels: 2,700;
    # then 6 * 25 inputs of 7 linear outputs: 1,050.
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 25, 7)
    )
    assert num_multiply_adds(model, (4, 7, 7)) == 6 * 25 * 2 * 9 + 6 * 25 * 7


@every_model
def test_counting_leaves_the_model_as_it_was(name):
    model = build_model(name, 4, width=2, seed=0).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    num_multiply_adds(model, (3, 16, 16))
    assert model.training
    assert all(
        torch.equal(state[key], value) for key, value in model.state_dict().items()
    )
    assert not any(layer._forward_hooks for layer in model.modules())
