"""The losses of Guo et al.'s and Mukhoti et al.'s code, written anew in torch.

Neither repository can be installed. Softmax is left out: both are handed probabilities.
"""

from itertools import pairwise

import numpy as np
import torch


def _binned(values, hits, edges):
    total = torch.zeros(1)
    for low, high in pairwise(edges):
        held = values.gt(float(low)) & values.le(float(high))
        share = held.float().mean()
        if share > 0:
            gap = values[held].mean() - hits[held].float().mean()
            total += gap.abs() * share
    return total


def guo2017_ece(probs, labels, num_bins):
    values, predicted = torch.tensor(probs).max(dim=1)
    edges = torch.linspace(0, 1, num_bins + 1)
    return _binned(values, predicted == torch.tensor(labels), edges).item()


def focal_calibration_adaece(probs, labels, num_bins):
    values, predicted = torch.tensor(probs).max(dim=1)
    n = len(labels)
    at = np.linspace(0, n, num_bins + 1)
    edges = np.interp(at, np.arange(n), np.sort(values.numpy()))
    return _binned(values, predicted == torch.tensor(labels), edges).item()


def focal_calibration_classwise_ece(probs, labels, num_bins):
    edges = torch.linspace(0, 1, num_bins + 1)
    columns, classes = torch.tensor(probs), torch.tensor(labels)
    errors = [
        _binned(columns[:, k], classes == k, edges)
        for k in range(int(classes.max()) + 1)
    ]
    return torch.cat(errors).mean().item()
