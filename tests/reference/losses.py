"""Losses of one example by their definitions, in decimal arithmetic of 60 digits.

Slow and obvious: softmax by its formula, no logarithm is taken of anything but a
probability that is held to 60 digits.
"""

import math
from decimal import Decimal, localcontext

DIGITS = 60


def softmax(logits):
    powers = [Decimal(logit).exp() for logit in logits]
    return [power / sum(powers) for power in powers]


def cross_entropy(logits, label, *, smoothing=0.0):
    with localcontext(prec=DIGITS):
        eps = Decimal(smoothing)
        total = Decimal(0)
        for k, prob in enumerate(softmax(logits)):
            weight = eps / len(logits) + ((1 - eps) if k == label else 0)
            total -= weight * prob.ln()
        return float(total)


def lp_norm(logits, label, *, alpha, p):
    with localcontext(prec=DIGITS):
        sizes = [abs(Decimal(logit)) for logit in logits]
        if p == math.inf:
            norm = max(sizes)
        else:
            total = sum(size ** Decimal(p) for size in sizes)
            norm = total ** (1 / Decimal(p))
        return float(-softmax(logits)[label].ln() + Decimal(alpha) * norm)


def entropy_regularization(logits, label, *, alpha):
    with localcontext(prec=DIGITS):
        probs = softmax(logits)
        entropy = -sum(prob * prob.ln() for prob in probs)
        return float(-probs[label].ln() - Decimal(alpha) * entropy)


def focal(logits, label, *, gamma):
    with localcontext(prec=DIGITS):
        prob = softmax(logits)[label]
        return float(-((1 - prob) ** Decimal(gamma)) * prob.ln())
