"""Every loss by its definition, in mpmath with 60 digits; no code of the package.

Parameters are read off the loss by name; what is done with them is written here anew.
"""

import math

from mpmath import exp, log, mp, mpf, sqrt

DIGITS = 60


def value(loss, logits, label):
    """Return the loss of one example."""
    with mp.workdps(DIGITS):
        z = [mpf(logit) for logit in logits]
        return PER_EXAMPLE[type(loss).__name__](loss, z, label)


def gradient(loss, logits, label):
    """Return the derivatives by central differences, good to twenty digits."""
    with mp.workdps(DIGITS):
        found, step = [], mpf(10) ** -20
        for k in range(len(logits)):
            ends = []
            for sign in (1, -1):
                z = [mpf(logit) for logit in logits]
                z[k] += sign * step
                ends.append(PER_EXAMPLE[type(loss).__name__](loss, z, label))
            found.append(float((ends[0] - ends[1]) / (2 * step)))
        return found


def batch_value(loss, rows, labels):
    """Return the loss of a batch that has no loss of one example."""
    with mp.workdps(DIGITS):
        rows = [[mpf(logit) for logit in row] for row in rows]
        base = sum(
            _focal(softmax(row)[label], loss.gamma)
            for row, label in zip(rows, labels, strict=True)
        ) / len(rows)
        return base + loss.weight * BATCH[type(loss).__name__](loss, rows, labels)


def softmax(z):
    powers = [exp(each - max(z)) for each in z]
    return [power / sum(powers) for power in powers]


def _focal(p, gamma):
    return -((1 - p) ** mpf(gamma)) * log(p)


def cross_entropy(loss, z, label):
    p = softmax(z)
    eps = mpf(loss.smoothing)
    return -(1 - eps) * log(p[label]) - eps / len(p) * sum(log(each) for each in p)


def label_smoothing(loss, z, label):
    p, eps = softmax(z), mpf(loss.eps)
    total = -(1 - eps) * log(p[label])
    for k, each in enumerate(p):
        if loss.over == "all_classes":
            total -= eps / len(p) * log(each)
        elif k != label:
            total -= eps / (len(p) - 1) * log(each)
    return total


def lp_norm(loss, z, label):
    sizes = [abs(each) for each in z]
    if loss.p == math.inf:
        norm = max(sizes)
    else:
        norm = sum(size ** mpf(loss.p) for size in sizes) ** (1 / mpf(loss.p))
    return -log(softmax(z)[label]) + mpf(loss.alpha) * norm


def entropy_regularization(loss, z, label):
    p = softmax(z)
    return -log(p[label]) + mpf(loss.alpha) * sum(each * log(each) for each in p)


def focal(loss, z, label):
    return _focal(softmax(z)[label], loss.gamma)


def brier(_, z, label):
    return sum((each - (k == label)) ** 2 for k, each in enumerate(softmax(z)))


def flsd(loss, z, label):
    p = softmax(z)[label]
    place = sum(p >= mpf(edge) for edge in loss.edges)
    return _focal(p, loss.gammas[place])


def focal_schedule(loss, z, label):
    return _focal(softmax(z)[label], loss.gammas[0])


def adafocal(loss, z, label):
    p = softmax(z)[label]
    gammas = loss.gammas or (loss.gamma,)
    gamma = mpf(gammas[sum(p > mpf(edge) for edge in loss.edges)])
    return _focal(p, gamma) if gamma >= 0 else -((1 + p) ** -gamma) * log(p)


def dual_focal(loss, z, label):
    p = softmax(z)
    below = [p[k] for k, each in enumerate(z) if each < z[label]]
    lead = 1 - p[label] + max(below, default=mpf(0))
    return -(lead ** mpf(loss.gamma)) * log(p[label])


def margin_smoothing(loss, z, label):
    excess = sum(max(mpf(0), max(z) - each - mpf(loss.margin)) for each in z)
    return -log(softmax(z)[label]) + mpf(loss.alpha) * excess


def acls(loss, z, label):
    top, margin = max(z), mpf(loss.margin)
    lead = max(mpf(0), top - margin) ** 2
    trail = sum(max(mpf(0), top - each - margin) ** 2 for each in z) / (len(z) - 1)
    penalty = mpf(loss.top) * lead + mpf(loss.others) * trail
    return -log(softmax(z)[label]) + penalty


def logit_norm(loss, z, label):
    length = sqrt(sum(each**2 for each in z) + mpf(10) ** -6)
    return -log(softmax([each / length / mpf(loss.tau) for each in z])[label])


def squentropy(loss, z, label):
    squares = sum(each**2 for k, each in enumerate(z) if k != label)
    return -log(softmax(z)[label]) + mpf(loss.alpha) * squares / (len(z) - 1)


def mmce(_, rows, labels):
    seen = _confidences(rows, labels)
    total = mpf(0)
    for c, right in seen:
        for other, other_right in seen:
            kernel = exp(-abs(c - other) / mpf("0.4"))
            total += (c - right) * (other - other_right) * kernel
    return total / len(seen) ** 2


def mdca(_, rows, labels):
    probs = [softmax(row) for row in rows]
    gaps = [
        sum(p[k] - (label == k) for p, label in zip(probs, labels, strict=True))
        for k in range(len(rows[0]))
    ]
    return sum(abs(gap) / len(rows) for gap in gaps) / len(gaps)


def soft_binned_ece(loss, rows, labels):
    seen = _confidences(rows, labels)
    size, total = len(seen), mpf(0)
    shares = []
    for c, _ in seen:
        powers = [
            exp(-((c - (b + mpf("0.5")) / loss.num_bins) ** 2) / mpf(loss.temperature))
            for b in range(loss.num_bins)
        ]
        shares.append([power / sum(powers) for power in powers])
    for b in range(loss.num_bins):
        weight = sum(share[b] for share in shares)
        pairs = list(zip(seen, shares, strict=True))
        confidence = sum(c * share[b] for (c, _), share in pairs) / weight
        accuracy = sum(right * share[b] for (_, right), share in pairs) / weight
        total += weight / size * abs(accuracy - confidence) ** loss.norm
    return total ** (1 / mpf(loss.norm))


def _confidences(rows, labels):
    """Return confidence and whether the first of the largest logits is the label's."""
    return [
        (max(softmax(row)), row.index(max(row)) == label)
        for row, label in zip(rows, labels, strict=True)
    ]


PER_EXAMPLE = {
    "CrossEntropy": cross_entropy,
    "LabelSmoothing": label_smoothing,
    "LpNorm": lp_norm,
    "EntropyRegularization": entropy_regularization,
    "Focal": focal,
    "Brier": brier,
    "FLSD": flsd,
    "FocalSchedule": focal_schedule,
    "AdaFocal": adafocal,
    "DualFocal": dual_focal,
    "MarginSmoothing": margin_smoothing,
    "ACLS": acls,
    "LogitNorm": logit_norm,
    "Squentropy": squentropy,
}
BATCH = {"MMCE": mmce, "MDCA": mdca, "SoftBinnedECE": soft_binned_ece}
