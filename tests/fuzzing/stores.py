"""Damaged stores, study files and calibrators, and what reading them must end in.

cd tests && python -m fuzzing.stores --files 3000
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from calibench.errors import CalibenchError
from calibench.lab.store import RunFolder, Store
from calibench.lab.study.load import load_study
from calibench.lab.study.status import status_of
from calibench.posthoc import fit
from calibench.posthoc.files import load, save
from calibench.predictions import Predictions
from command_line import TINY
from faults.runs import SMALL, SmallStudy, carry_on
from fuzzing.damage import damaged
from fuzzing.judge import TooSlowError, alarm

SECONDS = 2.0
WORDS = ["", "-1", "1e999", "null", "[]", "{}", '"x"', "true", "9" * 30, '"\\u0000"']


class Fuzzed:
    """Sound files in a folder, and one damaged at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = RunFolder(folder / "store" / "runs" / "run")
        carry_on(self.run)
        self.records = self.run.journal.read()
        self.study = SmallStudy(folder).prepared(folder / "study")
        labels = np.arange(60) % 3
        noise = np.random.default_rng(0).normal(size=(60, 3))
        self.some = Predictions.from_logits(noise + np.eye(3)[labels], labels)
        for method in ("temperature", "vector_scaling", "histogram_binning"):
            save(fit(self.some, method), folder / f"{method}.json")
        self.kinds: dict[str, Callable[[random.Random], str]] = {
            "study file": self.study_file,
            "study.json": self.stored_study,
            "run": self.run_file,
            "calibrator": self.calibrator,
        }

    def judge(self, kind: str, number: int, seed: int = 0) -> str:
        """Return the outcome, "finding: ..." where a promise was broken."""
        rng = random.Random(f"{seed} {kind} {number}")  # noqa: S311 - no secret
        try:
            with alarm(SECONDS):
                return self.kinds[kind](rng)
        except CalibenchError as error:
            return "refused" if len(str(error)) < 5000 else "finding: endless words"
        except TooSlowError:
            return "finding: slow"
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            return f"finding: {type(error).__name__}: {error}"[:300]

    def study_file(self, rng: random.Random) -> str:
        path = self.folder / "fuzzed.toml"
        path.write_bytes(changed(TINY.encode(), SMALL.encode(), rng))
        load_study(path, allow_code=False)
        return "read"

    def stored_study(self, rng: random.Random) -> str:
        path = self.study.path / "study.json"
        sound = path.read_bytes()
        try:
            path.write_bytes(changed(sound, b"{}", rng))
            rows = status_of(self.study.path)
            json.dumps(rows, allow_nan=False)
            Store.existing(self.study.path).placed_runs()
        finally:
            path.write_bytes(sound)
        return "read"

    def run_file(self, rng: random.Random) -> str:
        files = sorted(p for p in self.run.path.rglob("*") if p.is_file())
        path = rng.choice(files)
        sound = path.read_bytes()
        try:
            path.write_bytes(changed(sound, b"PAR1", rng))
            is_same = path.read_bytes() == sound
            problems = self.run.verify()
            history = self.run.history()
            if list(history.records) != self.records[: len(history.records)]:
                return "finding: read records that were never written"
            is_whole = len(history.records) == len(self.records)
            if not is_same and is_whole and not problems and path.name != "lock":
                return f"finding: {path.name} is damaged, and nobody says so"
            for epoch in history.epochs:
                self.run.rows(epoch)
                self.run.predictions(epoch)
        finally:
            path.write_bytes(sound)
        return "read"

    def calibrator(self, rng: random.Random) -> str:
        path = rng.choice(sorted(self.folder.glob("*[a-z].json")))
        fuzzed = self.folder / "fuzzed.calibrator"
        fuzzed.write_bytes(changed(path.read_bytes(), b"{}", rng))
        probs = load(fuzzed).apply(self.some).probs
        is_sound = np.isfinite(probs).all() and (probs >= 0).all()
        return "read" if is_sound else "finding: no probabilities"


def changed(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Bytes damaged, or a value in text put in another's place."""
    if rng.random() < 0.5:
        return damaged(content, other, rng)[0]
    places = [i for i, byte in enumerate(content) if byte in b":=,"]
    if not places:
        return damaged(content, other, rng)[0]
    start = rng.choice(places) + 1
    ends = [i for i in range(start, len(content)) if content[i] in b",}]\n"]
    end = ends[0] if ends else len(content)
    return content[:start] + rng.choice(WORDS).encode() + content[end:]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzzing.stores")
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    bad = 0
    try:
        fuzzed = Fuzzed(folder)
        for kind in fuzzed.kinds:
            found = Counter(
                fuzzed.judge(kind, number, arguments.seed)
                for number in range(arguments.files)
            )
            bad += sum(n for what, n in found.items() if what.startswith("finding"))
            print(f"{kind}: {dict(found)}", flush=True)  # noqa: T201
    finally:
        shutil.rmtree(folder)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
