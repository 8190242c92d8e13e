"""Carry out a whole study on this machine: what `calibench run` does."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from calibench.lab.data.sources import DatasetShape
from calibench.lab.store import Store
from calibench.lab.study.execute import Conditions
from calibench.lab.study.launch import Event, StopRequest, launch
from calibench.lab.study.load import load_study
from calibench.lab.study.plan import planned
from calibench.lab.study.progress import show_progress
from calibench.lab.training.devices import check_precision, chosen_device

DEMO_STUDY = Path(__file__).with_name("demo.toml")


def run_study(
    study_file: Path,
    store_path: Path,
    conditions: Conditions,
    *,
    workers: int | None,
    talk: Callable[[str], None],
) -> int:
    """Run whatever is not finished yet; return the exit code of the whole.

    Raises:
        ParameterError: The study is not valid, or the store is another study's.
    """
    study = load_study(study_file)
    device = chosen_device(conditions.device)
    check_precision(study.train.precision, device)
    # Loaded here once, so that a missing archive is said once, and at once.
    plan = planned(study, DatasetShape.of(study.dataset.load(conditions.data)))
    store = Store.prepared(
        store_path,
        {
            "name": study.name,
            "spec": study.to_dict(),
            "runs": [run.run_id for run in study.runs()],
        },
        study_file.read_text(),
    )
    epochs_of = {f.run_id: f.history() for f in store.runs()}
    waiting = [
        run_id
        for run_id in plan.costliest_first()
        if epochs_of[run_id].outcome not in {"finished", "diverged"}
    ]
    done = sum(history.last_epoch for history in epochs_of.values())
    if len(waiting) < len(epochs_of):
        talk(f"{len(epochs_of) - len(waiting)} of {len(epochs_of)} runs are done.")
    stop = StopRequest()
    stop.listen()
    ended = show_progress(
        launch(
            store,
            waiting,
            conditions,
            workers=workers or _default_workers(device),
            is_stopping=stop,
        ),
        num_runs=len(epochs_of),
        num_epochs=study.train.epochs,
        done_epochs=done,
    )
    if stop():
        talk("interrupted; everything committed is kept. Run the same command again.")
        return 75
    return _exit_code(ended)


def _default_workers(device: torch.device) -> int:
    return len(os.sched_getaffinity(0)) if device.type == "cpu" else 1


def _exit_code(ended: list[Event]) -> int:
    """Return 0, the one code that every failed run shares, or 1."""
    codes = {event.exit_code for event in ended if event.exit_code}
    diverged = any(event.outcome == "diverged" for event in ended)
    if len(codes) == 1 and not diverged:
        return codes.pop()
    return 1 if codes or diverged else 0
