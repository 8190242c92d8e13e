"""One run on disk: a manifest, a journal, and the files of every epoch."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from calibench.errors import IntegrityError
from calibench.lab.durable import sync_folder
from calibench.lab.store.canonical import canonical_json
from calibench.lab.store.epoch_files import EpochFiles, Row
from calibench.lab.store.files import (
    append_line,
    read_checked,
    settle,
    settle_names,
    write_bytes,
)
from calibench.lab.store.history import History
from calibench.lab.store.journal import Journal
from calibench.lab.store.leftovers import unrecorded
from calibench.lab.store.lock import Fence, owned, read_mark
from calibench.lab.store.tables import Columns, parquet_bytes, parquet_columns

KEPT_CHECKPOINTS = 2
_FAILURE = "failure.json"
_FOLDERS_ABOVE = 3  # runs, the store, and where the store lies


@dataclass(frozen=True)
class RunFolder:
    """A run's files. Deleting or copying the folder deletes or copies the run.

    Attributes:
        fence: Of its owner, without which nothing is checked before a commit.
    """

    path: Path
    fence: Fence | None = field(default=None, compare=False, repr=False)

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def journal(self) -> Journal:
        """The committed history."""
        return Journal(self.path / "journal.jsonl")

    @contextmanager
    def owned(self, *, patience: float = 10.0) -> Iterator["RunFolder"]:
        """Be the only writer. Raises `LockedError` where another process is."""
        with owned(self.path / "lock", patience=patience) as fence:
            # Appending to a line that a crash cut off would spoil both.
            self.journal.repair()
            # Seen after a kill, it is not on disk for that; and is built upon now.
            settle(self.journal.path)
            settle_names(self.path, above=_FOLDERS_ABOVE)
            yield replace(self, fence=fence)

    def last_owner(self) -> str:
        """Return the mark of the last process that owned it; empty before the first."""
        return read_mark(self.path / "lock")

    def history(self) -> History:
        """Return what was committed so far; safe while another process writes."""
        return History(tuple(self.journal.read()))

    def begin(self, manifest: dict[str, Any], examples: Columns) -> History:
        """Open the run for writing; the first time, commit what it is about.

        The folder must be there, as `owned` makes it.
        """
        history = self.history()
        if history.has_begun:
            self._tidy(history)
        else:
            files = {
                "manifest.json": self._write(
                    "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode()
                ),
                "examples.parquet": self._write(
                    "examples.parquet", parquet_bytes(examples, self.path)
                ),
            }
            self._commit({"event": "begin", "files": files}, history)
        return self.history()

    def manifest(self) -> dict[str, Any]:
        """Return the spec, the fingerprint and the data hash of the run."""
        return json.loads(self._read("manifest.json"))

    def fingerprint(self, epoch: int | None = None) -> dict[str, str]:
        """Return what an epoch's bits depend on, or those of the next to come."""
        found = self.manifest()["fingerprint"]
        for record in self.history().records:
            if record["event"] == "drift":
                found = record["fingerprint"]
            if epoch is not None and record.get("epoch") == epoch:
                break
        return found

    def examples(self) -> Columns:
        """Return `split`, `example`, `label` and, where known, `posterior_k`."""
        self._read("examples.parquet")
        return parquet_columns(self.path / "examples.parquet")

    def commit_epoch(self, epoch: int, content: EpochFiles) -> None:
        """Write an epoch as one transaction, then drop the oldest checkpoint.

        An epoch that is committed already, and was run again because its checkpoint
        was damaged, must give the same bytes.

        Raises:
            IntegrityError: It did not.
            LockedError: Somebody else owns the run by now; nothing was written.
        """
        history = self.history()
        files = {}
        if content.predictions is not None:
            name = f"predictions/epoch-{epoch:04d}.parquet"
            files[name] = self._write(
                name, parquet_bytes(content.predictions, self.path)
            )
        name = f"{history.metrics_folder}/epoch-{epoch:04d}.jsonl"
        files[name] = self._write(name, _lines(content.rows))
        name = f"checkpoints/epoch-{epoch:04d}.pt"
        files[name] = self._write(name, content.checkpoint)
        if epoch in history.epochs:
            self._check_replay(epoch, files, history)
        else:
            self._commit({"event": "epoch", "epoch": epoch, "files": files}, history)
        self._drop_old_checkpoints(epoch)

    def commit_event(self, event: str, **content: Any) -> None:  # noqa: ANN401 - JSON
        """Commit something other than an epoch: the end, a drift, new scores."""
        self._commit({"event": event, **content}, self.history())

    def commit_scores(self, rows_of: Mapping[int, Sequence[Row]]) -> None:
        """Replace the metrics of all epochs in one step."""
        history = self.history()
        folder = f"metrics-{history.generation + 1}"
        files = {}
        for epoch, rows in rows_of.items():
            name = f"{folder}/epoch-{epoch:04d}.jsonl"
            files[name] = self._write(name, _lines(rows))
        record = {"event": "score", "folder": folder, "files": files}
        self._commit(record, history)
        for old in self.path.glob("metrics*"):
            if old.name != folder:
                shutil.rmtree(old)

    def rows(self, epoch: int, history: History | None = None) -> list[Row]:
        """Return the metrics of a committed epoch.

        Args:
            epoch: Which.
            history: The run's, where it was just read.
        """
        name = f"/epoch-{epoch:04d}.jsonl"
        return self._rows(lambda each: each.endswith(name), history)

    def all_rows(self) -> list[Row]:
        """Return the metrics of every committed epoch, in order."""
        return self._rows(lambda _: True)

    def predictions(self, epoch: int) -> Columns:
        """Return `split`, `example`, `label`, `logit_0`, ... of a committed epoch."""
        name = f"predictions/epoch-{epoch:04d}.parquet"
        self._read(name)
        return parquet_columns(self.path / name)

    def checkpoint(self) -> tuple[int, bytes] | None:
        """Return the newest intact checkpoint and its epoch; None where none is.

        Where the newest is damaged the one before it serves: the epoch between is
        run again, and must give the bytes that the journal has.
        """
        history = self.history()
        for epoch in reversed(history.epochs[-KEPT_CHECKPOINTS:]):
            try:
                return epoch, self.checkpoint_of(epoch)
            except IntegrityError:
                continue
        return None

    def checkpoint_of(self, epoch: int) -> bytes:
        """Return the checkpoint of a committed epoch, checked."""
        return self._read(f"checkpoints/epoch-{epoch:04d}.pt")

    def log_time(self, **content: Any) -> None:  # noqa: ANN401 - any JSON value
        """Note wall-clock facts apart from the results, which must not vary."""
        append_line(self.path / "timing.jsonl", canonical_json(content))

    def failure(self) -> str | None:
        """Return why the run last failed; None where it did not."""
        try:
            return str(json.loads((self.path / _FAILURE).read_bytes())["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note_failure(self, reason: str) -> None:
        """Note why the run failed, apart from its results."""
        self._write(_FAILURE, json.dumps({"reason": reason}).encode())

    def forget_failure(self) -> None:
        """Take the note back: the run is tried again."""
        (self.path / _FAILURE).unlink(missing_ok=True)

    def verify(self) -> list[str]:
        """Return what is wrong with the run's files, one line each."""
        try:
            history = self.history()
        except IntegrityError as error:
            return [str(error)]
        problems = unrecorded(self.path, history.last_epoch)
        for name, expected in history.files.items():
            if history.is_dropped(name, KEPT_CHECKPOINTS):
                continue
            try:
                read_checked(self.path / name, expected)
            except IntegrityError as error:
                # A run under way may have dropped a checkpoint in the meantime.
                if not self.history().is_dropped(name, KEPT_CHECKPOINTS):
                    problems.append(str(error))
        return problems

    def _commit(self, record: dict[str, Any], history: History) -> None:
        self._check_owner()
        self.journal.append(record, after=list(history.records))

    def _check_owner(self) -> None:
        if self.fence is not None:
            self.fence.check()

    def _write(self, name: str, content: bytes) -> str:
        self._check_owner()
        return write_bytes(self.path / name, content, inside=self.path)

    def _read(self, name: str) -> bytes:
        files = self.history().files
        if name not in files:
            msg = f"{self.path}: the journal knows no {name}; has the run reached it?"
            raise IntegrityError(msg)
        return read_checked(self.path / name, files[name])

    def _rows(
        self, is_wanted: Callable[[str], bool], known: History | None = None
    ) -> list[Row]:
        history = known or self.history()
        try:
            return self._rows_by(history, is_wanted)
        except IntegrityError:
            # New scores may have replaced the metrics since the history was read.
            now = self.history()
            if now.generation == history.generation:
                raise
            return self._rows_by(now, is_wanted)

    def _rows_by(self, history: History, is_wanted: Callable[[str], bool]) -> list[Row]:
        return [
            json.loads(line)
            for name in history.metrics_files
            if is_wanted(name)
            for line in read_checked(self.path / name, history.files[name]).splitlines()
        ]

    def _check_replay(
        self, epoch: int, files: dict[str, str], history: History
    ) -> None:
        changed = [name for name, seal in files.items() if history.files[name] != seal]
        if changed:
            msg = (
                f"{self.path}: epoch {epoch} was run again and {', '.join(changed)} "
                "came out different. Delete the folder to run it anew."
            )
            raise IntegrityError(msg)

    def _tidy(self, history: History) -> None:
        """Delete what a kill kept from being deleted."""
        for leftover in self.path.rglob(".*.unfinished"):
            leftover.unlink()
        if history.epochs:
            self._drop_old_checkpoints(history.last_epoch)

    def _drop_old_checkpoints(self, epoch: int) -> None:
        folder = self.path / "checkpoints"
        kept = {f"epoch-{epoch - back:04d}.pt" for back in range(KEPT_CHECKPOINTS)}
        for path in folder.glob("epoch-*.pt"):
            if path.name not in kept:
                path.unlink()
        sync_folder(folder)


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(canonical_json(row) + "\n" for row in rows).encode()
