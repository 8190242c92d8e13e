"""What `gpu_study.py` measures of one run: steps, kernels, and runs side by side."""

import multiprocessing
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from calibench.lab.study.load import load_study
from calibench.lab.study.prepared_run import Conditions, PreparedRun
from calibench.lab.training.devices import make_repeatable
from calibench.lab.training.loop import sgd
from calibench.lab.training.quickest import step_seconds
from calibench.lab.training.step import new_step
from calibench.models import num_multiply_adds
from plain_loop import PlainLoop

# A multiply-add is two operations; a step passes forward, and backward to activations
# and to weights.
FLOPS_OF_A_STEP = 2 * 3


def peak_flops(device: str, dtype: torch.dtype, size: int, rounds: int = 7) -> float:
    """Return operations a second of the quickest of some square matrix products."""
    first, second = (torch.randn(size, size, device=device).to(dtype) for _ in "ab")
    seconds = []
    for _ in range(rounds):
        wait_for(device)
        started = time.perf_counter()
        for _ in range(10):
            first @ second
        wait_for(device)
        seconds.append((time.perf_counter() - started) / 10)
    return 2 * size**3 / min(seconds)


def prepared(study_file: Path, model: str, conditions: Conditions) -> PreparedRun:
    """Return the study's first run of a model."""
    study = load_study(study_file)
    spec = next(run for run in study.runs() if run.model == model)
    return PreparedRun.of(study, spec, replace(conditions, step="eager"))


def step_row(run: PreparedRun, way: str, *, deterministic: bool) -> dict[str, Any]:
    """Return what a step takes in one way."""
    device = run.batches.images.labels.device
    make_repeatable(device, deterministic=deterministic)
    recipe, batches = run.spec.train, run.batches
    loss = run.loss.at(0)
    seconds = step_seconds(way, run.state.model, loss, batches, recipe)
    make_repeatable(device)
    return {
        "way": way,
        "deterministic": deterministic,
        "ms": 1000 * seconds,
        "images_per_s": batches.batch_size / seconds,
        "epoch_s": seconds * batches.per_epoch,
        "flops_per_s": step_flops(run) / seconds,
    }


def step_flops(run: PreparedRun) -> float:
    """Return the counted operations of a training step."""
    _, height, width, channels = run.batches.images.pixels.shape
    per_image = num_multiply_adds(run.state.model, (channels, height, width))
    return FLOPS_OF_A_STEP * per_image * run.batches.batch_size


def plain_epoch(run: PreparedRun, num_workers: int) -> float:
    """Return seconds that a plain loop takes to train an epoch on the same device."""
    model = deepcopy(run.state.model).to(memory_format=torch.contiguous_format)
    train, measured = run.splits.train.examples, run.splits.test.examples
    recipe = run.spec.train
    torch.use_deterministic_algorithms(mode=False)
    loop = PlainLoop(
        model, recipe, run.batches, train, measured, num_workers=num_workers
    )
    loop.train(1)
    started = time.perf_counter()
    loop.train(2)
    seconds = time.perf_counter() - started
    make_repeatable(run.batches.images.labels.device)
    return seconds


def top_kernels(run: PreparedRun, steps: int, most: int = 12) -> list[dict[str, Any]]:
    """Return on what eager steps spend the device's time, the longest first."""
    device = run.batches.images.labels.device.type
    model, recipe = run.state.model.train(), run.spec.train
    step = new_step("eager", model, run.batches, sgd(model, recipe), recipe)
    step.begin(1, run.loss.at(0))
    step.take()
    wait_for(device)
    on_gpu = [ProfilerActivity.CUDA] if device == "cuda" else []
    with profile(activities=[ProfilerActivity.CPU, *on_gpu]) as found:
        for _ in range(steps):
            step.take()
        wait_for(device)
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    rows = sorted(found.key_averages(), key=lambda row: -getattr(row, name))
    total = sum(getattr(row, name) for row in rows) or 1
    return [
        {
            "kernel": row.key[:80],
            "share": getattr(row, name) / total,
            "calls_per_step": row.count / steps,
            "us_per_step": getattr(row, name) / steps,
        }
        for row in rows[:most]
    ]


def beside(
    study_file: Path,
    model: str,
    conditions: Conditions,
    way: str,
    count: int,
    rounds: int,
) -> float:
    """Return the images a second of so many processes together on the device."""
    context = multiprocessing.get_context("spawn")
    connections = []
    for _ in range(count):
        here, there = context.Pipe()
        context.Process(
            target=_train_when_asked, args=(there, study_file, model, conditions, way)
        ).start()
        connections.append(here)
    per_epoch = sum(connection.recv() for connection in connections)
    found = []
    for number in range(rounds + 1):
        started = time.perf_counter()
        _ask(connections, "epoch")
        if number:
            found.append(per_epoch / (time.perf_counter() - started))
    _ask(connections, "end")
    return median(found)


def _ask(connections: Sequence[Connection], word: str) -> None:
    for connection in connections:
        connection.send(word)
    for connection in connections:
        connection.recv()


def _train_when_asked(
    connection: Connection,
    study_file: Path,
    model: str,
    conditions: Conditions,
    way: str,
) -> None:
    """Be one of several processes: an epoch whenever it is asked."""
    run = prepared(study_file, model, conditions)
    recipe, network = run.spec.train, run.state.model.train()
    step = new_step(way, network, run.batches, sgd(network, recipe), recipe)
    connection.send(run.batches.per_epoch * run.batches.batch_size)
    while connection.recv() == "epoch":
        step.begin(1, run.loss.at(0))
        for _ in range(run.batches.per_epoch):
            step.take()
        step.totals()
        connection.send("done")
    connection.send("ended")


def wait_for(device: str) -> None:
    """Wait until a GPU has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()
