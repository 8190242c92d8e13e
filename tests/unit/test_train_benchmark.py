"""The plain loop that training is compared with does the same, image by image."""

import importlib

import numpy as np
import pytest
import torch

from calibench.lab.study.conditions import Conditions
from calibench.lab.study.load import load_study
from calibench.lab.study.prepared_run import PreparedRun
from calibench.models import build_model
from command_line import TINY, study_file
from pages import ROOT


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def test_without_augmentation_it_has_the_same_loss(tmp_path, benchmark_module):
    plain_loop = benchmark_module("plain_loop")
    # Two steps: rounding grows fast where it turns a ReLU on or off.
    still = TINY.replace("crop_padding = 1", "crop_padding = 0\nflip = false")
    still = still.replace("num_train = 260", "num_train = 160")
    study = load_study(study_file(tmp_path, still))
    spec = study.runs()[0]
    run = PreparedRun.of(study, spec, Conditions(data=tmp_path, device="cpu"))
    model = build_model("vgg16", 3, width=4, seed=spec.seed)
    examples = run.splits.train.examples
    loop = plain_loop.PlainLoop(
        model,
        spec.train,
        run.batches,
        examples,
        run.splits.test.examples,
        num_workers=0,
    )
    (ours,) = run.epochs(range(1, 2), lambda: False)
    assert run.batches.per_epoch == 2
    assert loop.train(1) == pytest.approx(ours.mean_loss, rel=1e-5)
    assert 0 <= loop.evaluate() <= 1


def test_a_crop_shows_a_part_of_the_padded_image(benchmark_module):
    plain_loop = benchmark_module("plain_loop")
    image = np.arange(1, 17, dtype=np.uint8).reshape(4, 4, 1)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    windows = {
        padded[down : down + 4, across : across + 4].tobytes()
        for down in range(3)
        for across in range(3)
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        seen = {plain_loop._random_crop(image, 1).tobytes() for _ in range(200)}
    assert seen == windows
