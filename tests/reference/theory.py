"""Both theorems' quantities by their definitions, in decimal arithmetic of 400 digits.

So many digits that even exp(-600), subtracted from 1, leaves hundreds of them.
"""

from decimal import Decimal, localcontext

DIGITS = 400


def softmax(logits, scale=1):
    powers = [(Decimal(scale) * Decimal(logit)).exp() for logit in logits]
    return [power / sum(powers) for power in powers]


def log_top_probability(logits, scale):
    with localcontext(prec=DIGITS):
        return float(max(softmax(logits, scale)).ln())


def log_top_shortfall(logits, scale):
    with localcontext(prec=DIGITS):
        limit = 1 / Decimal(sum(logit == max(logits) for logit in logits))
        return float(limit.ln() - max(softmax(logits, scale)).ln())


def entropy(logits, scale):
    with localcontext(prec=DIGITS):
        return float(-sum(p * p.ln() for p in softmax(logits, scale)))


def focal_links(logits, label, gamma):
    """Return the chain: CE - focal, gamma ln p ln q, gamma h(p), gamma H."""
    with localcontext(prec=DIGITS):
        gamma = Decimal(gamma)
        probs = softmax(logits)
        p = probs[label]
        q = 1 - p
        focal = -(q**gamma) * p.ln()
        return [
            float(link)
            for link in (
                -p.ln() - focal,
                gamma * p.ln() * q.ln(),
                -gamma * (p * p.ln() + q * q.ln()),
                -gamma * sum(prob * prob.ln() for prob in probs),
            )
        ]


def focal_margin(logits, label, gamma):
    with localcontext(prec=DIGITS):
        gamma = Decimal(gamma)
        probs = softmax(logits)
        p = probs[label]
        entropy_ = -sum(prob * prob.ln() for prob in probs)
        return float(-((1 - p) ** gamma) * p.ln() + p.ln() + gamma * entropy_)
