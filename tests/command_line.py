"""The command line as tests call it, and a study small enough to be run in them."""

import contextlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibench.cli import main
from calibench.lab.store import Store
from calibench.lab.store.files import write_bytes

TINY = """
name = "tiny"
models = ["vgg16"]
width = 4
[dataset]
kind = "gratings"
num_train = 260
num_test = 60
image_size = 8
num_classes = 3
[splits]
selection = 20
calibration = 40
[train]
epochs = 3
batch_size = 50
learning_rate = 0.05
crop_padding = 1
[[loss]]
kind = "cross_entropy"
[[loss]]
kind = "focal"
gamma = 2
"""


def seconds_here(promised):
    """What is promised for a machine with room, on one that other work may fill."""
    return promised * max(1.0, os.getloadavg()[0] / os.cpu_count())


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as JSON: all of it, and with no NaN, which is not JSON."""

        def refuse(word):
            message = f"{word} is not JSON"
            raise AssertionError(message)

        return json.loads(self.out, parse_constant=refuse)


def calibench(*arguments) -> Done:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = "it did not exit"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = exit_.code
    return Done(code or 0, out.getvalue(), err.getvalue())


def refused(code: int, *arguments) -> str:
    """Run a command that must fail in a way that helps; return what it says."""
    done = calibench(*arguments)
    assert done.code == code, done.err
    assert done.out == "", "stdout is data, and there is none"
    assert "Traceback" not in done.err
    return done.err


def study_file(folder: Path, toml: str = TINY) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "study.toml"
    path.write_text(toml)
    return path


def results(store: Path) -> dict[str, bytes]:
    """Every file but those that hold times and locks."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name not in {"timing.jsonl", "lock"}
    }


def copied(store: Path, target: Path) -> Store:
    """Return a copy of a store, to be spoiled."""
    shutil.copytree(store, target)
    return Store(target)


def unfinish(folder, epochs: int) -> None:
    """Take a finished run back to just after an epoch, as a kill then would leave it.

    Files of later epochs stay, and so does no checkpoint older than the last two.
    """
    lines = folder.journal.path.read_bytes().splitlines(keepends=True)
    folder.journal.path.write_bytes(b"".join(lines[: 1 + epochs]))


def begun_elsewhere(folder, **facts: str) -> None:
    """Make a run one that was begun with another fingerprint, every seal intact."""
    manifest = folder.manifest()
    manifest["fingerprint"] |= facts
    seal = write_bytes(
        folder.path / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode()
    )
    records = folder.journal.read()
    folder.journal.path.unlink()
    written: list[dict[str, Any]] = []
    for record in records:
        content = {k: v for k, v in record.items() if k not in {"seal", "previous"}}
        if content["event"] == "begin":
            content["files"] |= {"manifest.json": seal}
        written.append(folder.journal.append(content, after=written))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
