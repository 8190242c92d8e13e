"""Several ranks compute what one process does, over gloo."""

import multiprocessing
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch._dynamo  # every optimizer imports it: once, before processes are forked
from torch import distributed, nn

from calibench.errors import DataError, InterruptedRunError, ParameterError
from calibench.lab.data.batches import (
    Augmentation,
    TrainingBatches,
    check_shares,
    on_device,
)
from calibench.lab.data.dataset import Examples
from calibench.lab.study.rank_group import Group, RankError
from calibench.lab.training import loop
from calibench.lab.training.global_norm import with_global_statistics
from calibench.lab.training.loop import infer, sgd, train
from calibench.lab.training.ranks import Ranks, check_ranks
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.step import check_way
from calibench.losses import MMCE, CrossEntropy

CPU = torch.device("cpu")
NUM_CLASSES = 3
pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded")


class Double(nn.Module):
    """A network in float64, in which a wrong term cannot hide behind rounding."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            layers = [
                nn.Conv2d(1, 4, 3, padding=1),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Conv2d(4, 3, 3),
                nn.BatchNorm2d(3, affine=False, momentum=None),
                nn.Flatten(),
                nn.BatchNorm1d(12, track_running_stats=False),
                nn.Linear(12, NUM_CLASSES),
            ]
        self.layers = nn.Sequential(*layers).double()

    def forward(self, images):
        return self.layers(images.double())


class Wide:
    """A loss in float64 of the logits that training narrows to float32."""

    def __init__(self, loss):
        self.loss = loss

    def __call__(self, logits, labels):
        return self.loss(logits.double(), labels)


CASES = {
    "mean": (CrossEntropy(), Recipe(epochs=2, batch_size=12, learning_rate=0.05)),
    "of the batch": (
        MMCE(weight=2),
        Recipe(epochs=2, batch_size=12, learning_rate=0.05, clip_grad_norm=0.3),
    ),
    "sum": (
        CrossEntropy(),
        Recipe(epochs=2, batch_size=12, learning_rate=0.01, reduction="sum"),
    ),
}


def images(count=40):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
    return on_device(Examples(pixels, np.arange(count) % NUM_CLASSES), CPU)


def trained(loss, recipe):
    """Train on this process's share; return state, totals and what it then says."""
    ranks, model = Ranks.here(), Double()
    batches = TrainingBatches(
        images=images(),
        batch_size=12,
        seed=1,
        augmentation=Augmentation(crop_padding=1, flip=True),
        rank=ranks.index,
        num_ranks=ranks.count,
    )
    if ranks.count > 1:
        model = with_global_statistics(model, CPU)
    optimizer = sgd(model, recipe)
    epochs = train(model, Wide(loss), batches, optimizer, recipe, range(1, 3))
    facts = []
    for epoch in epochs:
        facts.append((epoch.mean_loss, epoch.error_rate, epoch.learning_rate))
        infer(model, images())  # between epochs, as a study does
    return model.state_dict(), facts


def on_a_rank(folder, is_stopping):
    torch.set_num_threads(1)
    found = {name: trained(*case) for name, case in CASES.items()}
    loop._INFERENCE_BATCH["cpu"] = 7
    found["logits"] = infer(Signed(), images(count=17))
    few = infer(Signed(), images(count=5))  # not a batch for every rank
    found["few"] = few
    ranks = Ranks.here()
    given = b"state" if ranks.index == 0 else None
    found["given"] = list(ranks.given_by_first(given))
    found["nothing"] = list(ranks.given_by_first(b""))
    torch.save(found, folder / f"{Ranks.here().index}.pt")


class Signed(nn.Module):
    """Says 0.0 and -0.0, NaN and infinity, beside numbers."""

    def forward(self, images):
        pixels = images.flatten(1)
        odd = torch.tensor([-0.0, float("nan"), float("inf")]).expand(len(pixels), 3)
        return torch.cat([odd, pixels], dim=1)


@pytest.fixture(scope="module", params=[2, 3])
def together(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    group = Group(request.param, "cpu", multiprocessing.get_context("fork"))
    group.run(on_a_rank, (folder,), lambda: False)
    return [
        torch.load(folder / f"{rank}.pt", weights_only=True)
        for rank in range(request.param)
    ]


@pytest.mark.parametrize("name", CASES)
def test_ranks_train_as_one_process_does(together, name):
    state, facts = trained(*CASES[name])
    for found, found_facts in (rank[name] for rank in together):
        for key, value in state.items():
            # The logits between network and loss are float32, the rest is float64.
            torch.testing.assert_close(
                found[key], value, rtol=1e-6, atol=1e-7, check_dtype=False
            )
        for mine, alone in zip(found_facts, facts, strict=True):
            assert mine == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_all_ranks_hold_the_same_bits(together, name):
    first, *others = (rank[name] for rank in together)
    for state, facts in others:
        assert facts == first[1]
        same_running = {k for k in state if torch.equal(state[k], first[0][k])}
        assert same_running == set(state)


def test_training_as_one_process_does_needs_the_others_statistics():
    """Else the test above would show nothing about batch norm."""
    whole, _ = trained(*CASES["mean"])
    loss, recipe = CASES["mean"]
    model = Double()
    part = TrainingBatches(
        images=images(),
        batch_size=12,
        seed=1,
        augmentation=Augmentation(crop_padding=1, flip=True),
        num_ranks=2,
    )
    list(train(model, Wide(loss), part, sgd(model, recipe), recipe, range(1, 3)))
    key = "layers.1.running_mean"
    assert (model.state_dict()[key] - whole[key]).abs().max() > 1e-3


def test_logits_are_the_same_bits_whoever_computed_them(together, monkeypatch):
    monkeypatch.setitem(loop._INFERENCE_BATCH, "cpu", 7)
    for name, count in (("logits", 17), ("few", 5)):
        alone = infer(Signed(), images(count=count))
        assert torch.signbit(alone[:, 0]).all()
        for rank in together:
            assert torch.equal(rank[name].view(torch.int32), alone.view(torch.int32))


def test_what_the_first_gives_reaches_all(together):
    assert [bytes(rank["given"]) for rank in together] == [b"state"] * len(together)
    assert [bytes(rank["nothing"]) for rank in together] == [b""] * len(together)


def test_the_shares_of_a_batch_are_the_batch():
    whole = TrainingBatches(
        images=images(),
        batch_size=12,
        seed=1,
        augmentation=Augmentation(crop_padding=1, flip=True),
    )
    parts = [replace(whole, rank=rank, num_ranks=3).epoch(4) for rank in range(3)]
    for batch, *shares in zip(whole.epoch(4), *parts, strict=True):
        for one, pieces in zip(batch, zip(*shares, strict=True), strict=True):
            assert torch.equal(torch.cat(pieces), one)


def test_a_batch_that_cannot_be_shared_is_refused():
    check_shares(12, 3)
    with pytest.raises(ParameterError, match="batch_size is 12, which 5 ranks cannot"):
        check_shares(12, 5)
    with pytest.raises(ParameterError, match="needs a GPU for each"):
        check_ranks(999, torch.device("cuda"))
    check_ranks(999, CPU)
    with pytest.raises(ParameterError, match="--ranks 2 takes eager steps"):
        check_way("compiled", CPU, num_ranks=2)


def fails_second(is_stopping):
    if Ranks.here().index == 1:
        msg = "row 7 of rank 1"
        raise DataError(msg)
    distributed.barrier()


def is_killed(is_stopping):
    if Ranks.here().index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.barrier()


def waits_forever(is_stopping):
    while not (is_stopping() and Ranks.here().index == 0):
        pass
    msg = "asked to"
    raise InterruptedRunError(msg)


def group():
    return Group(2, "cpu", multiprocessing.get_context("fork"))


def test_the_first_error_is_that_of_the_group():
    with pytest.raises(DataError, match="row 7 of rank 1"):
        group().run(fails_second, (), lambda: False)


def test_a_killed_rank_ends_the_group_with_a_reason():
    with pytest.raises(RankError, match="rank 1 of 2 was killed by signal 9; run"):
        group().run(is_killed, (), lambda: False)


def ends_without_a_word(is_stopping):
    os._exit(3)


def test_a_rank_that_ends_without_a_word_is_said_to():
    with pytest.raises(RankError, match="without a word; run again"):
        group().run(ends_without_a_word, (), lambda: False)


def test_a_group_that_is_asked_to_stop_does():
    with pytest.raises(InterruptedRunError):
        group().run(waits_forever, (), lambda: True)
