"""The training loop against a slow one, written out for a small network."""

import io
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from calibench.errors import IntegrityError, InterruptedRunError
from calibench.lab.data.batches import Augmentation, TrainingBatches, on_device
from calibench.lab.data.dataset import Examples
from calibench.lab.training import loop
from calibench.lab.training.checkpoint import TrainingState
from calibench.lab.training.loop import infer, sgd, train
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.schedule import Cosine, MultiStep, OneCycle
from calibench.losses import CrossEntropy

CPU = torch.device("cpu")
LOSS = CrossEntropy()
NUM_CLASSES = 3


def split(count=20, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
    return Examples(images, labels=generator.integers(0, NUM_CLASSES, count))


def batches(batch_size=6):
    return TrainingBatches(
        images=on_device(split(), CPU),
        batch_size=batch_size,
        seed=1,
        augmentation=Augmentation(crop_padding=1, flip=True),
    )


def network(*, normed=False):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        layers = [nn.BatchNorm2d(1)] if normed else []
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, NUM_CLASSES))


def trained(recipe, *, model=None, loss=LOSS, epochs=None, **options):
    model = model or network()
    epochs = epochs or range(1, recipe.epochs + 1)
    done = train(model, loss, batches(), sgd(model, recipe), recipe, epochs, **options)
    return model, list(done)


def slowly_trained(recipe):
    """Return the weights after SGD in float64, one plain formula after the other."""
    model = network().double()
    weights = list(model.parameters())
    moving = [torch.zeros_like(weight) for weight in weights]
    facts = []
    for epoch in range(recipe.epochs):
        losses, wrong = [], []
        for step, (inputs, labels) in enumerate(batches().epoch(epoch + 1)):
            logits = model(inputs.double())
            each = -F.log_softmax(logits, dim=1)[range(len(labels)), labels]
            losses += each.tolist()
            wrong += (logits.argmax(dim=1) != labels).tolist()
            total = each.sum() if recipe.reduction == "sum" else each.mean()
            gradients = torch.autograd.grad(total, weights)
            norm = sum(float((g**2).sum()) for g in gradients) ** 0.5
            if recipe.clip_grad_norm is not None and norm > recipe.clip_grad_norm:
                gradients = [g * recipe.clip_grad_norm / norm for g in gradients]
            rate = recipe.learning_rate * recipe.schedule.multiplier(
                (epoch + step / 3) / recipe.epochs  # 20 examples: 3 batches of 6
            )
            with torch.no_grad():
                for weight, gradient, velocity in zip(
                    weights, gradients, moving, strict=True
                ):
                    slope = gradient + recipe.weight_decay * weight
                    velocity.mul_(recipe.momentum).add_(slope)
                    ahead = slope + recipe.momentum * velocity
                    weight.sub_(rate * (ahead if recipe.nesterov else velocity))
        facts.append((np.mean(losses), np.mean(wrong), rate))
    return model, facts


RECIPES = {
    "plain": {"momentum": 0.0, "weight_decay": 0.0},
    "momentum": {"weight_decay": 0.0},
    "weight decay": {"weight_decay": 0.3},
    "nesterov": {"nesterov": True, "weight_decay": 0.1},
    "sum": {"reduction": "sum"},
    "clipped": {"clip_grad_norm": 0.5},
    "sum, then clipped": {"reduction": "sum", "clip_grad_norm": 4.0},
    "never clipped": {"clip_grad_norm": 1e6},
    "one cycle": {"schedule": OneCycle(peak=0.4)},
    "steps": {"schedule": MultiStep(milestones=(1 / 3, 2 / 3), factor=0.2)},
}


@pytest.mark.parametrize("options", RECIPES.values(), ids=RECIPES.keys())
def test_training_is_the_recipe(options):
    recipe = Recipe(**{"epochs": 3, "learning_rate": 0.05, "batch_size": 6} | options)
    model, epochs = trained(recipe)
    slow, facts = slowly_trained(recipe)
    for weight, expected in zip(model.parameters(), slow.parameters(), strict=True):
        assert torch.allclose(weight.double(), expected, rtol=1e-5, atol=1e-6)
    assert [epoch.index for epoch in epochs] == [1, 2, 3]
    for epoch, (mean_loss, error_rate, rate) in zip(epochs, facts, strict=True):
        assert epoch.mean_loss == pytest.approx(mean_loss, rel=1e-5)
        assert epoch.error_rate == pytest.approx(error_rate, abs=1e-12)
        assert epoch.learning_rate == pytest.approx(rate, rel=1e-12)


def test_the_recipes_above_differ():
    ends = set()
    for options in RECIPES.values():
        recipe = Recipe(
            **{"epochs": 3, "learning_rate": 0.05, "batch_size": 6} | options
        )
        model, _ = trained(recipe)
        ends.add(round(sum(w.abs().sum().item() for w in model.parameters()), 6))
    # A clip that never bites is the default, which has momentum and weight decay.
    assert len(ends) == len(RECIPES)


class RateSeen:
    """A loss that notes the learning rate of the step it is asked in."""

    def __init__(self):
        self.rates = []
        self.optimizer = None

    def __call__(self, logits, labels):
        assert logits.dtype == torch.float32
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        return LOSS(logits, labels)


def rates_seen(recipe, epochs):
    model, loss = network(), RateSeen()
    loss.optimizer = sgd(model, recipe)
    deque(train(model, loss, batches(), loss.optimizer, recipe, epochs), maxlen=0)
    return loss.rates


def test_every_step_has_the_rate_of_its_place_in_training():
    recipe = Recipe(epochs=2, learning_rate=0.6, schedule=Cosine())
    expected = [0.6 * recipe.schedule.multiplier(step / 6) for step in range(6)]
    assert rates_seen(recipe, range(1, 3)) == pytest.approx(expected, rel=1e-12)


def test_resuming_starts_with_the_rate_of_the_epoch():
    recipe = Recipe(epochs=4, learning_rate=0.6, schedule=OneCycle(peak=0.5))
    whole = rates_seen(recipe, range(1, 5))
    assert rates_seen(recipe, range(3, 5)) == whole[6:]
    assert rates_seen(recipe, range(5, 5)) == []


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_it_stops_between_two_steps(steps):
    asked, calls, done = [], [], []

    def is_stopping():
        asked.append(1)
        return len(asked) > steps

    def loss(logits, labels):
        calls.append(1)
        return LOSS(logits, labels)

    model, recipe = network(), Recipe(epochs=3)
    epochs = train(
        model,
        loss,
        batches(),
        sgd(model, recipe),
        recipe,
        range(1, 4),
        is_stopping=is_stopping,
    )
    with pytest.raises(
        InterruptedRunError, match=rf"stopped in epoch {1 + steps // 3}; "
    ):
        done.extend(epochs)
    assert len(calls) == steps


def test_the_caller_may_stop_after_any_epoch():
    model, recipe = network(), Recipe(epochs=5)
    epochs = train(model, LOSS, batches(), sgd(model, recipe), recipe, range(1, 6))
    assert next(epochs).index == 1
    after_one = [weight.clone() for weight in model.parameters()]
    epochs.close()
    once, _ = trained(recipe, epochs=range(1, 2))
    for weight, kept, expected in zip(
        model.parameters(), after_one, once.parameters(), strict=True
    ):
        assert torch.equal(weight, kept)
        assert torch.equal(weight, expected)


def test_measuring_shows_all_examples_in_order_in_eval_mode(monkeypatch):
    model = network(normed=True).train()
    images = on_device(split(count=17), CPU)
    whole = infer(model, images)
    model.eval()
    with torch.no_grad():
        one_by_one = torch.cat(
            [model(images.standardized(pixels[None])) for pixels in images.pixels]
        )
    assert whole.shape == (17, NUM_CLASSES)
    assert torch.allclose(whole, one_by_one, atol=1e-6)
    monkeypatch.setitem(loop._INFERENCE_BATCH, "cpu", 5)
    assert torch.allclose(infer(model, images), whole, atol=1e-6)


def test_measuring_leaves_the_model_as_it_was():
    model = network(normed=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    infer(model, on_device(split(), CPU))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(weight.grad is None for weight in model.parameters())


def test_training_after_measuring_is_in_train_mode_again():
    # Batch norm counts its batches in train mode only: 3 each epoch.
    model, recipe = network(normed=True), Recipe(epochs=2)
    images = on_device(split(), CPU)
    counts = []
    for _ in train(model, LOSS, batches(), sgd(model, recipe), recipe, range(1, 3)):
        infer(model, images)
        counts.append(model[0].num_batches_tracked.item())
    assert counts == [3, 6]


def test_measuring_between_epochs_changes_nothing():
    recipe = Recipe(epochs=2)
    undisturbed, _ = trained(recipe, model=network(normed=True))
    model = network(normed=True)
    for _ in train(model, LOSS, batches(), sgd(model, recipe), recipe, range(1, 3)):
        infer(model, on_device(split(), CPU))
    for name, value in model.state_dict().items():
        assert torch.equal(value, undisturbed.state_dict()[name]), name


def test_measuring_stops_between_two_batches(monkeypatch):
    monkeypatch.setitem(loop._INFERENCE_BATCH, "cpu", 5)
    answers = iter([False, False, True])
    with pytest.raises(InterruptedRunError, match="while measuring an epoch"):
        infer(network(), on_device(split(), CPU), is_stopping=lambda: next(answers))
    assert next(answers, "none left") == "none left"


def state(recipe, *, normed=True):
    model = network(normed=normed)
    return TrainingState(model, sgd(model, recipe))


def carried_on(state, recipe, epochs):
    deque(
        train(state.model, LOSS, batches(), state.optimizer, recipe, epochs), maxlen=0
    )
    return state.to_bytes()


def test_from_a_checkpoint_training_goes_on_in_the_same_bytes():
    recipe = Recipe(epochs=4, clip_grad_norm=1.0)
    uninterrupted = state(recipe)
    at = {0: uninterrupted.to_bytes()}
    for epoch in range(1, 5):
        at[epoch] = carried_on(uninterrupted, recipe, range(epoch, epoch + 1))
    assert len(set(at.values())) == 5
    for epoch in range(5):
        again = state(recipe)
        again.restore(at[epoch])
        assert again.to_bytes() == at[epoch], "read and written, it is the same"
        assert carried_on(again, recipe, range(epoch + 1, 5)) == at[4]


def test_equal_states_have_equal_bytes():
    recipe = Recipe(epochs=1)
    assert state(recipe).to_bytes() == state(recipe).to_bytes()
    first, second = (carried_on(state(recipe), recipe, range(1, 2)) for _ in range(2))
    assert first == second
    assert first != state(recipe).to_bytes()


def test_restoring_forgets_what_was_before():
    recipe = Recipe(epochs=2)
    begun = state(recipe).to_bytes()
    moved = state(recipe)
    carried_on(moved, recipe, range(1, 3))
    moved.restore(begun)
    # The momentum too: an optimizer that has made no step has none.
    assert moved.to_bytes() == begun


def foreign_checkpoints():
    recipe = Recipe(epochs=1)
    other = nn.Sequential(nn.Flatten(), nn.Linear(16, NUM_CLASSES + 1))
    deeper = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Linear(4, NUM_CLASSES))
    whole = state(recipe, normed=False).to_bytes()
    return {
        "another number of classes": TrainingState(
            other, sgd(other, recipe)
        ).to_bytes(),
        "another depth": TrainingState(deeper, sgd(deeper, recipe)).to_bytes(),
        "nothing": b"",
        "text": b"no checkpoint at all",
        "half": whole[: len(whole) // 2],
        "a bare tensor": saved(torch.zeros(3)),
        "no optimizer": saved({"model": network().state_dict()}),
        "code": saved({"model": LOSS, "optimizer": LOSS}),
    }


class Trap:
    """Runs code where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_checkpoint_that_holds_code_is_refused_without_running_it(tmp_path):
    path = tmp_path / "it ran"
    mine = state(Recipe(epochs=1), normed=False)
    with pytest.raises(IntegrityError):
        mine.restore(saved({"model": Trap(str(path)), "optimizer": {}}))
    assert not path.exists()


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("name", foreign_checkpoints())
def test_a_foreign_checkpoint_is_refused(name):
    mine = state(Recipe(epochs=1), normed=False)
    with pytest.raises(
        IntegrityError, match="checkpoint is not one of this model and optimizer"
    ):
        mine.restore(foreign_checkpoints()[name])
