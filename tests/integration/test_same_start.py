"""Within a seed every loss meets the same: differences between losses are paired."""

import io
import json

import pytest
import torch

from calibench.lab.store import Store
from command_line import TINY, calibench, study_file

# So small a rate moves no weight: after an epoch the weights are the initial ones, and
# batch norm's running means tell which batches, augmented how, in which order.
STUDY = TINY.replace("learning_rate = 0.05", "learning_rate = 1e-30").replace(
    'name = "tiny"', 'name = "tiny"\nseeds = [0, 1]'
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paired")
    toml = STUDY + '[[loss]]\nkind = "lp_norm"\nalpha = 0.1\n'
    done = calibench("run", study_file(folder, toml), "--store", folder / "store")
    assert done.code == 0, done.err
    folders = Store(folder / "store").runs()
    return {
        seed: [f for f in folders if f.manifest()["run"]["seed"] == seed]
        for seed in (0, 1)
    }


def weights(folder, epoch):
    state = torch.load(io.BytesIO(folder.checkpoint_of(epoch)), weights_only=True)
    return state["model"]


def same(first, second):
    assert first.keys() == second.keys()
    return all(equal(first[name], second[name]) for name in first)


def equal(first, second):
    # A bias that starts at 0 moves by the rate times its gradient, and no further.
    return float((first.double() - second.double()).abs().max()) < 1e-25


@pytest.mark.parametrize("epoch", [2, 3])
def test_losses_of_a_seed_share_initial_weights_batches_and_augmentation(runs, epoch):
    for folders in runs.values():
        one, *others = (weights(folder, epoch) for folder in folders)
        assert len(others) == 2
        assert all(same(one, other) for other in others)


def test_the_batches_leave_a_mark(runs):
    """Else the test above would show nothing about them."""
    folder = runs[0][0]
    second, third = weights(folder, 2), weights(folder, 3)
    moved = {name for name in second if not equal(second[name], third[name])}
    assert moved
    assert all("running" in name or "num_batches" in name for name in moved)


def test_losses_of_a_seed_share_their_splits(runs):
    for folders in runs.values():
        assert len({(f.path / "examples.parquet").read_bytes() for f in folders}) == 1


def test_losses_of_a_seed_see_the_same_errors_in_training(runs):
    for folders in runs.values():
        rows = [
            [row for row in folder.all_rows() if row["split"] == "train"]
            for folder in folders
        ]
        assert len({json.dumps([r["error_rate"] for r in each]) for each in rows}) == 1
        # And yet each is trained with a loss of its own.
        assert len({json.dumps([r["mean_loss"] for r in each]) for each in rows}) == 3


def test_another_seed_is_another_start(runs):
    first, second = (folders[0] for folders in runs.values())
    assert not same(weights(first, 2), weights(second, 2))
    assert (first.path / "examples.parquet").read_bytes() != (
        second.path / "examples.parquet"
    ).read_bytes()


def test_which_examples_are_held_out_is_told_and_they_are_not_trained_on(runs):
    for folders in runs.values():
        examples = folders[0].examples()
        held_out = examples["example"][examples["split"] != "test"]
        assert len(set(held_out.tolist())) == 20 + 40
        assert held_out.max() < 260
        test = examples["example"][examples["split"] == "test"]
        assert test.tolist() == list(range(60))
