"""How a run is computed: what may be asked for, what is chosen, what is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from calibench.errors import ParameterError
from calibench.lab.data.batches import Augmentation, TrainingBatches, on_device
from calibench.lab.data.dataset import Examples
from calibench.lab.study.conditions import Conditions
from calibench.lab.training.devices import (
    check_precision,
    make_repeatable,
    set_precision,
)
from calibench.lab.training.fingerprint import differences, fingerprint
from calibench.lab.training.quickest import quickest_way, step_seconds
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.step import WAYS, check_way
from calibench.losses import CrossEntropy
from calibench.models import build_model
from command_line import TINY, calibench, results, study_file

CPU = torch.device("cpu")


@pytest.fixture
def _as_before():
    """Switches that torch keeps for a whole process go back afterwards."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark
    yield
    cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark = before
    make_repeatable(CPU)


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize(
    ("precision", "convolutions"),
    [("float32", False), ("tf32", True), ("bfloat16", False)],
)
def test_only_convolutions_may_be_coarser(precision, convolutions):
    set_precision(precision)
    assert torch.backends.cudnn.allow_tf32 is convolutions
    assert torch.backends.cuda.matmul.allow_tf32 is False


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_a_cpu_computes_in_float32(precision):
    check_precision("float32", CPU)
    check_precision(precision, torch.device("cuda"))
    with pytest.raises(ParameterError, match=f'"{precision}" needs a CUDA device'):
        check_precision(precision, CPU)


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("deterministic", [True, False])
def test_kernels_repeat_themselves_unless_they_need_not(deterministic):
    make_repeatable(CPU, deterministic=deterministic)
    assert torch.are_deterministic_algorithms_enabled() is deterministic
    assert torch.backends.cudnn.benchmark is not deterministic
    assert torch.get_num_threads() == 1


def test_how_a_step_is_taken_is_part_of_the_fingerprint():
    plain = fingerprint(CPU, "data")
    assert plain["compile"] == "eager"
    assert plain["deterministic"] == "yes"
    other = fingerprint(CPU, "data", way="compiled", deterministic=False)
    assert differences(plain, other) == [
        "compile: eager -> compiled",
        "deterministic: yes -> no",
    ]


def test_what_is_left_open_is_as_the_run_was_begun():
    begun = {"compile": "captured", "deterministic": "no"}
    open_ = Conditions(data=Path()).as_begun(begun)
    assert (open_.step, open_.deterministic) == ("captured", False)
    asked = Conditions(data=Path(), step="eager", deterministic=True)
    assert asked.as_begun(begun) == asked
    # Runs of before there was a choice.
    before = Conditions(data=Path()).as_begun({"compile": "eager"})
    assert (before.step, before.deterministic) == ("eager", True)


@pytest.mark.parametrize("way", WAYS)
def test_graphs_are_recorded_on_a_gpu_alone(way):
    check_way(way, torch.device("cuda"))
    if "captured" not in way:
        check_way(way, CPU)
        return
    with pytest.raises(ParameterError, match="this run is on the CPU"):
        check_way(way, CPU)


def test_the_quickest_way_is_taken_and_the_first_of_equals():
    assert quickest_way({"a": 2.0, "b": 1.0}.get, "ab") == "b"
    assert quickest_way({"a": 1.0, "b": 1.0}.get, "ab") == "a"


def test_trying_steps_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (40, 1, 4, 4), dtype=np.uint8)
    batches = TrainingBatches(
        images=on_device(Examples(images, np.arange(40) % 3), CPU),
        batch_size=8,
        seed=0,
        augmentation=Augmentation(crop_padding=1, flip=True),
    )
    recipe = Recipe(epochs=1, batch_size=8)
    assert 0 < step_seconds("eager", model, CrossEntropy(), batches, recipe) < 1
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_the_last_layer_computes_in_float32_under_autocast(name):
    model = build_model(name, 4, width=4, seed=0).eval()
    seen = {}
    model.head.register_forward_hook(
        lambda _, given, made: seen.update(given=given[0].dtype, made=made.dtype)
    )
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    first.register_forward_hook(lambda _, given, made: seen.update(conv=made.dtype))
    norm = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model.train()(images)
    assert seen == {
        "conv": torch.bfloat16,
        "given": torch.float32,
        "made": torch.float32,
    }
    assert norm.running_var.dtype == torch.float32
    # Statistics of bfloat16 numbers, but not rounded to them.
    assert not torch.equal(norm.running_var, norm.running_var.bfloat16().float())


def test_a_study_run_without_determinism_says_so_and_keeps_to_it(tmp_path):
    study, store = study_file(tmp_path), tmp_path / "store"
    done = calibench("run", study, "--store", store, "--no-deterministic")
    assert done.code == 0, done.err
    begun = calibench("run", study, "--store", tmp_path / "other")
    assert begun.code == 0, begun.err
    # On a CPU it changes nothing but what the run says of itself.
    found, other = results(store), results(tmp_path / "other")
    same = {name for name in found if found[name] == other[name]}
    assert any(name.endswith(".parquet") for name in map(str, same))
    manifests = [p.read_text() for p in store.glob("runs/*/manifest.json")]
    assert all('"deterministic": "no"' in text for text in manifests)
    verified = calibench("verify", store)
    assert verified.code == 0, verified.out


def test_a_way_that_cannot_be_is_refused_before_anything_starts(tmp_path):
    study, store = study_file(tmp_path, TINY), tmp_path / "store"
    done = calibench("run", study, "--store", store, "--step", "captured")
    assert done.code == 2
    assert "--step captured records CUDA graphs" in done.err
    done = calibench("run", study, "--store", store, "--step", "capture")
    assert done.code == 2
    assert "'captured'" in done.err
    assert not store.exists()
