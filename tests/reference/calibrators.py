"""Objectives of the calibrators as slow, obvious sums."""

import math


def affine_objective(inputs, labels, weights, intercepts, penalties):
    """Mean NLL of softmax(W x + b), and the two penalties of ODIR."""
    num_classes = len(intercepts)
    total = 0.0
    for row, label in zip(inputs, labels, strict=True):
        logits = [
            sum(weights[k][j] * row[j] for j in range(num_classes)) + intercepts[k]
            for k in range(num_classes)
        ]
        largest = max(logits)
        log_sum = largest + math.log(sum(math.exp(z - largest) for z in logits))
        total += log_sum - logits[label]
    off_diagonal = [
        weights[k][j] ** 2
        for k in range(num_classes)
        for j in range(num_classes)
        if j != k
    ]
    return (
        total / len(labels)
        + penalties[0] * sum(off_diagonal) / len(off_diagonal)
        + penalties[1] * sum(b**2 for b in intercepts) / num_classes
    )


def focal_weight(p, gamma, detached):
    """What the gradient of focal loss is multiplied by, for each probability."""
    outer = (1 - p) ** gamma
    if detached:
        return outer
    ratio = [[x * -math.log(x) / (1 - x) for x in row] for row in p.tolist()]
    return outer * [[1 + gamma * r for r in row] for row in ratio]
