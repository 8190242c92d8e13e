"""The compiled inner loops of `one_pass`: the sums of a metric state, block by block.

Imported only where numba is installed. A block of few classes is turned, so that loops
over its examples run on vector units. Every floating-point operation is one that numpy
does for `Predictions`, in the same order, and so has the same bits; exponentials and
logarithms are left to numpy itself.
"""

from numba import float64, int64, njit, uint64

_TWO_60 = 2.0**60
_LOW = 2**30 - 1
# As in `float_sums`: the mantissa of 53 bits is split 26 and 27.
_LOW_HALF = 2**27 - 1
_IMPLICIT = 2**52


def _compiled(function):
    # Compiled once a machine, or once a process where nothing can be kept.
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    except (RuntimeError, OSError):
        return njit(nogil=True, error_model="numpy")(function)


@_compiled
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


@_compiled
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


@_compiled
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


@_compiled
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


@_compiled
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


@_compiled
def normalize(size, buffers):
    """Divide exponentials by their sum; that of the largest logit is 1."""
    block, top, _, _, total, _ = buffers
    add_up(block, size, total)
    for k in range(block.shape[0]):
        for row in range(size):
            block[k, row] /= total[row]
    for row in range(size):
        top[row] = 1.0 / total[row]


@_compiled
def cell_of(value, num_cells):
    """As `binning.equal_width_index`: an edge, index / num_cells, belongs below."""
    index = int64(value * num_cells)
    index = index if index < num_cells else num_cells - 1
    return index - (int64(value <= float64(index) / num_cells) & int64(index > 0))


@_compiled
def find_cells(values, num_cells, found):
    """The cell of each value, all at once for vector units."""
    for row in range(values.shape[0]):
        found[row] = cell_of(values[row], num_cells)


@_compiled
def add_top(seen, labels, grid, cells, odds_cells, scratch):
    """Add to the cells of confidences and of log-odds; return how many are saturated.

    `seen` is confidence, its log-odds and the predicted class; a cell is a row.
    """
    confidence, log_odds, predicted = seen
    least, steps, saturated = grid
    index, odds_index = scratch
    size = labels.shape[0]
    find_cells(confidence, cells.shape[0], index)
    most = float64(odds_cells.shape[0] - 1)
    count = 0
    for row in range(size):
        step = (log_odds[row] - least) * steps
        step = max(0.0, step)
        odds_index[row] = int64(min(most, step))
        count += int64(confidence[row] >= saturated)
    for row in range(size):
        right = int64(predicted[row] == labels[row])
        value = confidence[row]
        fixed = int64(value * _TWO_60)
        high, low = fixed >> 30, fixed & _LOW
        gap = value - float64(right)
        square = int64(gap * gap * _TWO_60)
        # An unsigned index needs no look whether it counts from the end.
        cell = cells[uint64(index[row])]
        cell[0] += 1
        cell[1] += right
        cell[2] += high
        cell[3] += low
        cell[4] += high * right
        cell[5] += low * right
        cell[6] += square >> 30
        cell[7] += square & _LOW
        odds_cells[uint64(odds_index[row]), 0] += 1
        odds_cells[uint64(odds_index[row]), 1] += right
    return count


@_compiled
def add_columns_of_classes(block, labels, cells, sums, scratch):
    """Add to the cells of each class but the first, and to the sums of all of them.

    The block, in which a class is a row, is left as the terms of the Brier score.
    """
    index, chosen = scratch
    size, num_cells = labels.shape[0], cells.shape[1]
    first = 1.0 / num_cells
    for k in range(block.shape[0]):
        column = block[k, :size]
        high_sum, low_sum = int64(0), int64(0)
        for row in range(size):
            fixed = int64(column[row] * _TWO_60)
            high_sum += fixed >> 30
            low_sum += fixed & _LOW
        sums[0, k] += high_sum
        sums[1, k] += low_sum
        find_cells(column, num_cells, index)
        # A list without a branch: what will be overwritten does no harm.
        count = 0
        for row in range(size):
            chosen[count] = row
            count += int64(column[row] > first)
        for at in range(count):
            row = uint64(chosen[at])
            add_to_cell(column[row], cells[k, uint64(index[row])])
    for row in range(size):
        value = block[labels[row], row]
        cells[labels[row], cell_of(value, num_cells), 1] += 1
        block[labels[row], row] = value - 1.0
    for k in range(block.shape[0]):
        for row in range(size):
            block[k, row] *= block[k, row]


@_compiled
def add_rows_of_classes(probs, labels, cells, sums, scratch):
    """As `add_columns_of_classes`, for many classes: an example is a row, and stays."""
    chosen = scratch[1]
    num_cells = cells.shape[1]
    first = 1.0 / num_cells
    for row in range(probs.shape[0]):
        of_row = probs[row]
        count = 0
        for k in range(probs.shape[1]):
            fixed = int64(of_row[k] * _TWO_60)
            sums[0, k] += fixed >> 30
            sums[1, k] += fixed & _LOW
        for k in range(probs.shape[1]):
            chosen[count] = k
            count += int64(of_row[k] > first)
        for at in range(count):
            k = uint64(chosen[at])
            add_to_cell(of_row[k], cells[k, cell_of(of_row[k], num_cells)])
        label = labels[row]
        cells[label, cell_of(of_row[label], num_cells), 1] += 1


@_compiled
def add_to_cell(value, cell):
    """Add a probability to its cell."""
    fixed = int64(value * _TWO_60)
    cell[0] += 1
    cell[2] += fixed >> 30
    cell[3] += fixed & _LOW


@_compiled
def add_scores(brier, label_probs, sums):
    """Add to the sums of half the Brier score, its square, and (1 - p)^2."""
    for row in range(brier.shape[0]):
        half = min(brier[row] / 2, 1.0)
        missing = 1 - label_probs[row]
        for column, value in enumerate((half, half * half, missing * missing)):
            fixed = int64(value * _TWO_60)
            sums[0, column] += fixed >> 30
            sums[1, column] += fixed & _LOW


@_compiled
def add_losses(bits, finite, smallest, sums):
    """Add float64 numbers, given as bits, to the sums of `float_sums` by exponent."""
    for row in range(bits.shape[0]):
        if not finite[row]:
            continue
        exponent = (bits[row] >> 52) & 2047
        mantissa = bits[row] & (_IMPLICIT - 1)
        if exponent > 0:
            mantissa += _IMPLICIT
        else:
            if mantissa == 0:
                continue
            exponent = 1
            while mantissa < _IMPLICIT:
                mantissa <<= 1
                exponent -= 1
        if bits[row] < 0:
            mantissa = -mantissa
        # frexp has mantissas in [1/2, 1): 2^(exponent - 1022) of them.
        index = exponent - 1022 - smallest
        sums[0, index] += mantissa >> 27
        sums[1, index] += mantissa & _LOW_HALF
