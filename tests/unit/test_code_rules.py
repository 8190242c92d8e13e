"""What no line of the package may do, and what loading it may not touch."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
FILES = sorted(SOURCE.rglob("*.py"))

# Names that must not be called, whatever module they come from.
BANNED_CALLS = {"eval", "exec", "extractall", "system", "popen"}
BANNED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
# What must be written out at every call, where a default could be otherwise.
WRITTEN_OUT = {
    ("torch", "load"): ("weights_only", True),
    ("np", "load"): ("allow_pickle", False),
    ("numpy", "load"): ("allow_pickle", False),
}


def offences(source):
    """What a module does that it may not: a line number and words for each."""
    return [
        (getattr(node, "lineno", 0), words)
        for node in ast.walk(ast.parse(source))
        if (words := _offence(node))
    ]


def _offence(node):
    if isinstance(node, ast.Import):
        names = {alias.name.partition(".")[0] for alias in node.names}
        return f"imports {names & BANNED_MODULES}" if names & BANNED_MODULES else ""
    if isinstance(node, ast.ImportFrom):
        # The error that torch.load raises is no way to unpickle.
        named = {alias.name for alias in node.names}
        is_banned = (node.module or "").partition(".")[0] in BANNED_MODULES
        return (
            f"from {node.module}" if is_banned and named != {"UnpicklingError"} else ""
        )
    if isinstance(node, ast.Call):
        return _of_call(node)
    return ""


def _of_call(node):
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else ""
    owner = getattr(getattr(function, "value", None), "id", "")
    if isinstance(function, ast.Name):
        name = function.id
    # A module in evaluation mode is no evaluation of text.
    is_method = isinstance(function, ast.Attribute) and owner != "builtins"
    if name in BANNED_CALLS and not (name == "eval" and is_method):
        return f"calls {name}"
    given = {each.arg: getattr(each.value, "value", None) for each in node.keywords}
    if given.get("shell") is True:
        return "starts a shell"
    if (owner, name) in WRITTEN_OUT:
        option, value = WRITTEN_OUT[owner, name]
        if given.get(option) is not value:
            return f"{owner}.{name} without {option}={value}"
    return ""


def test_no_module_can_run_what_it_reads():
    found = {path: offences(path.read_text()) for path in FILES}
    assert {path: said for path, said in found.items() if said} == {}
    assert len(found) > 200


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import os, marshal",
        "eval(text)",
        "exec(text)",
        "archive.extractall(folder)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_the_rule_bites(line):
    assert len(offences(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "from pickle import UnpicklingError",
        "json.loads(text)",
    ],
)
def test_and_nothing_else(line):
    assert offences(line) == []


IMPORT = """
import importlib, pkgutil, sys

touched = []
WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen",
           "os.system", "os.exec", "os.posix_spawn", "urllib.Request", "os.fork")

def look(event, arguments):
    if event in WATCHED:
        frames, frame = [], sys._getframe()
        while frame:
            frames.append(frame.f_globals.get("__name__", "?"))
            frame = frame.f_back
        touched.append(f"{event} {arguments[:2]} from {frames[:6]}")

sys.addaudithook(look)
import calibench
for module in pkgutil.walk_packages(calibench.__path__, "calibench."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*touched, sep="\\n", end="")
"""


def test_importing_the_package_touches_no_network_and_starts_no_process():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    assert done.stdout == ""
