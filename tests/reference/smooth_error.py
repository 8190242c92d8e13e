"""smECE as its definition reads: a reflected Gaussian, an integral, a fixed point."""

import numpy as np
from scipy import optimize

IMAGES = range(-6, 7)


def smoothed_gap(t, confidence, gap, width):
    """mean_i K(t, c_i) gap_i, the Gaussian unfolded into its mirror images."""
    total = np.zeros_like(t)
    for c, r in zip(confidence, gap, strict=True):
        for k in IMAGES:
            for image in (c + 2 * k, -c + 2 * k):
                total += r * np.exp(-0.5 * ((t - image) / width) ** 2)
    return total / (len(confidence) * width * np.sqrt(2 * np.pi))


def error_at(confidence, gap, width, points=20_001):
    """Midpoint rule on a fine grid."""
    t = (np.arange(points) + 0.5) / points
    return np.abs(smoothed_gap(t, confidence, gap, width)).mean()


def smooth_ece(confidence, gap):
    return optimize.brentq(
        lambda width: error_at(confidence, gap, width) - width, 1e-3, 1, xtol=1e-12
    )
