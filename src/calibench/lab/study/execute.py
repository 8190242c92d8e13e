"""Carry out one run of a study, from wherever it stands to its end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from calibench.errors import FingerprintError
from calibench.lab.data.batches import (
    Augmentation,
    DeviceImages,
    TrainingBatches,
    on_device,
)
from calibench.lab.data.dataset import Dataset
from calibench.lab.data.splits import Split, Splits, split_examples
from calibench.lab.store import EpochFiles, RunFolder, Store
from calibench.lab.store.tables import Columns
from calibench.lab.study.load import study_from_table
from calibench.lab.study.measure import MEASURED_SPLITS, epoch_rows
from calibench.lab.study.spec import RunSpec, StudySpec
from calibench.lab.training.checkpoint import TrainingState
from calibench.lab.training.devices import (
    check_precision,
    chosen_device,
    make_repeatable,
)
from calibench.lab.training.fingerprint import differences, fingerprint
from calibench.lab.training.loop import Epoch, infer, sgd, train
from calibench.models import build_model
from calibench.predictions import Predictions


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Under what a run is carried out; nothing here may change its result.

    Attributes:
        data: Where data sets lie.
        device: "auto", "cpu" or "cuda".
        allow_drift: Resume under another fingerprint, and mark the run.
    """

    data: Path
    device: str = "auto"
    allow_drift: bool = False


def stored_study(store: Store) -> StudySpec:
    """Return the study that a store was made for."""
    source = str(store.path / "study.json")
    return study_from_table(store.study()["spec"], source=source)


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
    folder = store.run(run_id)
    with folder.owned():
        if folder.history().outcome in {"finished", "diverged"}:
            return
        study = stored_study(store)
        run = _Run.prepared(study, study.run(run_id), conditions)
        _begin(folder, run, allow_drift=conditions.allow_drift)
        first = _restore(folder, run.state) + 1
        epochs = range(first, run.spec.train.epochs + 1)
        for epoch in run.epochs(epochs, is_stopping):
            problem = _commit(folder, study, run, epoch, is_stopping)
            if problem is not None:
                folder.commit_event("end", outcome="diverged", reason=problem)
                return
        folder.commit_event("end", outcome="finished")


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
    study = stored_study(store)
    run = _Run.prepared(study, study.run(folder.run_id), conditions)
    _check_fingerprint(folder, run)
    if epoch > 1:
        run.state.restore(folder.checkpoint_of(epoch - 1))
    again.begin(run.manifest(), run.examples())
    for trained in run.epochs(range(epoch, epoch + 1), lambda: False):
        _commit(again, study, run, trained, lambda: False)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Run:
    """Everything that a run needs in memory."""

    spec: RunSpec
    dataset: Dataset
    splits: Splits
    device: torch.device
    state: TrainingState
    batches: TrainingBatches
    measured: dict[str, DeviceImages]

    @classmethod
    def prepared(
        cls, study: StudySpec, spec: RunSpec, conditions: Conditions
    ) -> "_Run":
        device = chosen_device(conditions.device)
        check_precision(spec.train.precision, device)
        make_repeatable(device)
        dataset = study.dataset.load(conditions.data)
        splits = split_examples(dataset, spec.splits, spec.seed)
        model = build_model(
            spec.model,
            dataset.num_classes,
            width=spec.width,
            in_channels=dataset.train.images.shape[1],
            seed=spec.seed,
        ).to(device)
        # The format in which convolutions are fastest; part of the fingerprint.
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = on_device(splits.train.examples, device)
        batches = TrainingBatches(
            images=images,
            batch_size=spec.train.batch_size,
            seed=spec.seed,
            augmentation=Augmentation(
                crop_padding=spec.train.crop_padding,
                flip=spec.train.flip and dataset.flip_preserves_label,
            ),
        )
        measured = {
            name: on_device(_split(splits, name).examples, device, like=images)
            for name in MEASURED_SPLITS
        }
        return cls(
            spec=spec,
            dataset=dataset,
            splits=splits,
            device=device,
            state=TrainingState(model, sgd(model, spec.train)),
            batches=batches,
            measured=measured,
        )

    def epochs(self, epochs: range, is_stopping: Callable[[], bool]) -> Iterator[Epoch]:
        return train(
            self.state.model,
            self.spec.named_loss.loss,
            self.batches,
            self.state.optimizer,
            self.spec.train,
            epochs,
            is_stopping=is_stopping,
        )

    def manifest(self) -> dict[str, Any]:
        num_classes = self.dataset.num_classes
        return {
            "run": self.spec.to_dict(),
            "fingerprint": fingerprint(self.device, self.dataset.digest),
            "dataset": {
                "name": self.dataset.name,
                "digest": self.dataset.digest,
                "class_names": list(self.dataset.class_names),
                "facts": dict(self.dataset.facts),
            },
            "target_confidence": self.spec.named_loss.loss.target_confidence(
                num_classes
            ),
            "num_parameters": sum(p.numel() for p in self.state.model.parameters()),
        }

    def examples(self) -> Columns:
        parts = [_split(self.splits, name) for name in MEASURED_SPLITS]
        columns = _labels([(part.name, part) for part in parts])
        if parts[0].examples.posterior is not None:
            posterior = np.concatenate([part.examples.posterior for part in parts])
            columns |= {f"posterior_{k}": col for k, col in enumerate(posterior.T)}
        return columns

    def posteriors(self) -> dict[str, np.ndarray]:
        posteriors = {
            name: _split(self.splits, name).examples.posterior
            for name in MEASURED_SPLITS
        }
        return {name: p for name, p in posteriors.items() if p is not None}


def _begin(folder: RunFolder, run: _Run, *, allow_drift: bool) -> None:
    """Open the run for writing, unless what its bits depend on has changed."""
    folder.begin(run.manifest(), run.examples())
    try:
        _check_fingerprint(folder, run)
    except FingerprintError:
        if not allow_drift:
            raise
        changes = _changes(folder, run)
        folder.commit_event(
            "drift", changes=changes, fingerprint=run.manifest()["fingerprint"]
        )


def _check_fingerprint(folder: RunFolder, run: _Run) -> None:
    changes = _changes(folder, run)
    if changes:
        listed = "".join(f"\n  {change}" for change in changes)
        msg = (
            f"{folder.run_id} was begun under other conditions, and would not end in "
            f"the same bits:{listed}\nGo back to them; or delete {folder.path} to run "
            "it again; or resume with --allow-drift, which the report will show."
        )
        raise FingerprintError(msg)


def _changes(folder: RunFolder, run: _Run) -> list[str]:
    drifts = [r for r in folder.history().records if r["event"] == "drift"]
    before = (drifts[-1] if drifts else folder.manifest())["fingerprint"]
    return differences(before, run.manifest()["fingerprint"])


def _restore(folder: RunFolder, state: TrainingState) -> int:
    """Load the newest intact checkpoint; return its epoch, 0 where there is none."""
    found = folder.checkpoint()
    if found is None:
        return 0
    epoch, content = found
    state.restore(content)
    return epoch


def _commit(
    folder: RunFolder,
    study: StudySpec,
    run: _Run,
    epoch: Epoch,
    is_stopping: Callable[[], bool],
) -> str | None:
    """Measure and store an epoch; return why the run cannot go on, if it cannot."""
    started = perf_counter()
    if not isfinite(epoch.mean_loss):
        return f"epoch {epoch.index}: the training loss is {epoch.mean_loss}."
    predictions: dict[str, Predictions] = {}
    for name, images in run.measured.items():
        logits = infer(
            run.state.model,
            images,
            precision=run.spec.train.precision,
            is_stopping=is_stopping,
        )
        if not bool(logits.isfinite().all()):
            return f"epoch {epoch.index}: logits of the {name} split are not finite."
        labels = _split(run.splits, name).examples.labels
        predictions[name] = Predictions.from_logits(logits, labels, split=name)
    inferred = perf_counter()
    trained = {
        "epoch": epoch.index,
        "split": "train",
        "calibrator": "none",
        "n": run.batches.per_epoch * run.batches.batch_size,
        "error_rate": epoch.error_rate,
        "mean_loss": epoch.mean_loss,
        "learning_rate": epoch.learning_rate,
    }
    rows = [trained, *epoch_rows(epoch.index, predictions, run.posteriors())]
    measured = perf_counter()
    stored = _columns(run.splits, predictions) if study.keeps(epoch.index) else None
    content = EpochFiles(rows=rows, predictions=stored, checkpoint=run.state.to_bytes())
    folder.commit_epoch(epoch.index, content)
    folder.log_time(
        epoch=epoch.index,
        infer=inferred - started,
        measure=measured - inferred,
        commit=perf_counter() - measured,
    )
    return None


def _columns(splits: Splits, predictions: dict[str, Predictions]) -> Columns:
    columns = _labels([(name, _split(splits, name)) for name in predictions])
    logits = np.concatenate([some.logits for some in predictions.values()])
    # The network computed in float32: storing more would store nothing.
    logits = logits.astype(np.float32)
    return columns | {f"logit_{k}": column for k, column in enumerate(logits.T)}


def _labels(parts: list[tuple[str, Split[Any]]]) -> Columns:
    return {
        "split": np.concatenate(
            [np.full(len(part.indices), name) for name, part in parts]
        ),
        "example": np.concatenate([part.indices for _, part in parts]).astype(np.int32),
        "label": np.concatenate([part.examples.labels for _, part in parts]).astype(
            np.int32
        ),
    }


def _split(splits: Splits, name: str) -> Split[Any]:
    return getattr(splits, name)
