"""Canonical calibration error: of all probabilities at once, by a Dirichlet kernel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from calibench.errors import ParameterError
from calibench.metrics.kernel_strips import (
    ManyLabels,
    Rows,
    SortedExamples,
    Strip,
    class_sums,
)
from calibench.metrics.log_gamma import log_gamma
from calibench.predictions import Predictions, unweighted
from calibench.signatures import of_predictions
from calibench.validation import member

# 13 bandwidths from 0.0001 to 1, three a decade.
BANDWIDTHS = tuple(float(h) for h in 10 ** (np.arange(-12, 1) / 3))

# Below it the parameters leave the range in which the kernel is good to ten digits.
_NARROWEST = 1e-6
# Rounding must not choose.
_EQUALLY_LIKELY = 1e-9

Error: TypeAlias = Callable[[Rows], Float64[np.ndarray, " rows"]]
NORMS: dict[str, Error] = {
    "l1": lambda gap: np.asarray(np.abs(gap).sum(axis=1)),
    "l2 squared": lambda gap: np.einsum("rk,rk->r", gap, gap),
}


@of_predictions
def canonical_calibration_error(
    some: Predictions, *, norm: str = "l1", bandwidth: float | None = None
) -> float:
    """Mean distance of the probabilities from the labels that similar ones come with.

    A model is calibrated in the canonical (strong) sense if among all examples that get
    the vector p, the classes occur with frequencies p. The frequencies at p_j are
    estimated from the other examples by a Dirichlet kernel of parameters p_i / h + 1,
    taken at p_j, and compared with p_j; the distances are averaged. Kernels are
    evaluated and normalized in logarithms, nothing is clipped. A probability of exactly
    0 is taken at its word: where p_j has a 0 and p_i has not, the kernel is 0, and
    where both have, the class does not matter. An example at which every other kernel
    is 0 has nothing to be compared with and adds 0.

    It is not 0 for a calibrated model: `evaluate(some, canonical=True)` has its floor.
    Time is quadratic in the number of examples; memory is not.

    Args:
        some: The predictions.
        norm: "l1" (the sum over classes) or "l2 squared".
        bandwidth: The h above; None takes of 13 values from 0.0001 to 1 the one that
            makes the probabilities at hand likeliest, each left out in its turn: the
            mean log-density at up to 1,000 of them.

    Returns:
        From 0 to 2.

    Raises:
        ParameterError: There is no such norm, or `bandwidth` is not positive.

    Source:
        Popordanoska et al. 2022. The choice of the bandwidth is theirs, the grid and
        the treatment of 0 are ours.

    Example:
        >>> same = Predictions.from_probs([[0.75, 0.25]] * 3, [0, 0, 1])
        >>> round(canonical_calibration_error(same), 6)  # others: (.5, .5) or (1, 0)
        0.5
    """
    chosen = NORMS[member(norm, tuple(NORMS), "norm")]
    examples = SortedExamples(unweighted(some, "canonical_calibration_error"))
    kernel = DirichletKernel.of(examples, bandwidth)
    return float(kernel.errors(examples.labels, chosen)[0])


@dataclass(frozen=True, eq=False)
class DirichletKernel:
    """A Dirichlet kernel around each of some examples.

    Attributes:
        examples: The examples.
        bandwidth: The kernel at p_i has parameters p_i / bandwidth + 1.
    """

    examples: SortedExamples
    bandwidth: float

    @classmethod
    def of(
        cls, examples: SortedExamples, bandwidth: float | None = None
    ) -> "DirichletKernel":
        """A kernel of the given bandwidth, or of the likeliest.

        Raises:
            ParameterError: The bandwidth is not positive, or below 1e-6.
        """
        if bandwidth is None:
            return cls(examples, likeliest_bandwidth(examples))
        if not _NARROWEST <= bandwidth < np.inf:
            msg = f"bandwidth must be at least {_NARROWEST}, got {bandwidth}."
            raise ParameterError(msg)
        return cls(examples, bandwidth)

    def errors(self, labels: ManyLabels, norm: Error) -> Float64[np.ndarray, " sets"]:
        """The error for each of several sets of labels, in one pass over the kernel."""
        total = np.zeros(len(labels))
        offsets = log_offsets(self.examples, self.bandwidth)
        num_classes = self.examples.some.num_classes
        for rows in self.examples.strips():
            positions = np.arange(rows.start, rows.stop)
            weights = cross_entropies(self.examples, positions)
            weights /= self.bandwidth
            weights += offsets
            _exponentials(weights, positions)
            given, mass = self.examples.probs(rows), weights.sum(axis=1)
            alone = mass == 0
            weights /= np.where(alone, 1, mass)[:, None]
            sums = class_sums(weights, labels, num_classes)
            for i, frequencies in enumerate(sums):
                total[i] += norm(frequencies - given)[~alone].sum()
        return total / self.examples.num_examples


def likeliest_bandwidth(examples: SortedExamples) -> float:
    """The bandwidth of the grid with the highest leave-one-out likelihood.

    Examples at which every other kernel is 0 do not count: no bandwidth reaches them.
    Of equally likely bandwidths the widest is taken.
    """
    pilots = examples.pilots()
    all_offsets = [log_offsets(examples, width) for width in BANDWIDTHS]
    likelihood = np.zeros(len(BANDWIDTHS))
    per_strip = next(examples.strips()).stop
    for start in range(0, len(pilots), per_strip):
        positions = pilots[start : start + per_strip]
        exponent = cross_entropies(examples, positions)
        for i, (width, offsets) in enumerate(zip(BANDWIDTHS, all_offsets, strict=True)):
            weights = exponent / width
            weights += offsets
            highest = _exponentials(weights, positions)
            mass = weights.sum(axis=1)
            some = mass > 0
            likelihood[i] += (highest[some] + np.log(mass[some])).sum()
    highest_of_all = likelihood.max()
    slack = _EQUALLY_LIKELY * (1 + abs(highest_of_all))
    return max(np.array(BANDWIDTHS)[likelihood >= highest_of_all - slack].tolist())


def log_offsets(
    examples: SortedExamples, bandwidth: float
) -> Float64[np.ndarray, " examples"]:
    """The logarithm of what makes each Dirichlet density integrate to 1."""
    found = np.empty(examples.num_examples)
    for rows in examples.blocks():
        alpha = examples.probs(rows) / bandwidth + 1
        found[rows] = log_gamma(alpha.sum(axis=1)) - log_gamma(alpha).sum(axis=1)
    return found


def cross_entropies(examples: SortedExamples, positions: np.ndarray) -> Strip:
    """sum_k p_ik ln p_jk: a row for each position j, a column for each example i.

    0 ln 0 is 0, and p ln 0 is -inf.
    """
    logs = examples.log_probs(positions)
    zeros = np.isneginf(logs)
    finite = np.where(zeros, 0.0, logs)
    has_zeros = bool(zeros.any())

    def block(columns: slice) -> np.ndarray:
        probs = examples.probs(columns)
        found = finite @ probs.T
        if has_zeros:
            found[zeros.astype(np.float64) @ (probs > 0).T > 0] = -np.inf
        return found

    return examples.strip_of(len(positions), block)


def _exponentials(logs: Strip, positions: np.ndarray) -> Float64[np.ndarray, " rows"]:
    """Exponentiate in place, relative to the highest of each row, which is returned.

    An example does not count at its own position.
    """
    logs[np.arange(len(positions)), positions] = -np.inf
    highest = np.asarray(logs.max(axis=1))
    highest[np.isneginf(highest)] = 0.0
    logs -= highest[:, None]
    np.exp(logs, out=logs)
    return highest
