"""The posterior stored is that of the true orientation; how well do pixels tell it?

A reader of the pixels who knows how gratings are made estimates the wave by least
squares. What the estimate misses bounds what noise hides, and so bounds the error of
taking P(y | orientation) for P(y | image).
"""

import numpy as np
import pytest
from scipy.optimize import least_squares

from calibench.lab.data.gratings import draw_orientation, grating_posterior, gratings

SIZE = 16
NUM_IMAGES = 60


def residuals_of_wave(wave_vector, pixels, x, y):
    """What a wave of this vector, a plane and a constant leave of the pixels."""
    turns = 2 * np.pi * (wave_vector[0] * x + wave_vector[1] * y)
    basis = np.stack([np.cos(turns), np.sin(turns), x, y, np.ones_like(x)], axis=1)
    projector = basis @ np.linalg.pinv(basis)
    return pixels - projector @ pixels


def estimated_orientation(image):
    pixels = image.reshape(3, -1).T.astype(float)
    along = (np.arange(SIZE) + 0.5) / SIZE - 0.5
    x, y = (axis.ravel() for axis in np.meshgrid(along, along))
    spectrum = np.zeros((64, 64))
    for channel in image.astype(float):
        spectrum += np.abs(np.fft.fft2(channel - channel.mean(), (64, 64))) ** 2
    frequency = np.fft.fftfreq(64, d=1 / SIZE)
    waves = np.hypot(frequency[None, :], frequency[:, None])
    # The generator's range, with room for the peak's width.
    spectrum[(waves < 1.5) | (waves > 4.5)] = 0
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    vector = np.array([frequency[column], frequency[row]])
    keep = np.ones(len(pixels), dtype=bool)
    for _ in range(3):
        vector = least_squares(
            lambda v, keep=keep: residuals_of_wave(
                v, pixels[keep], x[keep], y[keep]
            ).ravel(),
            vector,
        ).x
        misfit = np.abs(residuals_of_wave(vector, pixels, x, y)).max(axis=1)
        # The disk covers at most 8 % of the image; noise stays within 14 levels.
        keep = misfit <= max(14.0, np.quantile(misfit, 0.8))
    return np.arctan2(vector[1], vector[0])


@pytest.fixture(scope="module")
def estimates():
    data = gratings(num_train=NUM_IMAGES, num_test=1, image_size=SIZE)
    return np.array([estimated_orientation(image) for image in data.train.images])


def test_the_pixels_tell_the_orientation(estimates):
    truth = draw_orientation("train", NUM_IMAGES, seed=0)
    error = (estimates - truth + np.pi / 2) % np.pi - np.pi / 2
    assert np.sqrt(np.median(error**2)) < 0.003
    assert np.abs(error).max() < 0.03


def test_the_posterior_read_from_pixels_is_the_stored_one(estimates):
    stored = gratings(num_train=NUM_IMAGES, num_test=1).train.posterior
    read = grating_posterior(estimates, num_classes=10, difficulty=0.13)
    total_variation = np.abs(read - stored).sum(axis=1) / 2
    assert total_variation.mean() < 0.01
