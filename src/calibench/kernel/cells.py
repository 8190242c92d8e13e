"""Integer sums by cell, compiled."""

from numba import float64, int64, uint64

from calibench.kernel.compiled import compiled

_TWO_60 = 2.0**60
_LOW = 2**30 - 1


@compiled
def cell_of(value, num_cells):
    """As `binning.equal_width_index`: an edge, index / num_cells, belongs below."""
    index = int64(value * num_cells)
    index = index if index < num_cells else num_cells - 1
    return index - (int64(value <= float64(index) / num_cells) & int64(index > 0))


@compiled
def find_cells(values, num_cells, found):
    """The cell of each value, all at once for vector units."""
    for row in range(values.shape[0]):
        found[row] = cell_of(values[row], num_cells)


@compiled
def find_odds_cells(values, grid, smaller, found):
    """The indices of `metrics.cells.odds_index`, all at once for vector units."""
    dropped, key_of_half, middle, last = grid
    for row in range(values.shape[0]):
        smaller[row] = min(values[row], 1 - values[row])
    bits = smaller.view(int64)
    for row in range(values.shape[0]):
        steps = key_of_half - (bits[row] >> dropped)
        index = middle + (steps if values[row] > 0.5 else -steps)
        found[row] = min(max(index, 0), last)


@compiled
def add_top(seen, grid, cells, odds_cells, scratch):
    """Add to the cells of confidences, a cell a row, and to those of log-odds.

    `seen` is the confidence of each example, and 1 where it is right.
    """
    confidence, right = seen
    index, odds_index, smaller = scratch
    size = confidence.shape[0]
    find_cells(confidence, cells.shape[0], index)
    find_odds_cells(confidence, grid, smaller, odds_index)
    for row in range(size):
        value, one = confidence[row], right[row]
        fixed = int64(value * _TWO_60)
        high, low = fixed >> 30, fixed & _LOW
        gap = value - float64(one)
        square = int64(gap * gap * _TWO_60)
        # An unsigned index needs no look whether it counts from the end.
        cell = cells[uint64(index[row])]
        cell[0] += 1
        cell[1] += one
        cell[2] += high
        cell[3] += low
        cell[4] += high * one
        cell[5] += low * one
        cell[6] += square >> 30
        cell[7] += square & _LOW
        odds_cells[uint64(odds_index[row]), 0] += 1
        odds_cells[uint64(odds_index[row]), 1] += one


@compiled
def add_columns_of_classes(block, labels, cells, sums, scratch):
    """Add to the cells of each class but the first, and to the sums of all of them.

    The block, in which a class is a row, is left as the terms of the Brier score.
    """
    index, chosen, _ = scratch
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


@compiled
def add_rows_of_classes(probs, labels, cells, sums, chosen):
    """As `add_columns_of_classes`, for many classes: an example is a row, and stays."""
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


@compiled
def add_to_cell(value, cell):
    """Add a probability to its cell."""
    fixed = int64(value * _TWO_60)
    cell[0] += 1
    cell[2] += fixed >> 30
    cell[3] += fixed & _LOW
