"""A plain training loop, as most code for CIFAR has it: what `train_speed.py` measures.

A `Dataset` that transforms one image after the other, a `DataLoader`, contiguous
tensors, torch's own SGD, and `.item()` at every step. The order of the examples and the
rate of every step are those of a study's run, so that both can be held to the same loss
curve.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from calibench.lab.data.batches import TrainingBatches
from calibench.lab.data.dataset import Examples
from calibench.lab.data.random_streams import permutation, stream
from calibench.lab.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class PlainImages(Dataset[tuple[Tensor, int]]):
    """Images that are cropped, mirrored, scaled and standardized one by one."""

    images: UInt8[np.ndarray, "examples height width channels"]
    labels: Int64[np.ndarray, " examples"]
    mean: Tensor
    deviation: Tensor
    crop_padding: int = 0
    flip: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        if self.crop_padding:
            image = _random_crop(image, self.crop_padding)
        if self.flip and torch.rand(1).item() < 0.5:
            image = image[:, ::-1]
        scaled = torch.from_numpy(image.transpose(2, 0, 1).copy()).float().div(255)
        standardized = scaled.sub_(self.mean).div_(self.deviation)
        return standardized, int(self.labels[index])


class EpochOrder:
    """A sampler: the order of a run's epochs, an incomplete last batch left out."""

    def __init__(self, batches: TrainingBatches) -> None:
        self.batches, self.epoch = batches, 1

    def __len__(self) -> int:
        return self.batches.per_epoch * self.batches.batch_size

    def __iter__(self) -> Iterator[int]:
        bits = stream(f"order, epoch {self.epoch}", self.batches.seed)
        order = permutation(bits, len(self.batches.images))
        return iter(order[: len(self)].tolist())


class PlainLoop:
    """Trains and evaluates, one epoch at a time."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        batches: TrainingBatches,
        train: Examples,
        measured: Examples,
        *,
        num_workers: int,
    ) -> None:
        self.model, self.recipe, self.batches = model, recipe, batches
        self.device = batches.images.labels.device
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
        )
        self.order = EpochOrder(batches)
        augmentation = batches.augmentation
        self.train_loader = DataLoader(
            self._images(train, augmentation.crop_padding, flip=augmentation.flip),
            batch_size=recipe.batch_size,
            sampler=self.order,
            num_workers=num_workers,
        )
        self.test_loader = DataLoader(
            self._images(measured),
            batch_size=recipe.batch_size,
            num_workers=num_workers,
        )

    def train(self, epoch: int) -> float:
        """Train an epoch, counted from 1; return its mean loss."""
        self.model.train()
        self.order.epoch = epoch
        total_loss, correct, total = 0.0, 0, 0
        for step, batch in enumerate(self.train_loader):
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.rate(epoch, step, self.batches.per_epoch)
            inputs, labels = (part.to(self.device) for part in batch)
            self.optimizer.zero_grad()
            outputs = self.model(inputs)
            loss = self.criterion(outputs, labels)
            loss.backward()
            self.optimizer.step()
            total_loss += loss.item()
            correct += outputs.argmax(dim=1).eq(labels).sum().item()
            total += len(labels)
        return total_loss / self.batches.per_epoch

    @torch.no_grad()
    def evaluate(self) -> float:
        """Return the accuracy on what is held out; nothing else is computed of it."""
        self.model.eval()
        total_loss, correct, total = 0.0, 0, 0
        for batch in self.test_loader:
            inputs, labels = (part.to(self.device) for part in batch)
            outputs = self.model(inputs)
            total_loss += self.criterion(outputs, labels).item()
            correct += outputs.argmax(dim=1).eq(labels).sum().item()
            total += len(labels)
        return correct / total

    def _images(
        self, examples: Examples, crop_padding: int = 0, *, flip: bool = False
    ) -> PlainImages:
        like = self.batches.images
        return PlainImages(
            images=np.ascontiguousarray(examples.images.transpose(0, 2, 3, 1)),
            labels=examples.labels,
            mean=(like.mean.cpu() / 255)[:, None, None],
            deviation=(like.deviation.cpu() / 255)[:, None, None],
            crop_padding=crop_padding,
            flip=flip,
        )


def _random_crop(
    image: UInt8[np.ndarray, "height width channels"], padding: int
) -> UInt8[np.ndarray, "height width channels"]:
    height, width, _ = image.shape
    sides = ((padding, padding), (padding, padding), (0, 0))
    down, across = torch.randint(0, 2 * padding + 1, (2,)).tolist()
    return np.pad(image, sides)[down : down + height, across : across + width]
