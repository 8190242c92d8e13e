"""The losses of each model in the order of a quantity, and who ties with the best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from calibench.lab.report.comparison import Comparison
from calibench.lab.report.results import Quantity
from calibench.lab.report.summary import ERROR_RATE, FinalRow


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The losses of one model that finished and learned, lowest value first.

    Attributes:
        rows: At least one.
        against_best: The comparison of each other loss with the first; a loss without
            a seed in common with it has none.
    """

    model: str
    quantity: Quantity
    rows: tuple[FinalRow, ...]
    against_best: Mapping[str, Comparison]

    @property
    def best(self) -> FinalRow:
        """The loss with the lowest value."""
        return self.rows[0]

    @property
    def ties(self) -> tuple[FinalRow, ...]:
        """The losses that are not told apart from the best."""
        return tuple(row for row in self.rows[1:] if not self.is_beaten(row))

    @property
    def is_clear(self) -> bool:
        """Whether the best is told apart from every other loss."""
        return not self.ties

    @property
    def is_tied_throughout(self) -> bool:
        """Whether the best is told apart from no other loss."""
        return len(self.ties) == len(self.rows) - 1

    def is_beaten(self, row: FinalRow) -> bool:
        """Whether a loss is worse than the best by more than noise."""
        comparison = self.against_best.get(row.loss.name)
        return comparison is not None and comparison.is_told_apart

    def value(self, row: FinalRow) -> float:
        """Return the value of a loss that is ranked."""
        return row.estimates[self.quantity].mean


def rankings(
    rows: Sequence[FinalRow], comparisons: Iterable[Comparison], quantity: Quantity
) -> list[Ranking]:
    """Rank the losses of every model that has two or more.

    Args:
        rows: Of the final table, those that finished and learned.
        comparisons: Of this quantity; see `compared`.
        quantity: One of which less is better.
    """
    by_pair = {(c.model, frozenset((c.first, c.second))): c for c in comparisons}
    found = []
    for model in dict.fromkeys(row.model for row in rows):
        ordered = sorted(
            (row for row in rows if row.model == model and quantity in row.estimates),
            key=lambda row: row.estimates[quantity].mean,
        )
        if len(ordered) < 2:
            continue
        best = ordered[0].loss.name
        against_best = {
            row.loss.name: by_pair[key]
            for row in ordered[1:]
            if (key := (model, frozenset((best, row.loss.name)))) in by_pair
        }
        found.append(
            Ranking(
                model=model,
                quantity=quantity,
                rows=tuple(ordered),
                against_best=against_best,
            )
        )
    return found


def learned(rows: Sequence[FinalRow], num_classes: int) -> list[FinalRow]:
    """Return the finished rows whose error is nearer to the best than to guessing.

    The best is the lowest error on the same model. Where even that is above 80 % of
    the error of guessing, 1 - 1 / `num_classes`, none has learned. Answers that say
    nothing are calibrated all too easily, so the others do not compete.
    """
    guessing = 1 - 1 / num_classes
    finished = [row for row in rows if row.is_final and ERROR_RATE in row.estimates]
    kept = []
    for row in finished:
        lowest = min(
            other.estimates[ERROR_RATE].mean
            for other in finished
            if other.model == row.model
        )
        limit = min((guessing + lowest) / 2, 0.8 * guessing)
        if row.estimates[ERROR_RATE].mean <= limit:
            kept.append(row)
    return kept
