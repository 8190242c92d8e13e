"""Kill a run at one of its storage operations, and see whether it recovers."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from calibench.lab.store import RunFolder
from faults.children import ending
from faults.disk import Death, Operation, watched
from faults.judging import RUN, wrong_after
from faults.runs import SmallStudy, carry_on, tree

# Where to die: before which operation, and whether in the middle of it.
Instant = tuple[int, bool]


def instants(operations: list[Operation]) -> list[Instant]:
    """Before every operation and after the last, and in the middle of every write.

    Before an operation is after the one before it.
    """
    whole = [(number, False) for number in range(len(operations))]
    torn = [(n, True) for n, each in enumerate(operations) if each.kind == "write"]
    return whole + torn


@dataclass(frozen=True)
class CheapRun:
    """Kills of a run whose epochs cost nothing."""

    scratch: Path
    files: dict[str, bytes]

    def killed(self, *deaths: Instant) -> str:
        """Die at each instant in turn; return what was lost, or is wrong at last."""
        root, told = self.scratch / "killed", self.scratch / "told"
        shutil.rmtree(root, ignore_errors=True)
        told.unlink(missing_ok=True)
        root.mkdir(parents=True)
        folder = RunFolder(root / RUN)

        def acknowledge(epoch: int) -> None:
            with told.open("a") as file:
                file.write(f"{epoch}\n")

        for number, torn in deaths:

            def work(number=number, torn=torn):
                with watched(root, Death(number, torn=torn)):
                    carry_on(folder, acknowledge)

            code = ending(work, self.scratch / "log")
            # In the second life there may be less left to do than the instant says.
            if code not in {-SIGKILL, 0}:
                return (self.scratch / "log").read_text()
        epochs = told.read_text().split() if told.exists() else []
        return wrong_after(folder, map(int, epochs), self.files)


@dataclass(frozen=True)
class TrainingRun:
    """Kills of a run that trains."""

    study: SmallStudy
    scratch: Path
    files: dict[str, bytes]

    def killed(self, *deaths: Instant) -> str:
        """Die at each instant in turn; return what is wrong after resuming."""
        path, log = self.scratch / "store", self.scratch / "log"
        shutil.rmtree(path, ignore_errors=True)
        store = self.study.prepared(path)
        folder, seen = store.runs()[0], 0
        for number, torn in deaths:

            def work(number=number, torn=torn):
                with watched(path, Death(number, torn=torn)):
                    self.study.run(store)

            code = ending(work, log)
            if code not in {-SIGKILL, 0}:
                return log.read_text()
            if folder.history().last_epoch < seen or folder.verify():
                return "lost or wrong after the kill"
            seen = folder.history().last_epoch
        code = ending(lambda: self.study.run(store), log)
        if code:
            return f"exit {code}: {log.read_text()}"
        problems = folder.verify()
        if problems:
            return problems[0]
        return "" if tree(path) == self.files else "other bytes than undisturbed"
