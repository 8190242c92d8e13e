"""A block of few classes, turned so that loops over examples run on vector units.

Every floating-point operation is one that numpy does for `Predictions`, in the same
order, and so has the same bits; exponentials and logarithms are left to numpy itself.
"""

from numba import float64, int64

from calibench.kernel.compiled import compiled


@compiled
def turn(values, labels, block):
    """Copy rows into columns; False if a label is of no class."""
    num_classes = values.shape[1]
    sound = True
    for row in range(values.shape[0]):
        label = labels[row]
        sound &= (label >= 0) & (label < num_classes)
        for k in range(num_classes):
            block[k, row] = float64(values[row, k])
    return sound


@compiled
def find_top(block, size, bounds, top, predicted, outside):
    """The first largest value of each example, and whether one is out of bounds."""
    lowest, highest = bounds
    for row in range(size):
        top[row] = block[0, row]
        predicted[row] = 0
        outside[row] = 0
    for k in range(block.shape[0]):
        column = block[k]
        for row in range(size):
            value = column[row]
            above = value > top[row]
            predicted[row] = k if above else predicted[row]
            top[row] = value if above else top[row]
            # NaN is on neither side.
            outside[row] |= 1 - int64((value >= lowest) & (value <= highest))


@compiled
def add_up(block, size, total):
    """Sum at most 128 values of each example, in the order of numpy's sum."""
    count = block.shape[0]
    whole = count - count % 8
    for row in range(size):
        total[row] = 0.0
        if whole == 0:
            continue
        s0, s1, s2, s3 = block[0, row], block[1, row], block[2, row], block[3, row]
        s4, s5, s6, s7 = block[4, row], block[5, row], block[6, row], block[7, row]
        for k in range(8, whole, 8):
            s0 += block[k, row]
            s1 += block[k + 1, row]
            s2 += block[k + 2, row]
            s3 += block[k + 3, row]
            s4 += block[k + 4, row]
            s5 += block[k + 5, row]
            s6 += block[k + 6, row]
            s7 += block[k + 7, row]
        total[row] = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    for k in range(whole, count):
        for row in range(size):
            total[row] += block[k, row]


@compiled
def read_probs(values, labels, checks, buffers):
    """Turn, check, find and sum probabilities: 1 if they are valid, else 0.

    -1 if one is above 1 by rounding, which is left to numpy.
    """
    block, top, predicted, outside, total, of_label = buffers
    largest, tolerance = checks
    size = values.shape[0]
    if not turn(values, labels, block):
        return 0
    find_top(block, size, (0.0, largest), top, predicted, outside)
    add_up(block, size, total)
    bad, above = 0, 0
    for row in range(size):
        bad |= outside[row] | int64(not abs(total[row] - 1) <= tolerance)
        above |= int64(top[row] > 1)
        of_label[row] = block[labels[row], row]
    if bad:
        return 0
    return -1 if above else 1


@compiled
def read_logits(values, labels, checks, buffers):
    """Turn, check and shift logits so that the largest is 0: 1 if they are valid."""
    block, top, predicted, outside, _, of_label = buffers
    size = values.shape[0]
    if not turn(values, labels, block):
        return 0
    find_top(block, size, checks, top, predicted, outside)
    bad = 0
    for row in range(size):
        bad |= outside[row]
    if bad:
        return 0
    for k in range(block.shape[0]):
        for row in range(size):
            block[k, row] -= top[row]
    for row in range(size):
        of_label[row] = block[labels[row], row]
    return 1


@compiled
def normalize(size, buffers):
    """Divide exponentials by their sum; that of the largest logit is 1."""
    block, top, _, _, total, _ = buffers
    add_up(block, size, total)
    for k in range(block.shape[0]):
        for row in range(size):
            block[k, row] /= total[row]
    for row in range(size):
        top[row] = 1.0 / total[row]
