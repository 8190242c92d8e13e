"""What further passes over examples add to their metric state."""

from dataclasses import dataclass, replace

from calibench.metrics.rank_cells import RankCells
from calibench.metrics.stream import MetricState
from calibench.metrics.temperature_search import TemperatureSearch
from calibench.metrics.temperature_sums import TemperatureSums
from calibench.predictions import Predictions


@dataclass(frozen=True, eq=False)
class FurtherSums:
    """What one further pass collects; a value, mergeable and as exact as a state.

    Attributes:
        temperature: At one temperature; None where there is nothing to seek.
        ranks: The claims of more than the first class; None after the first pass.
    """

    temperature: TemperatureSums | None
    ranks: RankCells | None

    @property
    def count(self) -> int:
        """How many examples."""
        if self.temperature is not None:
            return self.temperature.count
        return 0 if self.ranks is None else self.ranks.num_examples

    def merge(self, other: "FurtherSums") -> "FurtherSums":
        """The sums of the examples of both.

        Raises:
            DataError: They are of two passes or problems.
        """
        temperature, ranks = self.temperature, self.ranks
        if temperature is not None and other.temperature is not None:
            temperature = temperature.merge(other.temperature)
        if ranks is not None and other.ranks is not None:
            ranks = ranks.merge(other.ranks)
        return FurtherSums(temperature, ranks)


@dataclass(frozen=True)
class FurtherPass:
    """What a further pass is to collect.

    Attributes:
        inverse: 1 / T at which to take the sums of the temperature; None for none.
        has_ranks: Whether to count the claims of more than the first class.
    """

    inverse: float | None
    has_ranks: bool

    def sums_of(self, some: Predictions) -> FurtherSums:
        """What it collects of some examples.

        Raises:
            DataError: The weights are not whole numbers.
        """
        temperature = None
        if self.inverse is not None:
            temperature = TemperatureSums.of(some, self.inverse)
        return FurtherSums(temperature, RankCells.of(some) if self.has_ranks else None)


@dataclass(frozen=True, eq=False)
class Further:
    """How far the further passes are, and what they found.

    Attributes:
        search: For the best temperature.
        ranks: The claims of more than the first class, after the first of them.

    Example:
        >>> some = Predictions.from_logits([[4.0, 0.0]] * 4, [0, 0, 0, 1])
        >>> further = Further.start(MetricState.of(some))
        >>> while further.next_pass is not None:
        ...     further = further.after(further.next_pass.sums_of(some))
        >>> round(further.search.found.value, 9)
        3.640956907
    """

    search: TemperatureSearch
    ranks: RankCells | None = None

    @classmethod
    def start(cls, state: MetricState) -> "Further":
        """Before the first further pass."""
        return cls(TemperatureSearch.start(state))

    @property
    def next_pass(self) -> FurtherPass | None:
        """What is to be collected next; None at the end."""
        search = self.search
        if self.ranks is not None and search.found is not None:
            return None
        inverse = None if search.found is not None else search.inverse
        return FurtherPass(inverse, self.ranks is None)

    def after(self, sums: FurtherSums) -> "Further":
        """With what a pass collected of all examples."""
        found = self
        if sums.temperature is not None:
            found = replace(found, search=self.search.after(sums.temperature))
        return found if sums.ranks is None else replace(found, ranks=sums.ranks)
