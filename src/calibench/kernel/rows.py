"""The predicted class of rows of probabilities as they are, compiled."""

from functools import partial

from numba import float64, int64, uint64

from calibench.kernel.compiled import compiled

_inexact = partial(compiled, exact=False)

# What follows looks at the bits of probabilities as whole numbers: those of numbers
# from 0 on have their order, NaN and infinity lie above 1, and below 0 the sign is set.


@compiled
def find_right_of_few(values, bits, labels, top, right):
    """Whether each row's first largest value is its label's, and the bits of it.

    Returns:
        The bits of the largest number, of the "or" of all, how far from 1 a row sums at
        the most, and whether every label is that of a class.
    """
    num_classes = values.shape[1]
    largest, joined, sound = bits[0, 0], bits[0, 0], True
    off = 0.0
    for row in range(values.shape[0]):
        best, total, predicted = bits[row, 0], values[row, 0], 0
        joined |= best
        for k in range(1, num_classes):
            each = bits[row, k]
            above = each > best
            predicted = k if above else predicted
            best = each if above else best
            joined |= each
            total += values[row, k]
        top[row] = best
        right[row] = int64(predicted == labels[row])
        largest = max(largest, best)
        off = max(off, abs(float64(total) - 1))
        sound &= uint64(labels[row]) < uint64(num_classes)
    return largest, joined, off, sound


@_inexact
def find_right_of_many(values, bits, labels, top, right):
    """As `find_right_of_few`, with loops over classes on vector units."""
    num_classes = values.shape[1]
    largest, joined, sound = bits[0, 0], bits[0, 0], True
    off = 0.0
    for row in range(values.shape[0]):
        of_row, numbers = bits[row], values[row]
        best, total = of_row[0], 0.0
        for k in range(num_classes):
            best = max(best, of_row[k])
            joined |= of_row[k]
            total += float64(numbers[k])
        label = uint64(labels[row])
        sound &= label < uint64(num_classes)
        is_right = label < uint64(num_classes) and of_row[label] == best
        if is_right:
            for k in range(label):
                is_right &= of_row[k] != best
        top[row] = best
        right[row] = int64(is_right)
        largest = max(largest, best)
        off = max(off, abs(total - 1))
    return largest, joined, off, sound
