"""Errors against a posterior or counts in exact fractions; nothing shared."""

from fractions import Fraction
from itertools import product


def fractions_of(rows):
    return [[Fraction(float(value)) for value in row] for row in rows]


def shares_of(counts):
    return [[Fraction(int(c), int(sum(row))) for c in row] for row in counts]


def noises_of(counts):
    """The unbiased estimate of the variance of each share."""
    return [
        [
            Fraction(int(c), int(sum(row)))
            * (1 - Fraction(int(c), int(sum(row))))
            / (int(sum(row)) - 1)
            for c in row
        ]
        for row in counts
    ]


def mean(values):
    return sum(values) / len(values)


def tops(probs):
    return [row.index(max(row)) for row in probs]


def true_squared_calibration_error(probs, truth, noise):
    return mean(
        [
            (p[k] - t[k]) ** 2 - v[k]
            for p, t, v, k in zip(probs, truth, noise, tops(probs), strict=True)
        ]
    )


def true_canonical_l1(probs, truth):
    return mean(
        [
            sum(abs(a - b) for a, b in zip(p, t, strict=True))
            for p, t in zip(probs, truth, strict=True)
        ]
    )


def true_canonical_l2_squared(probs, truth, noise):
    return mean(
        [
            sum((a - b) ** 2 for a, b in zip(p, t, strict=True)) - sum(v)
            for p, t, v in zip(probs, truth, noise, strict=True)
        ]
    )


def soft_label_brier(probs, truth):
    """The Brier score of each label, weighted by how probable the label is."""
    total = Fraction(0)
    for p, t in zip(probs, truth, strict=True):
        for label, weight in enumerate(t):
            total += weight * sum((a - (k == label)) ** 2 for k, a in enumerate(p))
    return total / len(probs)


def soft_label_ece(probs, truth, num_bins):
    edges = [Fraction(b / num_bins) for b in range(1, num_bins + 1)]
    sums = [Fraction(0)] * num_bins
    for p, t, k in zip(probs, truth, tops(probs), strict=True):
        sums[next(b for b, edge in enumerate(edges) if p[k] <= edge)] += p[k] - t[k]
    return sum(map(abs, sums)) / len(probs)


def outcomes(posterior, judges):
    """Every way in which judges may choose, as (probability, counts)."""
    for chosen in product(range(len(posterior)), repeat=judges):
        weight = Fraction(1)
        for k in chosen:
            weight *= Fraction(float(posterior[k]))
        yield weight, [chosen.count(k) for k in range(len(posterior))]
