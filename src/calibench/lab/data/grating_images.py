"""Pixels of the gratings: a wave of known orientation, and what does not matter."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from calibench.lab.data.random_streams import random_bytes, stream, uniform

CHANNELS = 3
# Waves across the image, at most: a quarter of the pixels keeps four to a wave.
MIN_WAVES, MAX_WAVES = 2.0, 4.0
# In grey levels: the mean, the wave's amplitude, a plane of light, the noise.
MEAN = (90.0, 165.0)
AMPLITUDE = (30.0, 70.0)
TILT = 15.0
NOISE = 4.0
# Radius of the opaque disk, in image sides.
RADIUS = (0.08, 0.16)
# Images rendered at once: enough to be fast, few enough to stay in the cache.
CHUNK = 512


@dataclass(frozen=True, eq=False)
class Nuisances:
    """What an image shows besides its orientation, each independent of the label."""

    phase: Float64[np.ndarray, " examples"]
    waves: Float64[np.ndarray, " examples"]
    mean: Float64[np.ndarray, "examples 3"]
    amplitude: Float64[np.ndarray, "examples 3"]
    tilt: Float64[np.ndarray, "examples 2"]
    center: Float64[np.ndarray, "examples 2"]
    radius: Float64[np.ndarray, " examples"]
    color: Float64[np.ndarray, "examples 3"]


def draw_nuisances(split: str, size: int, image_size: int, seed: int) -> Nuisances:
    """Draw what does not matter; example i is the same whatever the size."""

    def between(name: str, low: float, high: float, columns: int) -> np.ndarray:
        bits = stream(f"gratings {split} {name}", seed)
        draws = uniform(bits, size * columns)
        return low + (high - low) * draws.reshape(size, columns)

    # Opposite signs are colored waves of little brightness.
    sign = np.sign(between("sign", -1.0, 1.0, CHANNELS))
    weight = between("weight", 0.5, 1.0, CHANNELS)
    contrast = between("contrast", *AMPLITUDE, 1)
    most_waves = min(MAX_WAVES, image_size / 4)
    return Nuisances(
        phase=between("phase", 0.0, 2 * np.pi, 1)[:, 0],
        waves=between("waves", MIN_WAVES, most_waves, 1)[:, 0],
        mean=between("mean", *MEAN, CHANNELS),
        amplitude=sign * weight * contrast,
        tilt=between("tilt", -TILT, TILT, 2),
        center=between("center", -0.5, 0.5, 2),
        radius=between("radius", *RADIUS, 1)[:, 0],
        color=between("color", 0.0, 255.0, CHANNELS),
    )


def render(
    split: str,
    orientation: Float64[np.ndarray, " examples"],
    image_size: int,
    seed: int,
) -> UInt8[np.ndarray, "examples 3 {image_size} {image_size}"]:
    """Draw one grating for each orientation.

    A pixel at (x, y), in image sides from the center, y downward, is in each
    channel `mean + amplitude cos(2 pi waves (x cos o + y sin o) + phase)`, plus a
    plane of light, under one opaque disk, plus noise of standard deviation 4 grey
    levels; rounded and clipped to 0..255.

    Args:
        split: Names the random streams, so that train and test share none.
        orientation: Direction of the wave's normal in radians; o and o + pi look alike.
        image_size: Pixels a side.
        seed: Seed of all that is random.
    """
    size = len(orientation)
    nuisances = draw_nuisances(split, size, image_size, seed)
    noise_bits = stream(f"gratings {split} noise", seed)
    images = np.empty((size, CHANNELS, image_size, image_size), dtype=np.uint8)
    for start in range(0, size, CHUNK):
        rows = slice(start, min(start + CHUNK, size))
        levels = _levels(nuisances, orientation, rows, image_size)
        levels += NOISE * _bell(noise_bits, levels.size).reshape(levels.shape)
        np.rint(levels, out=levels)
        images[rows] = np.clip(levels, 0, 255, out=levels)
    return images


def _levels(
    nuisances: Nuisances, orientation: np.ndarray, rows: slice, image_size: int
) -> Float64[np.ndarray, "chunk 3 side side"]:
    def column(values: np.ndarray) -> np.ndarray:
        return values[rows, ..., None, None]

    along = (np.arange(image_size) + 0.5) / image_size - 0.5
    x, y = along[None, :], along[:, None]
    turns = column(nuisances.waves) * (
        column(np.cos(orientation)) * x + column(np.sin(orientation)) * y
    )
    wave = np.cos(2 * np.pi * turns + column(nuisances.phase))
    plane = column(nuisances.tilt[:, 0]) * x + column(nuisances.tilt[:, 1]) * y
    levels = column(nuisances.mean) + column(nuisances.amplitude) * wave[:, None]
    levels += plane[:, None]
    from_center = (x - column(nuisances.center[:, 0])) ** 2 + (
        y - column(nuisances.center[:, 1])
    ) ** 2
    covered = (from_center <= column(nuisances.radius) ** 2)[:, None]
    return np.where(covered, column(nuisances.color), levels)


def _bell(bits: np.random.PCG64, size: int) -> Float64[np.ndarray, " {size}"]:
    """Draw sums of four bytes, standardized: mean 0, variance 1, within +-3.5."""
    quads = random_bytes(bits, 4 * size).reshape(size, 4)
    total = np.zeros(size)
    for column in range(4):
        total += quads[:, column]
    # Each byte has mean 127.5 and variance (256**2 - 1) / 12.
    return (total - 510.0) / np.sqrt((256**2 - 1) / 3)
