"""Check that a store still holds what was computed, and that it can be repeated."""

import random
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from calibench.errors import FingerprintError, IntegrityError
from calibench.lab.store import RunFolder, Store
from calibench.lab.store.canonical import digest
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.execute import replay_epoch


@dataclass(frozen=True)
class Check:
    """One thing that was checked, and what is wrong with it (nothing: empty).

    Attributes:
        drifted: Whether it could not be checked, under other conditions than then.
    """

    run_id: str
    what: str
    problems: tuple[str, ...]
    drifted: bool = False


def verify(
    store: Store, conditions: Conditions, *, num_replays: int, seed: int
) -> Iterator[Check]:
    """Check every hash of every run, then train `num_replays` epochs again.

    Epochs are drawn, by `seed`, among those whose start is at hand: the first of each
    run, from its initial weights, and the last, from the checkpoint before it.
    """
    sound = []
    for folder in store.runs():
        problems = tuple(_damage(folder))
        yield Check(folder.run_id, "hashes", problems)
        if not problems and folder.history().epochs:
            sound.append(folder)
    candidates = [
        (folder, epoch)
        for folder in sound
        for epoch in sorted({1, folder.history().last_epoch})
    ]
    chosen = random.Random(seed).sample(  # noqa: S311 - which epochs, no secret
        candidates, min(num_replays, len(candidates))
    )
    for folder, epoch in chosen:
        what, drifted = f"epoch {epoch} trained again", False
        try:
            problems = tuple(_replayed(store, folder, epoch, conditions))
        except (FingerprintError, IntegrityError) as error:
            # Of this run alone: the others can be checked.
            problems, drifted = (str(error),), isinstance(error, FingerprintError)
        yield Check(folder.run_id, what, problems, drifted)


def exit_code(checks: Iterable[Check]) -> int:
    """Return 5 where something is wrong, 7 where something could not be checked."""
    failed = [check for check in checks if check.problems]
    if not failed:
        return 0
    is_drift = all(check.drifted for check in failed)
    return (FingerprintError if is_drift else IntegrityError).exit_code


def _damage(folder: RunFolder) -> list[str]:
    """Return what is wrong with a run's files, one line each."""
    problems = folder.verify()
    if not problems and folder.history().has_begun:
        # A folder's name ends with the hash of what it was made for.
        seal = digest(folder.manifest()["run"])[:8]
        if not folder.run_id.endswith(f"-{seal}"):
            problems = [
                f"{folder.path / 'manifest.json'}: of another run, {seal}. Put the "
                "folder of this run back, or delete it to run again."
            ]
    return problems


def _replayed(
    store: Store, folder: RunFolder, epoch: int, conditions: Conditions
) -> Iterator[str]:
    """Yield the files of an epoch that came out different."""
    with tempfile.TemporaryDirectory(prefix="calibench-verify-") as scratch:
        again = RunFolder(Path(scratch) / folder.run_id)
        replay_epoch(store, folder, again, epoch, conditions)
        before, now = folder.history().files, again.history().files
        names = {f"{part}/epoch-{epoch:04d}" for part in ("predictions", "checkpoints")}
        for name in sorted(before.keys() & now.keys()):
            if name.rpartition(".")[0] in names and before[name] != now[name]:
                yield f"{name}: trained again, its bytes are different"
