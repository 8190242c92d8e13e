"""A share of a study's runs, for one of several processes that share nothing else."""

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass

from calibench.errors import ParameterError
from calibench.lab.study.plan import PlannedRun

_WRITTEN = re.compile(r"(\d+)/(\d+)", re.ASCII)


@dataclass(frozen=True)
class Shard:
    """One of several shares of about equal cost.

    Every run of a study is in exactly one of the shares 1, ..., `of`. Which one
    follows from the study alone, never from how far it is, so that processes that
    start at different times agree.

    Attributes:
        index: Which share, from 1.
        of: How many there are.

    Raises:
        ParameterError: There is no such share.
    """

    index: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        """Refuse a share that does not exist."""
        if not 1 <= self.index <= self.of:
            msg = (
                f"there is no share {self.index} of {self.of}: shares are numbered "
                f"from 1 to {max(self.of, 1)}. With SLURM, start the array at 1: "
                "#SBATCH --array=1-N."
            )
            raise ParameterError(msg)

    @classmethod
    def parsed(cls, text: str) -> "Shard":
        """Read a share as it is written: "3/8" is the third of eight.

        Raises:
            ParameterError: It is not written so, or does not exist.
        """
        found = _WRITTEN.fullmatch(text)
        if found is None:
            msg = (
                f"--shard takes I/N, such as 3/8 for the third of eight, not {text!r}."
            )
            raise ParameterError(msg)
        return cls(int(found[1]), int(found[2]))

    def run_ids(self, runs: Sequence[PlannedRun]) -> frozenset[str]:
        """Return the runs of this share.

        The dearest run that is left goes to the share that has least so far: none
        gets more than 4/3 of the fullest share of the best division (Graham 1969).
        """
        costs = _costs(runs)
        # By name where costs are equal: the order of the study file does not count.
        ranked = sorted(costs, key=lambda run_id: (-costs[run_id], run_id))
        # Least cost first, then fewest runs, which decides where runs cost nothing.
        shares = [(0.0, 0, index) for index in range(1, self.of + 1)]
        mine = set()
        for run_id in ranked:
            cost, count, index = shares[0]
            heapq.heapreplace(shares, (cost + costs[run_id], count + 1, index))
            if index == self.index:
                mine.add(run_id)
        return frozenset(mine)


def _costs(runs: Sequence[PlannedRun]) -> dict[str, float]:
    """Return what each run costs; what cannot be counted is taken for the dearest."""
    known = [run.multiply_adds for run in runs if run.multiply_adds is not None]
    dearest = max(known, default=1.0)
    return {
        run.run_id: dearest if run.multiply_adds is None else run.multiply_adds
        for run in runs
    }
