"""Which jobs were submitted for a store, noted so that no run is submitted twice."""

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from calibench.errors import DataError
from calibench.lab.store.files import write_bytes

Runs = tuple[str, ...]


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together.

    Attributes:
        name: Theirs alone.
        job: Their id; None until the queue has given one.
        tasks: The runs of each.
    """

    name: str
    job: str | None
    tasks: tuple[Runs, ...]

    @classmethod
    def planned(cls, tasks: Sequence[Runs]) -> "Submission":
        """Name jobs that are about to be submitted."""
        return cls(f"calibench-{secrets.token_hex(4)}", None, tuple(tasks))

    def by_id(self) -> Iterator[tuple[str, Runs]]:
        """Yield the id of each task with its runs."""
        for place, runs in enumerate(self.tasks):
            single = len(self.tasks) == 1
            yield f"{self.job}" if single else f"{self.job}_{place}", runs


@dataclass(frozen=True)
class Notes:
    """The file of the jobs of a store.

    A submission is noted before it is made, by its name, and again with its id: who
    dies between asks the queue for the name.
    """

    path: Path

    def read(self) -> list[Submission]:
        """Return what was noted.

        Raises:
            DataError: The file is damaged.
        """
        if not self.path.exists():
            return []
        try:
            return [
                Submission(
                    str(each["name"]),
                    each["job"],
                    tuple(tuple(runs) for runs in each["tasks"]),
                )
                for each in json.loads(self.path.read_bytes())
            ]
        except (ValueError, KeyError, TypeError) as error:
            msg = (
                f"{self.path}: damaged ({error!r}). Cancel the jobs of this study "
                "(squeue --me lists them), delete this one file, and run again."
            )
            raise DataError(msg) from error

    def write(self, submissions: Sequence[Submission]) -> None:
        """Note all submissions that still matter."""
        content = json.dumps([asdict(each) for each in submissions], indent=1) + "\n"
        write_bytes(self.path, content.encode())

    def add(self, submission: Submission) -> None:
        """Note one more."""
        self.write([*self.read(), submission])

    def set_job(self, submission: Submission, job: str) -> Submission:
        """Note the id that the queue has given."""
        done = replace(submission, job=job)
        noted = [done if each.name == done.name else each for each in self.read()]
        self.write(noted)
        return done
