"""Definitions of the metrics in exact fractions: slow, obvious, nothing shared."""

import math
from fractions import Fraction
from functools import cache, lru_cache


def rows_of(probs, labels):
    """(probabilities as fractions, label) of each example."""
    return [
        ([fraction(float(p)) for p in row], int(label))
        for row, label in zip(probs, labels, strict=True)
    ]


@cache
def fraction(number):
    """The number that a float is, exactly."""
    return Fraction(number)


def pairs_of(probs, labels):
    """(confidence, 1 if right else 0) of each example."""
    return pairs_of_rows(
        tuple(tuple(float(p) for p in row) for row in probs),
        tuple(int(label) for label in labels),
    )


# Only a memory of the last answers: many metrics are asked of the same examples.
@lru_cache(maxsize=4)
def pairs_of_rows(probs, labels):
    pairs = []
    for row, label in rows_of(probs, labels):
        top = max(row)
        pairs.append((top, int(row.index(top) == label)))
    return tuple(pairs)


@cache
def edges_of(num_bins):
    """What a float64 division makes of b / num_bins, taken exactly."""
    return [Fraction(b / num_bins) for b in range(1, num_bins + 1)]


def equal_width_groups(values, num_bins):
    """Positions of the values in each bin (lo, hi]; 0 belongs to the first."""
    edges = edges_of(num_bins)
    groups = [[] for _ in edges]
    for position, value in enumerate(values):
        groups[next(b for b, edge in enumerate(edges) if value <= edge)].append(
            position
        )
    return [group for group in groups if group]


def equal_mass_groups(values, num_bins):
    """Equal values share the bin of the lowest rank among them."""
    groups = [[] for _ in range(num_bins)]
    for position, value in enumerate(values):
        rank = sum(other < value for other in values)
        groups[rank * num_bins // len(values)].append(position)
    return [group for group in groups if group]


GROUPS = {"equal_width": equal_width_groups, "equal_mass": equal_mass_groups}


@lru_cache(maxsize=8)
def bins_of(pairs, num_bins, scheme):
    """(share of examples, mean value, mean outcome) of each non-empty bin."""
    groups = GROUPS[scheme]([value for value, _ in pairs], num_bins)
    return [
        (
            Fraction(len(group), len(pairs)),
            sum(pairs[i][0] for i in group) / len(group),
            Fraction(sum(pairs[i][1] for i in group), len(group)),
        )
        for group in groups
    ]


def top_label_ece(probs, labels, num_bins, scheme):
    bins = bins_of(pairs_of(probs, labels), num_bins, scheme)
    return sum(share * abs(value - outcome) for share, value, outcome in bins)


def max_calibration_error(probs, labels, num_bins, scheme):
    bins = bins_of(pairs_of(probs, labels), num_bins, scheme)
    return max(abs(value - outcome) for _, value, outcome in bins)


def overconfidence(probs, labels, num_bins, scheme):
    bins = bins_of(pairs_of(probs, labels), num_bins, scheme)
    return sum(share * max(value - outcome, 0) for share, value, outcome in bins)


def underconfidence(probs, labels, num_bins, scheme):
    bins = bins_of(pairs_of(probs, labels), num_bins, scheme)
    return sum(share * max(outcome - value, 0) for share, value, outcome in bins)


def squared_rms_calibration_error(probs, labels, num_bins, scheme):
    bins = bins_of(pairs_of(probs, labels), num_bins, scheme)
    return sum(share * (value - outcome) ** 2 for share, value, outcome in bins)


def debiased_l2(probs, labels, num_bins, scheme):
    """The mean product of gaps over ordered pairs of different examples of a bin."""
    pairs = pairs_of(probs, labels)
    total = Fraction(0)
    for group in GROUPS[scheme]([value for value, _ in pairs], num_bins):
        gaps = [pairs[i][0] - pairs[i][1] for i in group]
        products = sum(
            a * b for i, a in enumerate(gaps) for j, b in enumerate(gaps) if i != j
        )
        if len(group) > 1:
            total += products / (len(group) - 1)
    return total / len(pairs)


def debiased_l1(probs, labels, num_bins, scheme):
    """Twice |mean gap| less the mean size of a normal draw around it."""
    pairs = pairs_of(probs, labels)
    total = 0.0
    for group in GROUPS[scheme]([value for value, _ in pairs], num_bins):
        gaps = [pairs[i][0] - pairs[i][1] for i in group]
        size = abs(sum(gaps)) / len(gaps)
        if len(gaps) > 1:
            variance = sum((gap - sum(gaps) / len(gaps)) ** 2 for gap in gaps)
            variance /= len(gaps) * (len(gaps) - 1)
            m, s = float(size), math.sqrt(variance)
            folded = m
            if s > 0:
                folded = m * math.erf(m / (s * math.sqrt(2)))
                folded += s * math.sqrt(2 / math.pi) * math.exp(-(m**2) / (2 * s**2))
            total += len(gaps) * (2 * m - folded)
    return total / len(pairs)


def sweep(probs, labels):
    """(number of bins, error): one more bin while the accuracies do not fall."""
    pairs = pairs_of(probs, labels)
    kept = 1
    for num_bins in range(2, len(pairs) + 1):
        shares = [share for _, _, share in bins_of(pairs, num_bins, "equal_mass")]
        if shares != sorted(shares):
            break
        kept = num_bins
    return kept, top_label_ece(probs, labels, kept, "equal_mass")


def ranked(values):
    """Classes from the largest value down, the lowest class first among equals."""
    return sorted(range(len(values)), key=lambda k: (-values[k], k))


def top_k_ece(probs, labels, k, num_bins, scheme):
    pairs = []
    for row, label in rows_of(probs, labels):
        classes = ranked(row)[:k]
        pairs.append((min(sum(row[c] for c in classes), 1), int(label in classes)))
    bins = bins_of(tuple(pairs), num_bins, scheme)
    return sum(share * abs(value - outcome) for share, value, outcome in bins)


def kth_class_ece(probs, labels, k, num_bins, scheme):
    pairs = []
    for row, label in rows_of(probs, labels):
        chosen = ranked(row)[k - 1]
        pairs.append((row[chosen], int(label == chosen)))
    bins = bins_of(tuple(pairs), num_bins, scheme)
    return sum(share * abs(value - outcome) for share, value, outcome in bins)


def classwise_ece(probs, labels, num_bins, scheme):
    rows = rows_of(probs, labels)
    num_classes = len(rows[0][0])
    total = Fraction(0)
    for k in range(num_classes):
        pairs = tuple((row[k], int(label == k)) for row, label in rows)
        total += sum(
            share * abs(value - outcome)
            for share, value, outcome in bins_of(pairs, num_bins, scheme)
        )
    return total / num_classes


def squared_classwise_rms_error(probs, labels, num_bins, scheme):
    rows = rows_of(probs, labels)
    num_classes = len(rows[0][0])
    total = Fraction(0)
    for k in range(num_classes):
        pairs = tuple((row[k], int(label == k)) for row, label in rows)
        total += sum(
            share * (value - outcome) ** 2
            for share, value, outcome in bins_of(pairs, num_bins, scheme)
        )
    return total / num_classes


def thresholded_classwise_ece(probs, labels, threshold, num_bins, scheme):
    rows = rows_of(probs, labels)
    num_classes = len(rows[0][0])
    total = Fraction(0)
    for k in range(num_classes):
        pairs = tuple(
            (row[k], int(label == k)) for row, label in rows if row[k] >= threshold
        )
        total += sum(
            share * abs(value - outcome)
            for share, value, outcome in (
                bins_of(pairs, num_bins, scheme) if pairs else []
            )
        )
    return total / num_classes


def accuracy(probs, labels):
    return 1 - error_rate(probs, labels)


def mean_confidence(probs, labels):
    pairs = pairs_of(probs, labels)
    return sum(value for value, _ in pairs) / len(pairs)


def confidence_gap(probs, labels):
    pairs = pairs_of(probs, labels)
    return sum(value - outcome for value, outcome in pairs) / len(pairs)


def brier(probs, labels):
    total = Fraction(0)
    for row, label in rows_of(probs, labels):
        total += sum((p - (k == label)) ** 2 for k, p in enumerate(row))
    return total / len(labels)


def error_rate(probs, labels):
    pairs = pairs_of(probs, labels)
    return Fraction(sum(1 - outcome for _, outcome in pairs), len(pairs))


def aurc(probs, labels):
    """Mean over k of the share expected wrong among the k most confident.

    Equals are in random order: j of a group hold j times its share of wrong ones.
    """
    pairs = pairs_of(probs, labels)
    total, before, errors = Fraction(0), 0, Fraction(0)
    for level in sorted({value for value, _ in pairs}, reverse=True):
        wrong = [1 - outcome for value, outcome in pairs if value == level]
        share = Fraction(sum(wrong), len(wrong))
        for j in range(1, len(wrong) + 1):
            total += (errors + j * share) / (before + j)
        before, errors = before + len(wrong), errors + sum(wrong)
    return total / len(pairs)


def excess_aurc(probs, labels):
    """Beyond the area of a ranking with every right answer first."""
    pairs = pairs_of(probs, labels)
    right = sum(outcome for _, outcome in pairs)
    least = sum(Fraction(k - right, k) for k in range(right + 1, len(pairs) + 1))
    return aurc(probs, labels) - least / len(pairs)


def saturated_share(probs, labels):
    """Those nearer to 1 than to the float32 below it, the tie included."""
    pairs = pairs_of(probs, labels)
    top = 1 - Fraction(1, 2**25)
    return Fraction(sum(value >= top for value, _ in pairs), len(pairs))


def true_calibration_error(probs, posterior):
    total = Fraction(0)
    for row, truth in zip(probs, posterior, strict=True):
        values = [Fraction(float(p)) for p in row]
        top = max(values)
        total += abs(Fraction(float(truth[values.index(top)])) - top)
    return total / len(probs)
