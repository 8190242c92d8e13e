"""Batches of a split that lives on the device, augmented as whole tensors."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from calibench.errors import ParameterError
from calibench.lab.data.dataset import Examples
from calibench.lab.data.random_streams import permutation, stream, uniform

Batch: TypeAlias = tuple[
    Float32[Tensor, "batch channels height width"], Int64[Tensor, " batch"]
]


@dataclass(frozen=True, eq=False)
class DeviceImages:
    """Images as one uint8 tensor, channels last, with the channel statistics.

    Attributes:
        mean: Per channel, of the training split, in pixel units (0 to 255).
        deviation: Per channel, likewise.
        memory_format: Of network inputs.
    """

    pixels: UInt8[Tensor, "examples height width channels"]
    labels: Int64[Tensor, " examples"]
    mean: Float32[Tensor, " channels"]
    deviation: Float32[Tensor, " channels"]
    memory_format: torch.memory_format = torch.channels_last

    def __len__(self) -> int:
        return len(self.labels)

    def standardized(
        self, pixels: UInt8[Tensor, "batch height width channels"]
    ) -> Float32[Tensor, "batch channels height width"]:
        """Return network inputs, in the memory format."""
        scaled = (pixels.float() - self.mean) / self.deviation
        return scaled.permute(0, 3, 1, 2).contiguous(memory_format=self.memory_format)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random crops after zero padding, and mirror images."""

    crop_padding: int
    flip: bool


def on_device(
    examples: Examples,
    device: torch.device,
    *,
    like: DeviceImages | None = None,
    memory_format: torch.memory_format = torch.channels_last,
) -> DeviceImages:
    """Move a split to the device.

    Args:
        examples: The split.
        device: Where to.
        like: Whose statistics standardize it, and whose memory format its inputs
            have; its own statistics unless given.
        memory_format: Of network inputs, unless `like` is given.
    """
    images = np.ascontiguousarray(examples.images.transpose(0, 2, 3, 1))
    if like is None:
        mean, deviation = (
            torch.from_numpy(statistic).float().to(device)
            for statistic in _channel_statistics(images)
        )
    else:
        mean, deviation = like.mean, like.deviation
        memory_format = like.memory_format
    return DeviceImages(
        pixels=torch.from_numpy(images).to(device),
        labels=torch.from_numpy(examples.labels.copy()).to(device),
        mean=mean,
        deviation=deviation,
        memory_format=memory_format,
    )


def _channel_statistics(
    images: UInt8[np.ndarray, "examples height width channels"],
) -> tuple[Float64[np.ndarray, " channels"], Float64[np.ndarray, " channels"]]:
    """Return mean and standard deviation, from exact integer counts of each value."""
    values = np.arange(256)
    counts = np.stack(
        [np.bincount(channel.ravel(), minlength=256) for channel in images.T]
    )
    mean = counts @ values / counts.sum(axis=1)
    square = counts @ values**2 / counts.sum(axis=1)
    # A constant channel would be divided by 0; it becomes 0 instead.
    return mean, np.sqrt(np.maximum(square - mean**2, 1e-12))


@dataclass(frozen=True, eq=False)
class EpochDraws:
    """What chance decides in an epoch: a few whole numbers for every example.

    Attributes:
        order: Examples as they come.
        corner: First row and column of the window that an example shows, padded.
        mirrored: Whether its columns run backwards.
    """

    order: Int64[Tensor, " examples"]
    corner: Int64[Tensor, "examples 2"]
    mirrored: Bool[Tensor, " examples"]

    def become(self, other: "EpochDraws") -> None:
        """Take over the draws of another epoch, in the same memory."""
        self.order.copy_(other.order)
        self.corner.copy_(other.corner)
        self.mirrored.copy_(other.mirrored)


@dataclass(frozen=True, kw_only=True)
class TrainingBatches:
    """The training batches of any epoch, a function of (seed, epoch) alone.

    Which crop and flip an example gets is drawn for (seed, epoch, example), whatever
    batch it falls in, so neither the batch size nor the number of devices moves it.

    Attributes:
        batch_size: Examples of a step, on all ranks together.
        rank: Which of `num_ranks` equal parts of every batch is shown, in order.
    """

    images: DeviceImages
    batch_size: int
    seed: int
    augmentation: Augmentation
    rank: int = 0
    num_ranks: int = 1

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size, len(self.images))
        check_shares(self.batch_size, self.num_ranks)

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch; an incomplete last one is left out."""
        return len(self.images) // self.batch_size

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        draws = self.draws(epoch)
        for number in range(self.per_epoch):
            yield self.batch(draws, number)

    def draws(self, epoch: int) -> EpochDraws:
        """Return what chance decides in one epoch, on the device."""
        count = len(self.images)
        reach = 2 * self.augmentation.crop_padding + 1
        order = permutation(stream(f"order, epoch {epoch}", self.seed), count)
        drawn = uniform(stream(f"crop, epoch {epoch}", self.seed), 2 * count)
        mirrored = np.zeros(count, dtype=np.bool_)
        if self.augmentation.flip:
            mirrored = uniform(stream(f"flip, epoch {epoch}", self.seed), count) < 0.5
        device = self.images.pixels.device
        return EpochDraws(
            order=torch.from_numpy(order).to(device),
            corner=torch.from_numpy(
                (reach * drawn).astype(np.int64).reshape(count, 2)
            ).to(device),
            mirrored=torch.from_numpy(mirrored).to(device),
        )

    def batch(self, draws: EpochDraws, number: int | Int64[Tensor, "1"]) -> Batch:
        """Return one batch of an epoch; nothing is read back from the device.

        A number that lies on the device lets a recorded step count by itself.
        """
        chosen = draws.order[number * self.batch_size + self._places]
        corner, mirrored = draws.corner[chosen], draws.mirrored[chosen, None]
        down, across = self._window
        rows = corner[:, :1] + down
        columns = corner[:, 1:] + torch.where(mirrored, across.flip(0), across)
        pixels = self._padded[
            chosen[:, None, None], rows[:, :, None], columns[:, None, :]
        ]
        return self.images.standardized(pixels), self.images.labels[chosen]

    @cached_property
    def _places(self) -> Int64[Tensor, " share"]:
        """Where in every batch the examples of this rank stand."""
        share = self.batch_size // self.num_ranks
        device = self.images.pixels.device
        return torch.arange(self.rank * share, (self.rank + 1) * share, device=device)

    @cached_property
    def _window(self) -> tuple[Int64[Tensor, " height"], Int64[Tensor, " width"]]:
        _, height, width, _ = self.images.pixels.shape
        device = self.images.pixels.device
        return torch.arange(height, device=device), torch.arange(width, device=device)

    @cached_property
    def _padded(self) -> UInt8[Tensor, "examples tall wide channels"]:
        padding = self.augmentation.crop_padding
        return F.pad(self.images.pixels, (0, 0, padding, padding, padding, padding))


def check_batch_size(batch_size: int, num_examples: int) -> None:
    """Refuse a batch that the train split cannot fill.

    Raises:
        ParameterError: It has fewer examples.
    """
    if num_examples < batch_size:
        msg = (
            f"the training split has {num_examples} examples and batch_size is "
            f"{batch_size}. Lower batch_size, or take more examples."
        )
        raise ParameterError(msg)


def check_shares(batch_size: int, num_ranks: int) -> None:
    """Refuse a batch that the ranks cannot share equally.

    Raises:
        ParameterError: Their number does not divide it.
    """
    if batch_size % num_ranks:
        msg = (
            f"batch_size is {batch_size}, which {num_ranks} ranks cannot share "
            "equally. Choose a number of ranks that divides it."
        )
        raise ParameterError(msg)
