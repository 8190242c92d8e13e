"""Where the time of an epoch goes, on one core: the second half of `train_speed.py`."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from calibench.lab.data.sources import DatasetShape
from calibench.lab.store import EpochFiles, RunFolder
from calibench.lab.study.measure import MEASURED_SPLITS, epoch_rows
from calibench.lab.study.prepared_run import PreparedRun
from calibench.models import num_multiply_adds
from calibench.predictions import Predictions
from train_grids import grid, prepared, runs

_SECONDS = 2.0
_STEP_PARTS = ("data", "forward", "loss", "backward", "optimizer")


class Spent:
    """Seconds of this thread by what they were spent on; others' do not count."""

    def __init__(self) -> None:
        self.on: dict[str, float] = {}

    @contextmanager
    def counted(self, part: str) -> Iterator[None]:
        """Add the block's time to a part."""
        started = time.thread_time()
        yield
        self.on[part] = self.on.get(part, 0.0) + time.thread_time() - started


def show_parts(name: str, models: list[str], *, share: float) -> None:
    """Print where an epoch of a grid's real size goes."""
    whole, study = grid(name), grid(name, share=share)
    sizes = whole.splits
    num_train = sizes.train // whole.train.batch_size * whole.train.batch_size
    measured = {each: getattr(sizes, each) for each in MEASURED_SPLITS}
    num_measured = sum(measured.values())
    sys.stdout.write(
        f"\n**{name}**: {num_train:,} images trained on and {num_measured:,} "
        "measured in an epoch; one core, CPU seconds.\n\n"
        "| | format | data | forward | loss | backward | optimizer | inference "
        "| metrics | commit | epoch | evaluation / training | of the core's peak |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    for model, spec in runs(study, models).items():
        with tempfile.TemporaryDirectory() as folder:
            run = prepared(study, spec, Path(folder) / "store")
            spent = _steps(run)
            steps = spent.on.pop("steps")
            scale = num_train / (steps * spec.train.batch_size)
            seconds = {part: spent.on[part] * scale for part in _STEP_PARTS}
            seconds |= _evaluation(run, measured, Path(folder) / "run")
        _show_row(model, run, seconds, num_train)


def _steps(run: PreparedRun) -> Spent:
    """Take training steps one part at a time; "steps" is how many."""
    model, optimizer = run.state.model.train(), run.state.optimizer
    loss = run.loss.at(0.0)
    spent, warm, steps = Spent(), Spent(), 0
    epoch = run.batches.epoch(1)
    while steps < 2 or sum(spent.on.values()) < _SECONDS:
        count = spent if steps >= 0 and warm.on else warm
        with count.counted("data"):
            batch = next(epoch, None)
        if batch is None:
            epoch = run.batches.epoch(1)
            continue
        with count.counted("forward"):
            logits = model(batch[0])
        with count.counted("loss"):
            value = loss(logits, batch[1])
        with count.counted("backward"):
            optimizer.zero_grad(set_to_none=True)
            value.backward()
        with count.counted("optimizer"):
            optimizer.step()
        steps += count is spent
    spent.on["steps"] = steps
    return spent


def _evaluation(
    run: PreparedRun, measured: dict[str, int], path: Path
) -> dict[str, float]:
    """Return what inference, metrics and a commit of the study's real size take."""
    spent = Spent()
    with spent.counted("inference"):
        shown = sum(len(each) for each in run.logits(lambda: False).values())
    spent.on["inference"] *= sum(measured.values()) / shown
    predictions = _over_confident(measured, run.dataset.num_classes)
    epoch_rows(1, predictions, {})  # what is compiled or imported first is not counted
    with spent.counted("metrics"):
        rows = epoch_rows(1, predictions, {})
    columns = {
        f"logit_{k}": np.concatenate(
            [each.logits[:, k].astype(np.float32) for each in predictions.values()]
        )
        for k in range(run.dataset.num_classes)
    }
    path.mkdir()
    folder = RunFolder(path)
    folder.begin(run.manifest(), columns)
    with spent.counted("commit"):
        content = EpochFiles(rows, columns, run.state.to_bytes())
        folder.commit_epoch(1, content)
    return spent.on


def _over_confident(sizes: dict[str, int], num_classes: int) -> dict[str, Predictions]:
    """Return logits as of a network that has begun to over-fit."""
    rng = np.random.default_rng(0)
    made = {}
    for name, size in sizes.items():
        labels = rng.integers(num_classes, size=size)
        logits = 3 * rng.standard_normal((size, num_classes))
        logits[np.arange(size), labels] += 6
        made[name] = Predictions.from_logits(logits, labels, split=name)
    return made


def _show_row(
    model: str, run: PreparedRun, seconds: dict[str, float], num_train: int
) -> None:
    training = sum(seconds[part] for part in _STEP_PARTS)
    evaluation = sum(seconds.values()) - training
    multiply_adds = num_multiply_adds(
        run.state.model, DatasetShape.of(run.dataset).image_shape
    )
    # Forward, and backward for activations and for weights; two operations each.
    rate = 6 * multiply_adds * num_train / training
    cells = [f"{seconds[part]:.3g}" for part in seconds]
    sys.stdout.write(
        f"| {model} | {run.fingerprint['memory_format']} | {' | '.join(cells)} | "
        f"{training + evaluation:.3g} | {evaluation / training:.0%} | "
        f"{rate / core_peak():.0%} |\n"
    )
    sys.stdout.flush()


def core_peak() -> float:
    """Return the float32 operations a second of a matrix product on one core."""
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    took = []
    for _ in range(8):
        started = time.thread_time()
        torch.mm(left, right)
        took.append(time.thread_time() - started)
    return 2 * 1024**3 / min(took)
