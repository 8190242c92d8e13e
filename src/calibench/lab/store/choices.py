"""What was chosen once for a whole study, by measuring, and holds for all its runs."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibench.errors import DataError
from calibench.lab.store.files import write_bytes
from calibench.lab.store.lock import owned

_PATIENCE = 600.0  # seconds; another process may be measuring


@dataclass(frozen=True)
class Choices:
    """Choices by name, in one file. The first one for a name stays."""

    path: Path

    def read(self) -> dict[str, str]:
        """Return every choice so far.

        Raises:
            DataError: The file is damaged.
        """
        if not self.path.is_file():
            return {}
        try:
            content = json.loads(self.path.read_bytes())
            return {str(name): str(choice) for name, choice in content.items()}
        except (ValueError, AttributeError) as error:
            msg = (
                f"{self.path}: damaged ({error!r}). Delete this one file: runs that "
                "have begun keep their choice, for others it is made anew."
            )
            raise DataError(msg) from error

    def decided(self, name: str, choose: Callable[[], str]) -> str:
        """Return the choice of that name, made now unless it was before.

        Where several processes ask at once, one of them chooses for all.

        Raises:
            DataError: The file is damaged.
            LockedError: Another process has been choosing for ten minutes.
            ResourceError: The disk is full, the folder is read-only, ...
        """
        with owned(self.path.with_name("lock"), patience=_PATIENCE):
            known = self.read()
            if name not in known:
                known[name] = choose()
                content = json.dumps(dict(sorted(known.items())), indent=1) + "\n"
                write_bytes(self.path, content.encode())
            return known[name]
