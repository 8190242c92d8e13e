"""An append-only file of records, each sealed and chained to the one before."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from calibench.errors import IntegrityError
from calibench.lab.store.canonical import canonical_json, digest
from calibench.lab.store.files import append_line, truncate

Record = dict[str, Any]

_AS_WRITTEN = re.compile(rb'(.*),"seal":"([0-9a-f]{64})"}\n', re.DOTALL)
_START = "0" * 64  # what the first record names as its predecessor


@dataclass(frozen=True)
class Journal:
    """A run's history: appending a record, once it is on disk, is the commit point."""

    path: Path

    def append(self, content: Record, after: list[Record]) -> Record:
        """Commit `content` after the records `after`; return the sealed record."""
        previous = after[-1]["seal"] if after else _START
        record = content | {"previous": previous}
        record["seal"] = digest(record)
        append_line(self.path, canonical_json(record))
        return record

    def read(self) -> list[Record]:
        """Return the committed records; a torn last line was never committed.

        Raises:
            IntegrityError: A record before the last line was altered or removed.
        """
        return self._parse()[0]

    def repair(self) -> list[Record]:
        """Cut off a torn last line, which a crash in the middle of a commit leaves."""
        records, size = self._parse()
        if self.path.exists() and self.path.stat().st_size > size:
            truncate(self.path, size)
        return records

    def _parse(self) -> tuple[list[Record], int]:
        content = self.path.read_bytes() if self.path.exists() else b""
        records: list[Record] = []
        size = 0
        lines = content.splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            record = _unseal(line, records[-1]["seal"] if records else _START)
            if record is None:
                # Only a line that lacks its end can be an unfinished append.
                if number == len(lines) and not line.endswith(b"\n"):
                    break
                msg = (
                    f"{self.path}, line {number}: altered after it was written. "
                    f"Restore the file from a copy, or delete the folder "
                    f"{self.path.parent} to run again."
                )
                raise IntegrityError(msg)
            records.append(record)
            size += len(line)
        return records, size


def _unseal(line: bytes, previous: str) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    is_next = record.get("previous") == previous
    return record if is_next and _is_intact(line, record) else None


def _is_intact(line: bytes, record: Record) -> bool:
    # As `append` writes a line, its bytes less the seal are what was hashed. To write
    # the record once more takes four times as long as all the rest.
    written = _AS_WRITTEN.fullmatch(line)
    if written and sha256(written[1] + b"}").hexdigest() == written[2].decode():
        return True
    content = {key: value for key, value in record.items() if key != "seal"}
    return record.get("seal") == digest(content)
