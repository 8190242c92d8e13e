"""Let the system refuse one operation of a run, and see what the run says and keeps."""

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path

from calibench.errors import CalibenchError
from calibench.lab.store import RunFolder
from faults.disk import Operation, Refusal, watched
from faults.judging import RUN, wrong_after
from faults.runs import EPOCHS, carry_on

CODES = {
    name: getattr(errno, name)
    for name in (
        "ENOSPC",
        "EIO",
        "EROFS",
        "EACCES",
        "EDQUOT",
        "EMFILE",
        "EFBIG",
        "ENOMEM",
    )
}


class Counter:
    """How many operations there are, those that change nothing among them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _: Operation, whole, __):
        self.count += 1
        return whole()


def count_operations(root: Path) -> int:
    counter = Counter()
    with watched(root, counter):
        carry_on(RunFolder(root / RUN))
    return counter.count


class Removal:
    """Moves a folder away before one of the operations."""

    def __init__(self, number: int, folder: Path, elsewhere: Path) -> None:
        self.left, self.folder, self.elsewhere = number, folder, elsewhere

    def __call__(self, _: Operation, whole, __):
        self.left -= 1
        if self.left == -1:
            self.folder.rename(self.elsewhere)
        return whole()


@dataclass(frozen=True)
class RefusedRun:
    """A run whose epochs cost nothing, on a disk that refuses."""

    scratch: Path
    files: dict[str, bytes]

    def refused(self, number: int, code: int, *, lasts: bool) -> str:
        """Refuse from an operation on, or it alone; return what is wrong."""
        root = self.scratch / "refused"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        folder, told = RunFolder(root / RUN), []
        hook, said = Refusal(number, code, lasts=lasts), None
        try:
            with watched(root, hook):
                carry_on(folder, told.append)
        except OSError as error:  # a ResourceError is one
            said = error
        except CalibenchError as error:
            return f"took the refusal for something else: {error!r}"
        except Exception as error:  # noqa: BLE001 - what it is, is the finding
            return f"an accident: {error!r}"
        if not hook.refused:
            return "there is no such operation"
        if said is None and lasts:
            return "ended well on a disk that refuses"
        if said is not None and str(root) not in str(said):
            return f"does not say where: {said!r}"
        if said is None:
            # The scratch file that could not be deleted harms nobody.
            (folder.path / ".table.unfinished").unlink(missing_ok=True)
        return wrong_after(folder, told, self.files)

    def moved(self, number: int) -> str:
        """Move the store away during an operation and back after the run's end."""
        root = self.scratch / "moved"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        folder, told = RunFolder(root / RUN), []
        store, elsewhere = root / RUN.parts[0], self.scratch / "elsewhere"
        said = None
        try:
            with watched(root, Removal(number, store, elsewhere)):
                carry_on(folder, told.append)
        except OSError as error:
            said = error
        except Exception as error:  # noqa: BLE001 - what it is, is the finding
            return f"an accident: {error!r}"
        if store.exists():
            return f"made a folder where the store was, and said: {said}"
        if said is None and len(told) < EPOCHS:
            return "ended well without its folder"
        if said is not None and str(root) not in str(said):
            return f"does not say where: {said!r}"
        elsewhere.rename(store)
        return wrong_after(folder, told, self.files)
