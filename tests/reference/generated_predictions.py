"""Predictions from integer arithmetic: the same bits with every version of numpy."""

import numpy as np


def _hashed(seed, count):
    x = np.arange(count, dtype=np.uint64) + np.uint64(1_000_003 * (seed + 1))
    x = x * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    x ^= x >> np.uint64(29)
    x *= np.uint64(6364136223846793005)
    return (x >> np.uint64(44)).astype(np.int64)  # 20 bits


def generated(seed, num_examples, num_classes, *, grid=0, certain=0):
    """Probabilities in float32, sharper than the labels deserve.

    Args:
        seed: Which data.
        num_examples: How many rows.
        num_classes: How many columns.
        grid: Rows of two-point distributions with confidence on an edge of `grid` bins.
        certain: Every so many rows the confidence is exactly 1.

    Returns:
        Probabilities and labels.
    """
    raw = _hashed(seed, num_examples * num_classes).reshape(num_examples, -1) >> 8
    weights = (raw + 1) ** 3
    probs = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    coin = _hashed(seed + 500, num_examples)
    rows = np.arange(num_examples)
    top = probs.argmax(axis=1)
    labels = np.where(coin % 100 < 60, top, coin % num_classes)
    if grid:
        share = (np.float32(1) * (grid - coin % (grid // 2))) / np.float32(grid)
        probs = np.zeros_like(probs)
        probs[rows, (top + 1) % num_classes] = 1 - share
        probs[rows, top] = share
    if certain:
        sure = rows % certain == 0
        probs[sure] = 0
        probs[sure, top[sure]] = 1
    return probs, labels.astype(np.int64)
