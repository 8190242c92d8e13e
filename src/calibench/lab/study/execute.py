"""Carry out one run of a study, from wherever it stands to its end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite
from time import perf_counter
from typing import Any

from torch import Tensor

from calibench.errors import FingerprintError, IntegrityError
from calibench.lab.store import EpochFiles, RunFolder, Store
from calibench.lab.store.canonical import digest
from calibench.lab.study.commits import Commits, ordered_commits
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.load import study_from_table
from calibench.lab.study.measure import epoch_rows
from calibench.lab.study.memory_formats import as_chosen
from calibench.lab.study.prepared_run import PreparedRun
from calibench.lab.study.spec import RunSpec, StudySpec
from calibench.lab.training.checkpoint import TrainingState, bytes_of
from calibench.lab.training.fingerprint import differences
from calibench.lab.training.loop import Epoch
from calibench.lab.training.ranks import Ranks

_EPOCH_BYTES = 8


def stored_study(store: Store, conditions: Conditions) -> StudySpec:
    """Return the study that a store was made for."""
    return study_from_table(
        store.study()["spec"],
        source=str(store.path / "study.json"),
        allow_code=conditions.allow_code,
    )


def execute(
    store: Store,
    run_id: str,
    conditions: Conditions,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Train and evaluate a run until it ends; the journal says what is left to do.

    Raises:
        LockedError: Another process is at work on it.
        FingerprintError: It was begun under other software, hardware or data.
        InterruptedRunError: `is_stopping` turned true.
    """
    with store.run(run_id).owned() as folder:
        if folder.history().is_over:
            return
        study = stored_study(store, conditions)
        spec = study.run(run_id)
        run = PreparedRun.of(study, spec, _settled(store, folder, spec, conditions))
        _begin(folder, run, allow_drift=conditions.allow_drift)
        first = _restore(folder, run.state) + 1
        epochs = range(first, run.spec.train.epochs + 1)
        with ordered_commits(overlap=conditions.overlap) as commits:
            problem = _trained(folder, study, run, epochs, commits, is_stopping)
        if problem is None:
            folder.commit_event("end", outcome="finished")
        else:
            folder.commit_event("end", outcome="diverged", reason=problem)


def follow(
    store: Store,
    run_id: str,
    conditions: Conditions,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Compute what the first of several ranks does, and leave the store to it.

    Raises:
        InterruptedRunError: `is_stopping` turned true.
    """
    folder = store.run(run_id)
    study = stored_study(store, conditions)
    spec = study.run(run_id)
    run = PreparedRun.of(study, spec, _settled(store, folder, spec, conditions))
    first = _restore(None, run.state) + 1
    for epoch in run.epochs(range(first, spec.train.epochs + 1), is_stopping):
        logits = run.logits(is_stopping)
        if _problem(epoch, logits) is not None:
            return
        run.learn(logits)


def replay_epoch(
    store: Store,
    folder: RunFolder,
    again: RunFolder,
    epoch: int,
    conditions: Conditions,
) -> None:
    """Train and measure one committed epoch once more, into the empty run `again`.

    Raises:
        FingerprintError: Under these conditions the bits would not agree anyway.
    """
    study = stored_study(store, conditions)
    begun = conditions.as_begun(folder.fingerprint(epoch))
    run = PreparedRun.of(study, study.run(folder.run_id), begun)
    changes = differences(folder.fingerprint(epoch), run.fingerprint)
    if changes:
        msg = (
            f"epoch {epoch} of {folder.run_id} was trained under other conditions, and "
            f"would not come out in the same bits:{_listed(changes)}\nGo back to them, "
            "or check the hashes alone with --replay 0."
        )
        raise FingerprintError(msg)
    if epoch > 1:
        run.state.restore(folder.checkpoint_of(epoch - 1))
    again.path.mkdir(parents=True, exist_ok=True)
    again.begin(run.manifest(), run.examples())
    with ordered_commits(overlap=False) as commits:
        _trained(again, study, run, range(epoch, epoch + 1), commits, lambda: False)


def _settled(
    store: Store, folder: RunFolder, spec: RunSpec, conditions: Conditions
) -> Conditions:
    """Return the conditions, with what they leave open as the run was begun.

    A new run takes what was chosen for its study, if anything was.
    """
    if folder.history().has_begun:
        return conditions.as_begun(folder.fingerprint())
    return as_chosen(store, spec, conditions)


def _begin(folder: RunFolder, run: PreparedRun, *, allow_drift: bool) -> None:
    """Open the run for writing, unless what its bits depend on has changed."""
    folder.begin(run.manifest(), run.examples())
    if digest(folder.manifest()["run"]) != digest(run.spec.to_dict()):
        msg = (
            f"{folder.path}: the folder holds another run. Put its own back, or delete "
            "it to run again."
        )
        raise IntegrityError(msg)
    changes = differences(folder.fingerprint(), run.fingerprint)
    if changes and not allow_drift:
        msg = (
            f"{folder.run_id} was begun under other conditions, and would not end in "
            f"the same bits:{_listed(changes)}\nGo back to them; or delete "
            f"{folder.path} to run it again; or resume with --allow-drift, which the "
            "report will show."
        )
        raise FingerprintError(msg)
    if changes:
        folder.commit_event("drift", changes=changes, fingerprint=run.fingerprint)


def _listed(changes: list[str]) -> str:
    return "".join(f"\n  {change}" for change in changes)


def _restore(folder: RunFolder | None, state: TrainingState) -> int:
    """Load the newest intact checkpoint; return its epoch, 0 where there is none.

    All ranks load what the first finds; the others have no folder.
    """
    found = folder.checkpoint() if folder is not None else None
    epoch, content = found or (0, b"")
    given = Ranks.here().given_by_first(epoch.to_bytes(_EPOCH_BYTES) + content)
    if given[_EPOCH_BYTES:]:
        state.restore(given[_EPOCH_BYTES:])
    return int.from_bytes(given[:_EPOCH_BYTES])


def _trained(
    folder: RunFolder,
    study: StudySpec,
    run: PreparedRun,
    epochs: range,
    commits: Commits,
    is_stopping: Callable[[], bool],
) -> str | None:
    """Train and store epochs; return why the run cannot go on, if it cannot."""
    started = perf_counter()
    for epoch in run.epochs(epochs, lambda: is_stopping() or commits.have_failed):
        trained = perf_counter()
        logits = run.logits(is_stopping)
        problem = _problem(epoch, logits)
        if problem is not None:
            return problem
        run.learn(logits)
        inferred = perf_counter()
        spent = {"train": trained - started, "infer": inferred - trained}
        # Copied now: the next epoch moves the weights while this one is stored.
        ended = _Ended(epoch, logits, run.state.content(), spent)
        commits.submit(partial(_store, folder, study, run, ended))
        started = perf_counter()
    return None


@dataclass(frozen=True, eq=False)
class _Ended:
    """An epoch that has ended, with nothing in it that training still changes.

    Attributes:
        state: The content of a checkpoint.
        spent: Seconds by what they were spent on.
    """

    epoch: Epoch
    logits: Mapping[str, Tensor]
    state: dict[str, Any]
    spent: dict[str, float]


def _problem(epoch: Epoch, logits: Mapping[str, Tensor]) -> str | None:
    if not isfinite(epoch.mean_loss):
        return f"epoch {epoch.index}: the training loss is {epoch.mean_loss}."
    for name, values in logits.items():
        if not bool(values.isfinite().all()):
            return f"epoch {epoch.index}: logits of the {name} split are not finite."
    return None


def _store(
    folder: RunFolder, study: StudySpec, run: PreparedRun, ended: _Ended
) -> None:
    """Measure and commit an epoch."""
    started = perf_counter()
    epoch, logits = ended.epoch, ended.logits
    trained = {
        "epoch": epoch.index,
        "split": "train",
        "calibrator": "none",
        "n": run.batches.per_epoch * run.batches.batch_size,
        "error_rate": epoch.error_rate,
        "mean_loss": epoch.mean_loss,
        "learning_rate": epoch.learning_rate,
    }
    measured_rows = epoch_rows(epoch.index, run.predictions(logits), run.posteriors())
    measured = perf_counter()
    content = EpochFiles(
        rows=[trained, *measured_rows],
        predictions=run.columns(logits) if study.keeps(epoch.index) else None,
        checkpoint=bytes_of(ended.state),
    )
    folder.commit_epoch(epoch.index, content)
    folder.log_time(
        epoch=epoch.index,
        **ended.spent,
        measure=measured - started,
        commit=perf_counter() - measured,
    )
