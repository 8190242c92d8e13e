"""Faults put into the source by hand, one at a time: each must make a test fail.

    python benchmarks/chaos/mutants.py            # all, in a scratch copy
    python benchmarks/chaos/mutants.py --only journal

A mutant is a file, a piece of text that occurs in it once, what stands in its place and
the tests that should notice. Prints a line for each; exit code 1 if one survives.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb  # noqa: F401 - once, for all the forks that test a mutant
import pytest
import torch  # noqa: F401 - likewise

ROOT = Path(__file__).parents[2]
_COPIED = ("src", "tests", "conftest.py", "pyproject.toml", "README.md", "docs")


_SECONDS = 300  # for the tests of one mutant


@dataclass(frozen=True)
class Mutant:
    """One fault."""

    file: str
    old: str
    new: str
    tests: str


_LAB = "lab/store/"
_STORE = "tests/unit/test_run_folder.py tests/unit/test_store_files.py"
_JOURNAL = "tests/unit/test_journal.py"
_DURABLE = "tests/unit/test_durable.py tests/unit/test_store_files.py"
_CRASHES = "tests/faults/test_power_loss.py"
_NAMED = "tests/integration/test_cli_integrity.py -k names_the_file"
_LOSSES = (
    "tests/properties/test_losses.py tests/unit/test_loss_edges.py "
    "tests/properties/test_loss_oracle.py tests/properties/test_loss_gradients.py"
)
_BINS = "tests/unit/test_binning_edges.py tests/unit/test_binning_grid.py"
_BATCHES = "tests/unit/test_batches.py"
_STREAMS = "tests/unit/test_random_streams.py"
_DOWNLOAD = "tests/integration/test_download.py"

MUTANTS = [
    Mutant(_LAB + "journal.py", 'record.get("previous") == previous', "True", _JOURNAL),
    Mutant(
        _LAB + "journal.py", 'record.get("seal") == digest(content)', "True", _JOURNAL
    ),
    Mutant(_LAB + "journal.py", "truncate(self.path, size)", "pass", _JOURNAL),
    Mutant(
        _LAB + "journal.py",
        'if number == len(lines) and not line.endswith(b"\\n")',
        "if number == len(lines)",
        _JOURNAL,
    ),
    Mutant(_LAB + "journal.py", "size += len(line)", "size = len(line)", _JOURNAL),
    Mutant(_LAB + "files.py", "!= expected_sha256", "== expected_sha256", _STORE),
    Mutant(
        _LAB + "files.py", "file.truncate(size)\n                raise", "raise", _STORE
    ),
    Mutant(
        _LAB + "files.py",
        "left[file.write(left) :]",
        "left[len(left) :]",
        _STORE,
    ),
    Mutant(_LAB + "files.py", "        if is_new:\n", "        if False:\n", _STORE),
    Mutant("lab/durable.py", "            os.fsync(file.fileno())\n", "", _DURABLE),
    Mutant("lab/durable.py", "    sync_folder(path.parent)\n\n\n@", "\n\n@", _DURABLE),
    Mutant("lab/durable.py", "unfinished.replace(path)", "shutil = path", _DURABLE),
    Mutant(
        "lab/durable.py", "        sync_folder(each.parent)", "        pass", _DURABLE
    ),
    Mutant("lab/durable.py", "raise ResourceError(msg) from error", "raise", _STORE),
    Mutant(
        _LAB + "run_folder.py", "KEPT_CHECKPOINTS = 2", "KEPT_CHECKPOINTS = 1", _STORE
    ),
    Mutant(
        _LAB + "run_folder.py",
        "except IntegrityError:\n                continue",
        "except IntegrityError:\n                raise",
        _STORE,
    ),
    Mutant(_LAB + "run_folder.py", "history.files[name] != seal", "False", _STORE),
    Mutant(_LAB + "run_folder.py", "settle(self.journal.path)", "pass", _CRASHES),
    Mutant(
        _LAB + "run_folder.py",
        "settle_names(self.path, above=_FOLDERS_ABOVE)",
        "pass",
        _CRASHES,
    ),
    Mutant(
        _LAB + "run_folder.py",
        "inside=self.path",
        "inside=None",
        "tests/faults/test_refusals.py -k moved",
    ),
    Mutant(_LAB + "run_folder.py", "problems.append(str(error))", "pass", _STORE),
    Mutant(
        _LAB + "leftovers.py",
        "last_epoch + 1",
        "last_epoch + 9",
        "tests/faults/test_corruption.py -k lost_records",
    ),
    Mutant(_LAB + "lock.py", "fcntl.LOCK_EX", "fcntl.LOCK_SH", _STORE),
    Mutant(_LAB + "history.py", "files |= record.get", "files = record.get", _STORE),
    Mutant(
        _LAB + "history.py",
        '{"finished", "diverged"}',
        '{"finished"}',
        "tests/integration/test_cli_failures.py -k diverges_stops",
    ),
    Mutant(_LAB + "canonical.py", "sort_keys=True", "sort_keys=False", _JOURNAL),
    Mutant(_LAB + "store.py", 'or run_id.startswith(".")', "", _STORE),
    Mutant(
        "lab/data/batches.py",
        'f"order, epoch {epoch}", self.seed',
        'f"order, epoch {epoch}", 0',
        _BATCHES,
    ),
    Mutant("lab/data/batches.py", 'f"order, epoch {epoch}"', '"order"', _BATCHES),
    Mutant("lab/data/batches.py", 'f"crop, epoch {epoch}"', '"crop"', _BATCHES),
    Mutant("lab/data/batches.py", 'f"flip, epoch {epoch}"', '"flip"', _BATCHES),
    Mutant("lab/data/batches.py", "< 0.5", "< 0.6", _BATCHES),
    Mutant("binning.py", "values <= _edges", "values < _edges", _BINS),
    Mutant("binning.py", "kept = count > 0", "kept = count >= 0", _BINS),
    Mutant(
        "lab/data/random_streams.py",
        "[len(words), *words, seed]",
        "[*words, seed]",
        _STREAMS,
    ),
    Mutant("lab/data/random_streams.py", "np.uint64(11)", "np.uint64(12)", _STREAMS),
    Mutant("lab/data/download.py", "part.truncate(begin)", "pass", _DOWNLOAD),
    Mutant("lab/data/download.py", "if done < remote.size:", "if False:", _DOWNLOAD),
    Mutant("lab/data/download.py", "== remote.sha256", "!= ''", _DOWNLOAD),
    Mutant("lab/data/http_stream.py", '== "text/html"', '== "text/htm"', _DOWNLOAD),
    Mutant("lab/data/http_stream.py", 'rf"bytes {start}-', 'rf"bytes \\d+-', _DOWNLOAD),
    Mutant(
        "lab/study/stop_request.py",
        "self.is_set = True",
        "pass",
        "tests/integration/test_cli_failures.py -k before_the_first",
    ),
    Mutant("losses/focal.py", "label.others**self.gamma", "label.others", _LOSSES),
    Mutant(
        "losses/focal.py", "(-weight * label.log_p)", "(weight * label.log_p)", _LOSSES
    ),
    Mutant("errors.py", "exit_code = 5", "exit_code = 4", _NAMED),
]


def main() -> int:
    """Try every mutant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of the names of files")
    only = parser.parse_args().only
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    survivors = 0
    try:
        for name in _COPIED:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, folder / name)
        for number, mutant in enumerate(MUTANTS, start=1):
            if only in mutant.file:
                verdict = _verdict(folder, mutant)
                survivors += verdict != "killed"
                print(f"{number} {mutant.file}: {mutant.new!r}: {verdict}", flush=True)  # noqa: T201
    finally:
        shutil.rmtree(folder)
    return int(survivors > 0)


def _verdict(folder: Path, mutant: Mutant) -> str:
    path = folder / "src" / "calibench" / mutant.file
    sound = path.read_text()
    if sound.count(mutant.old) != 1:
        return f"does not apply: {sound.count(mutant.old)} places"
    path.write_text(sound.replace(mutant.old, mutant.new))
    try:
        code = _tested(folder, mutant.tests.split())
    finally:
        path.write_text(sound)
    return "killed" if code == pytest.ExitCode.TESTS_FAILED else f"survived ({code})"


def _tested(folder: Path, tests: list[str]) -> int:
    """Run tests in a fork, with the copy's source; return pytest's exit code."""
    child = os.fork()
    if child == 0:
        code = -1
        try:
            signal.alarm(_SECONDS)
            os.chdir(folder)
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            os.environ |= {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
            sys.path.insert(0, str(folder / "src"))
            sys.dont_write_bytecode = True
            code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests])
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
