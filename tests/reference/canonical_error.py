"""Kernel estimates of canonical calibration, pair by pair; nothing shared."""

import math
from fractions import Fraction


def dirichlet_error(probs, labels, inverse_bandwidth, norm):
    """Exact where every p / bandwidth is a whole number: densities are then rational.

    The kernel at p_i, taken at p_j, is Gamma(sum a) / prod Gamma(a_k) times the product
    of p_jk^(a_k - 1), with a_k = p_ik / bandwidth + 1; 0^0 is 1. Examples without
    neighbors add 0.
    """
    rows = [[Fraction(float(p)) for p in row] for row in probs]
    total = Fraction(0)
    for j, at in enumerate(rows):
        mass, frequency = Fraction(0), [Fraction(0)] * len(at)
        for i, center in enumerate(rows):
            if i == j:
                continue
            powers = [p * inverse_bandwidth for p in center]
            assert all(power.denominator == 1 for power in powers)
            density = Fraction(math.factorial(int(sum(powers)) + len(at) - 1))
            for p, power in zip(at, powers, strict=True):
                density *= p ** int(power) / Fraction(math.factorial(int(power)))
            mass += density
            frequency[labels[i]] += density
        if mass:
            gaps = [f / mass - p for f, p in zip(frequency, at, strict=True)]
            total += sum(abs(g) if norm == "l1" else g**2 for g in gaps)
    return total / len(rows)


def log_likelihood(probs, bandwidth):
    """Mean over examples of the log-density at each, made of all others."""
    logs = []
    for j, at in enumerate(probs):
        exponents = []
        for i, center in enumerate(probs):
            if i != j:
                alpha = [p / bandwidth + 1 for p in center]
                exponent = math.lgamma(sum(alpha))
                for p, a in zip(at, alpha, strict=True):
                    exponent += (a - 1) * math.log(p) - math.lgamma(a)
                exponents.append(exponent)
        highest = max(exponents)
        mass = sum(math.exp(e - highest) for e in exponents)
        logs.append(highest + math.log(mass / len(exponents)))
    return sum(logs) / len(logs)


def kernel_error(probs, labels, bandwidth):
    """The mean over ordered pairs of kernel times inner product of the residuals."""
    total = 0.0
    for i, p in enumerate(probs):
        for j, q in enumerate(probs):
            if i == j:
                continue
            square = sum((a - b) ** 2 for a, b in zip(p, q, strict=True))
            inner = sum(
                ((k == labels[i]) - a) * ((k == labels[j]) - b)
                for k, (a, b) in enumerate(zip(p, q, strict=True))
            )
            total += math.exp(-square / (2 * bandwidth**2)) * inner
    return total / (len(probs) * (len(probs) - 1))
