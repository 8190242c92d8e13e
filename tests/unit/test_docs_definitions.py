"""docs/definitions.md says of every preset what the preset says of itself."""

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

from calibench.errors import CalibenchError
from calibench.lab.definitions import define_files
from calibench.metrics.presets import PRESETS
from pages import DOCS, ROOT, row_of, sections

FOLDER = ROOT.parent / "shared" / "data" / "predictions"
FILES = ["cifar10_lenet5_netcal.npz", "cifar10_wrn16-4_netcal.npz"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_its_row(name):
    preset = PRESETS[name]
    row = row_of(sections("definitions.md")["The table"], name)
    _, call, differs, fault = (cell.strip() for cell in row.split("|")[1:-1])
    norm = re.sub(r"'(l1|l2|max)'", "NORM", preset.call)
    assert call == f"{preset.library} {preset.checked}: `{norm}`"
    assert differs == preset.differs
    assert fault == (preset.fault or "")


def test_the_numbers_of_real_models_are_those_of_the_command():
    missing = [name for name in FILES if not (FOLDER / name).exists()]
    if missing:
        pytest.skip(f"{missing[0]} is not beside this checkout")
    content = sections("definitions.md")["Two real models"]
    found = [define_files([FOLDER / name]) for name in FILES]
    for name in found[0].ours:
        row = [cell.strip(" *") for cell in row_of(content, name).split("|")[2:4]]
        assert row == [f"{each.ours[name]:.6f}" for each in found], name
    for name, first in found[0].found.items():
        if first.value is None:
            continue
        values = [each.found[name].value for each in found]
        row = [cell.strip() for cell in row_of(content, name).split("|")[2:4]]
        assert row == ["none" if v is None else f"{v:.6f}" for v in values], name


def test_the_example_runs():
    failed, tried = doctest.testfile(
        str(DOCS / "definitions.md"), module_relative=False
    )
    assert (failed, tried > 5) == (0, True)


def bad_inputs():
    path = Path(ROOT / "benchmarks" / "bad_inputs.py")
    spec = importlib.util.spec_from_file_location("bad_inputs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_must_be_refused_is_refused_and_listed(monkeypatch):
    module = bad_inputs()
    content = sections("definitions.md")["Inputs that have no answer"]
    listed = re.findall(r"^\| (.+?) \| refused \|", content, flags=re.MULTILINE)
    assert listed == list(module.cases())
    assert module.outcome("calibench", module.sound()) == "**number**"
    for what, given in module.cases().items():
        with pytest.raises(CalibenchError):
            module.ours(given)
        assert module.outcome("calibench", given) == "refused", what
