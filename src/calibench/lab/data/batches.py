"""Batches of a split that lives on the device, augmented as whole tensors."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from calibench.errors import ParameterError
from calibench.lab.data.dataset import Examples
from calibench.lab.data.random_streams import permutation, stream, uniform


@dataclass(frozen=True, eq=False)
class DeviceImages:
    """Images as one uint8 tensor, channels last, with the channel statistics.

    Attributes:
        mean: Per channel, of the training split, in pixel units (0 to 255).
        deviation: Per channel, likewise.
    """

    pixels: UInt8[Tensor, "examples height width channels"]
    labels: Int64[Tensor, " examples"]
    mean: Float32[Tensor, " channels"]
    deviation: Float32[Tensor, " channels"]

    def __len__(self) -> int:
        return len(self.labels)

    def standardized(
        self, pixels: UInt8[Tensor, "batch height width channels"]
    ) -> Float32[Tensor, "batch channels height width"]:
        """Return network inputs, in the channels-last memory format."""
        scaled = (pixels.float() - self.mean) / self.deviation
        return scaled.permute(0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random crops after zero padding, and mirror images."""

    crop_padding: int
    flip: bool


def on_device(
    examples: Examples, device: torch.device, *, like: DeviceImages | None = None
) -> DeviceImages:
    """Move a split to the device, standardized by its own statistics or by `like`'s."""
    images = np.ascontiguousarray(examples.images.transpose(0, 2, 3, 1))
    if like is None:
        mean, deviation = (
            torch.from_numpy(statistic).float().to(device)
            for statistic in _channel_statistics(images)
        )
    else:
        mean, deviation = like.mean, like.deviation
    return DeviceImages(
        pixels=torch.from_numpy(images).to(device),
        labels=torch.from_numpy(examples.labels.copy()).to(device),
        mean=mean,
        deviation=deviation,
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


@dataclass(frozen=True, kw_only=True)
class TrainingBatches:
    """The training batches of any epoch, a function of (seed, epoch) alone.

    Which crop and flip an example gets is drawn for (seed, epoch, example), whatever
    batch it falls in, so neither the batch size nor the number of devices moves it.
    """

    images: DeviceImages
    batch_size: int
    seed: int
    augmentation: Augmentation

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size, len(self.images))

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch; an incomplete last one is left out."""
        return len(self.images) // self.batch_size

    def epoch(
        self, epoch: int
    ) -> Iterator[
        tuple[Float32[Tensor, "batch channels height width"], Int64[Tensor, " batch"]]
    ]:
        """Yield the batches of one epoch."""
        device = self.images.pixels.device
        order = torch.from_numpy(
            permutation(stream(f"order, epoch {epoch}", self.seed), len(self.images))
        ).to(device)
        rows, columns = self._sources(epoch)
        padding = self.augmentation.crop_padding
        padded = F.pad(self.images.pixels, (0, 0, padding, padding, padding, padding))
        for start in range(self.per_epoch):
            chosen = order[start * self.batch_size : (start + 1) * self.batch_size]
            pixels = padded[
                chosen[:, None, None],
                rows[chosen][:, :, None],
                columns[chosen][:, None, :],
            ]
            yield self.images.standardized(pixels), self.images.labels[chosen]

    def _sources(
        self, epoch: int
    ) -> tuple[Int64[Tensor, "examples height"], Int64[Tensor, "examples width"]]:
        """Return, for each example, the padded rows and columns that it shows."""
        count, height, width, _ = self.images.pixels.shape
        reach = 2 * self.augmentation.crop_padding + 1
        drawn = uniform(stream(f"crop, epoch {epoch}", self.seed), 2 * count)
        shift = (reach * drawn).astype(np.int64).reshape(count, 2)
        rows = shift[:, :1] + np.arange(height)
        columns = shift[:, 1:] + np.arange(width)
        if self.augmentation.flip:
            mirrored = uniform(stream(f"flip, epoch {epoch}", self.seed), count) < 0.5
            columns[mirrored] = columns[mirrored, ::-1]
        device = self.images.pixels.device
        return torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)


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
