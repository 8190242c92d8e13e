"""A run in memory: its data, its network, and what it says about itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calibench.lab.data.batches import (
    Augmentation,
    DeviceImages,
    TrainingBatches,
    on_device,
)
from calibench.lab.data.dataset import Dataset
from calibench.lab.data.splits import Split, Splits, split_examples
from calibench.lab.store.examples import logit_columns, posterior_columns
from calibench.lab.store.tables import Columns
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.measure import MEASURED_SPLITS
from calibench.lab.study.spec import RunSpec, StudySpec
from calibench.lab.training.checkpoint import TrainingState
from calibench.lab.training.devices import (
    check_precision,
    chosen_device,
    make_repeatable,
    set_precision,
)
from calibench.lab.training.fingerprint import fingerprint
from calibench.lab.training.global_norm import with_global_statistics
from calibench.lab.training.loop import Epoch, infer, sgd, train
from calibench.lab.training.memory_format import FORMATS, USUAL_FORMAT
from calibench.lab.training.quickest import quickest_way, step_seconds
from calibench.lab.training.ranks import Ranks
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.run_loss import RunLoss
from calibench.lab.training.step import check_way
from calibench.losses import Loss
from calibench.models import build_model
from calibench.predictions import Predictions


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedRun:
    """Everything that a run needs in memory, its initial weights included.

    Attributes:
        fingerprint: What its bits depend on beside its spec.
    """

    spec: RunSpec
    dataset: Dataset
    splits: Splits
    fingerprint: dict[str, str]
    state: TrainingState
    loss: RunLoss
    batches: TrainingBatches
    measured: dict[str, DeviceImages]
    way: str

    @classmethod
    def of(
        cls, study: StudySpec, spec: RunSpec, conditions: Conditions
    ) -> "PreparedRun":
        """Load the data, divide it, and build the network."""
        device = chosen_device(conditions.device)
        check_precision(spec.train.precision, device)
        set_precision(spec.train.precision)
        deterministic = conditions.deterministic is not False
        make_repeatable(device, deterministic=deterministic)
        dataset = study.dataset.load(conditions.data)
        splits = split_examples(dataset, spec.splits, spec.seed)
        model = build_model(
            spec.model_source,
            dataset.num_classes,
            width=spec.width,
            in_channels=dataset.train.images.shape[1],
            seed=spec.seed,
        ).to(device)
        memory_format = conditions.memory_format or USUAL_FORMAT
        layout = FORMATS[memory_format]
        model.to(memory_format=layout)  # type: ignore[call-overload]
        ranks = Ranks.here()
        if ranks.count > 1:
            model = with_global_statistics(model, device)
        loss = RunLoss(spec.named_loss.loss)
        images = on_device(splits.train.examples, device, memory_format=layout)
        batches = TrainingBatches(
            images=images,
            batch_size=spec.train.batch_size,
            seed=spec.seed,
            augmentation=Augmentation(
                crop_padding=spec.train.crop_padding,
                flip=spec.train.flip and dataset.flip_preserves_label,
            ),
            rank=ranks.index,
            num_ranks=ranks.count,
        )
        measured = {
            name: on_device(_split(splits, name).examples, device, like=images)
            for name in MEASURED_SPLITS
        }
        way = conditions.step or _quickest_way(model, loss, batches, spec.train)
        check_way(way, device)
        return cls(
            spec=spec,
            dataset=dataset,
            splits=splits,
            fingerprint=fingerprint(
                device,
                dataset.digest,
                memory_format=memory_format,
                way=way,
                deterministic=deterministic,
            ),
            state=TrainingState(model, sgd(model, spec.train), loss),
            loss=loss,
            batches=batches,
            measured=measured,
            way=way,
        )

    def epochs(self, epochs: range, is_stopping: Callable[[], bool]) -> Iterator[Epoch]:
        """Train, yielding after every epoch."""
        yield from train(
            self.state.model,
            self.loss,
            self.batches,
            self.state.optimizer,
            self.spec.train,
            epochs,
            way=self.way,
            is_stopping=is_stopping,
        )

    def logits(self, is_stopping: Callable[[], bool]) -> dict[str, Tensor]:
        """Return what the network says about every measured split."""
        return {
            name: infer(
                self.state.model,
                images,
                precision=self.spec.train.precision,
                is_stopping=is_stopping,
            )
            for name, images in self.measured.items()
        }

    def learn(self, logits: Mapping[str, Tensor]) -> None:
        """Let a loss that learns move on; nothing of the test split reaches it."""
        split = self.splits.selection
        labels = torch.as_tensor(split.examples.labels, dtype=torch.int64)
        self.loss.learn(logits["selection"], labels)

    def predictions(self, logits: Mapping[str, Tensor]) -> dict[str, Predictions]:
        """Return finite logits beside the labels that they are about."""
        return {
            name: Predictions.from_logits(
                values, _split(self.splits, name).examples.labels, split=name
            )
            for name, values in logits.items()
        }

    def manifest(self) -> dict[str, Any]:
        """Return what the run is, what it was carried out with, and on which data."""
        num_classes = self.dataset.num_classes
        return {
            "run": self.spec.to_dict(),
            "fingerprint": self.fingerprint,
            "dataset": {
                "name": self.dataset.name,
                "digest": self.dataset.digest,
                "class_names": list(self.dataset.class_names),
                "facts": dict(self.dataset.facts),
            },
            "target_confidence": _target(self.spec.named_loss.loss, num_classes),
            "num_parameters": sum(p.numel() for p in self.state.model.parameters()),
        }

    def examples(self) -> Columns:
        """Return which examples are measured, and their posterior where known."""
        columns = _labels(self.splits)
        known = self.posteriors()
        if known:
            posterior = np.concatenate([known[name] for name in MEASURED_SPLITS])
            columns |= posterior_columns(posterior)
        return columns

    def columns(self, logits: Mapping[str, Tensor]) -> Columns:
        """Return logits as the store keeps them: beside split, example and label."""
        # The network computed in float32: storing more would store nothing.
        values = torch.cat([logits[name] for name in MEASURED_SPLITS]).numpy()
        return _labels(self.splits) | logit_columns(values)

    def posteriors(self) -> dict[str, np.ndarray]:
        """Return P(y | x) of every measured split; empty where it is not known."""
        posteriors = {
            name: _split(self.splits, name).examples.posterior
            for name in MEASURED_SPLITS
        }
        return {name: p for name, p in posteriors.items() if p is not None}


def _quickest_way(
    model: torch.nn.Module, loss: RunLoss, batches: TrainingBatches, recipe: Recipe
) -> str:
    """Return how to take steps: on a GPU what a trial finds, on a CPU eagerly.

    Compiling takes longer than it saves on a CPU, and about a minute on a GPU: it is
    for runs that are long, and has to be asked for.
    """
    if batches.images.labels.device.type == "cpu" or batches.num_ranks > 1:
        return "eager"
    return quickest_way(
        lambda way: step_seconds(way, model, loss.at(0), batches, recipe),
        ("eager", "captured"),
    )


def _target(loss: Loss, num_classes: int) -> float | None:
    """Return a loss's target confidence; None where it does not say."""
    if not hasattr(loss, "target_confidence"):
        return None
    return float(loss.target_confidence(num_classes))


def _labels(splits: Splits) -> Columns:
    parts = [_split(splits, name) for name in MEASURED_SPLITS]
    labels = np.concatenate([part.examples.labels for part in parts])
    examples = np.concatenate([part.indices for part in parts])
    return {
        "split": np.repeat(MEASURED_SPLITS, [len(part.indices) for part in parts]),
        "example": examples.astype(np.int32),
        "label": labels.astype(np.int32),
    }


def _split(splits: Splits, name: str) -> Split[Any]:
    return getattr(splits, name)
