"""The ways of taking a training step: the bits of a plain loop, and of each other.

A CUDA graph repeats operations on fixed memory; `tape.recorded` does that on a CPU, and
fails where the host takes part in a step.
"""

from collections import deque
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from calibench.errors import ParameterError
from calibench.lab.data.batches import Augmentation, TrainingBatches, on_device
from calibench.lab.data.dataset import Examples
from calibench.lab.training import step as steps
from calibench.lab.training.loop import sgd, train
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.recorded import recorded
from calibench.lab.training.run_loss import RunLoss
from calibench.lab.training.schedule import OneCycle
from calibench.losses import MMCE, AdaFocal, CrossEntropy, Focal, FocalSchedule
from calibench.models import build_model
from loss_batches import ALL_LOSSES, BATCH_LOSSES
from tape import HostSyncError, Tape
from tape import recorded as taped

NUM_CLASSES = 3
RECIPES = {
    "plain": Recipe(epochs=3, momentum=0.0, learning_rate=0.05),
    "momentum": Recipe(epochs=3, learning_rate=0.05, schedule=OneCycle(peak=0.4)),
    "nesterov, clipped": Recipe(
        epochs=3, learning_rate=0.05, nesterov=True, clip_grad_norm=0.5
    ),
    "sum": Recipe(epochs=3, learning_rate=0.01, reduction="sum"),
    "bfloat16": Recipe(epochs=3, learning_rate=0.05, precision="bfloat16"),
}


@pytest.fixture
def tape(monkeypatch):
    """Count how often a step is recorded, with the CPU's stand-in."""
    made = []

    def counted(work):
        made.append(work)
        return taped(work)

    monkeypatch.setattr(steps, "recorded", counted)
    return made


def batches(device="cpu"):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (40, 1, 4, 4), dtype=np.uint8)
    labels = generator.integers(0, NUM_CLASSES, 40)
    return TrainingBatches(
        images=on_device(Examples(images, labels), torch.device(device)),
        batch_size=12,
        seed=1,
        augmentation=Augmentation(crop_padding=1, flip=True),
    )


def network(device="cpu"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, NUM_CLASSES),
        )
    return model.to(device).to(memory_format=torch.channels_last)


def trained(recipe, way="eager", loss=None, *, parts=None, device="cpu"):
    """Return weights, statistics and momentum after training, and the epochs."""
    model = network(device)
    optimizer = sgd(model, recipe)
    done = []
    for epochs in parts or [range(1, recipe.epochs + 1)]:
        some, loss = batches(device), loss or CrossEntropy()
        done += train(model, loss, some, optimizer, recipe, epochs, way=way)
    momenta = [s["momentum_buffer"] for s in optimizer.state.values() if s]
    return [*model.state_dict().values(), *momenta], done


def plainly_trained(recipe):
    """The loop as one would write it down."""
    model = network().train()
    optimizer, some, loss = sgd(model, recipe), batches(), CrossEntropy()
    facts = []
    for epoch in range(1, recipe.epochs + 1):
        total, wrong = torch.zeros((), dtype=torch.float64), 0
        for step, (inputs, labels) in enumerate(some.epoch(epoch)):
            progress = (epoch - 1 + step / 3) / recipe.epochs
            rate = recipe.learning_rate * recipe.schedule.multiplier(progress)
            optimizer.param_groups[0]["lr"] = rate
            with torch.autocast(
                "cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"
            ):
                logits = model(inputs)
            value = loss(logits.float(), labels)
            optimizer.zero_grad()
            (value * 12 if recipe.reduction == "sum" else value).backward()
            if recipe.clip_grad_norm:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_grad_norm)
            optimizer.step()
            total += value.detach()
            wrong += int((logits.argmax(dim=1) != labels).sum())
        facts.append((total.item() / 3, wrong / 36, rate))
    momenta = [s["momentum_buffer"] for s in optimizer.state.values() if s]
    return [*model.state_dict().values(), *momenta], facts


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_an_eager_step_has_the_bits_of_a_plain_loop(recipe):
    state, epochs = trained(recipe)
    expected, facts = plainly_trained(recipe)
    assert len(state) == len(expected)
    assert all(map(torch.equal, state, expected))
    assert [(e.mean_loss, e.error_rate, e.learning_rate) for e in epochs] == facts


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_captured_step_is_an_eager_one_without_the_host(tape, recipe):
    state, epochs = trained(recipe, "captured")
    expected, eager = trained(recipe)
    assert len(tape) == 1, "recorded once for all epochs"
    # Its learning rate is a float32; the rest is the same arithmetic.
    coarse = recipe.precision == "bfloat16"
    close = {"rtol": 2e-2, "atol": 2e-3} if coarse else {"rtol": 1e-5, "atol": 1e-6}
    for value, other in zip(state, expected, strict=True):
        torch.testing.assert_close(value, other, **close)
    for epoch, other in zip(epochs, eager, strict=True):
        assert epoch.mean_loss == pytest.approx(other.mean_loss, rel=close["rtol"])
        assert epoch.learning_rate == other.learning_rate
        assert abs(epoch.error_rate - other.error_rate) <= (2 / 36 if coarse else 0)


def test_a_captured_run_that_is_resumed_ends_in_the_same_bits(tape):
    recipe = RECIPES["momentum"]
    whole, _ = trained(recipe, "captured")
    parts, _ = trained(recipe, "captured", parts=[range(1, 2), range(2, 4)])
    assert len(tape) == 3
    assert all(map(torch.equal, whole, parts))


@pytest.mark.parametrize("times", [1, 2])
def test_a_step_is_recorded_again_when_its_loss_changes(tape, times):
    recipe = Recipe(epochs=4, learning_rate=0.05)
    changing = [FocalSchedule(), FocalSchedule(gammas=(4.0,), milestones=())][times - 1]
    expected, _ = trained(recipe, loss=changing)
    state, _ = trained(recipe, "captured", loss=changing)
    forms = {changing.at((epoch - 1) / 4) for epoch in range(1, 5)}
    assert len(tape) == len(forms)
    for value, other in zip(state, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-5, atol=1e-6)


def test_a_loss_that_learned_is_the_one_recorded(tape):
    recipe, model = Recipe(epochs=3, learning_rate=0.05), network()
    loss = RunLoss(AdaFocal(num_bins=2))
    held_out = torch.randn(30, NUM_CLASSES), torch.arange(30) % NUM_CLASSES
    optimizer = sgd(model, recipe)
    for _ in train(
        model, loss, batches(), optimizer, recipe, range(1, 4), way="captured"
    ):
        loss.learn(*held_out)
    assert len(tape) == 3


@pytest.mark.parametrize("loss", [*ALL_LOSSES, *BATCH_LOSSES], ids=str)
def test_no_loss_needs_the_host(loss):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(32, 5, generator=generator).requires_grad_()
    labels = torch.randint(5, (32,), generator=generator)
    form = loss.at(0.5) if isinstance(loss, FocalSchedule) else loss
    with Tape() as tape:
        form(logits, labels).backward()
    expected = logits.grad.clone()
    logits.grad.zero_()
    tape.replay()
    assert torch.equal(logits.grad, expected)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg16"])
def test_no_network_needs_the_host(name):
    model = build_model(name, 4, width=2, seed=0)
    images, labels = torch.randn(2, 3, 8, 8), torch.tensor([1, 3])
    with Tape():
        MMCE(weight=1)(model(images), labels).backward()


def asks_for_a_number(logits, labels):
    value = CrossEntropy()(logits, labels)
    return value if value.item() > 0 else -value


def picks_by_a_mask(logits, labels):
    return CrossEntropy()(logits[labels > 0], labels[labels > 0])


def sends_a_number(logits, labels):
    return CrossEntropy()(logits, labels) * torch.tensor(2.0)


@pytest.mark.parametrize("loss", [asks_for_a_number, picks_by_a_mask, sends_a_number])
def test_a_loss_that_needs_the_host_is_caught(tape, loss):
    with pytest.raises(HostSyncError):
        trained(RECIPES["plain"], "captured", loss)


def test_a_number_that_the_host_keeps_is_frozen(tape):
    """Else the tests above would not tell a recorded step from one that is called."""
    calls = []

    def louder(logits, labels):
        calls.append(1)
        return CrossEntropy()(logits, labels) * len(calls)

    _, epochs = trained(RECIPES["plain"], "captured", louder)
    assert len(calls) == 4, "three to warm up, and one that is recorded"
    assert epochs[0].mean_loss > 3


@pytest.mark.filterwarnings("ignore")  # what the compiler warns of is its own
def test_a_compiled_step_computes_the_same(monkeypatch):
    # All of the compiler but its last stage, which takes 20 s.
    compiled = partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", compiled)
    recipe = Recipe(epochs=1, learning_rate=0.05)
    state, _ = trained(recipe, "compiled", Focal(gamma=2))
    expected, _ = trained(recipe, loss=Focal(gamma=2))
    for value, other in zip(state, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-5)


def test_an_unknown_way_is_refused():
    with pytest.raises(ParameterError, match="'captured'"):
        trained(RECIPES["plain"], "capture")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("way", ["captured", "compiled", "compiled_captured"])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_ways_agree_on_a_gpu(recipe, way):
    state, _ = trained(recipe, way, device="cuda")
    expected, _ = trained(recipe, device="cuda")
    coarse = recipe.precision == "bfloat16"
    close = {"rtol": 5e-2, "atol": 1e-2} if coarse else {"rtol": 1e-3, "atol": 1e-4}
    for value, other in zip(state, expected, strict=True):
        torch.testing.assert_close(value, other, **close)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_graph_repeats_what_was_recorded():
    total = torch.zeros(1, device="cuda")
    again = recorded(lambda: deque([total.add_(1)], maxlen=0))
    total.zero_()
    for _ in range(5):
        again()
    assert total.item() == 5
