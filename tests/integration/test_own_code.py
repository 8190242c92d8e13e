"""What the tutorials say about code of the user's own, carried out."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from calibench.lab.study.own_code import CodeReader
from calibench.lab.study.table_reader import TableReader
from command_line import TINY, calibench, refused, study_file

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(here, page, module, study):
    blocks = dict(BLOCK.findall((DOCS / page).read_text()))
    (here / module).write_text(blocks["python"])
    (here / study).write_text(blocks["toml"])
    return here / study


def ran(study, store):
    assert calibench("plan", study, "--allow-code").code == 0
    done = calibench("run", study, "--store", store, "--allow-code")
    assert done.code == 0, done.err
    assert calibench("report", store).code == 0
    replayed = calibench("verify", store, "--allow-code")
    assert replayed.code == 0, replayed.out
    return calibench("status", store, "--json").json


def specs(store):
    return [
        json.loads((path / "manifest.json").read_text())
        for path in sorted((store / "runs").iterdir())
    ]


def test_a_loss_of_your_own(here):
    study = written(here, "own-loss.md", "poly.py", "poly.toml")
    rows = ran(study, here / "s")
    assert [row["state"] for row in rows] == ["finished", "finished"]
    (own,) = (each for each in specs(here / "s") if ":" in each["run"]["loss"]["kind"])
    assert own["run"]["loss"]["epsilon"] == 2.0
    assert re.fullmatch("[0-9a-f]{16}", own["run"]["loss"]["source"])
    assert own["target_confidence"] == 1.0


def test_a_network_of_your_own(here):
    torch.save(torch.nn.Conv2d(3, 8, 3).state_dict(), here / "body.pt")
    study = written(here, "own-model.md", "nets.py", "fine_tuned.toml")
    rows = ran(study, here / "s")
    assert [row["state"] for row in rows] == ["finished", "finished"]
    assert all(row["run_id"].startswith("nets.pretrained-") for row in rows)
    assert all("model_source" in each["run"] for each in specs(here / "s"))


def test_a_data_set_of_your_own(here):
    pytest.importorskip("sklearn")
    study = written(here, "own-dataset.md", "digits.py", "digits.toml")
    (row,) = ran(study, here / "s")
    assert row["state"] == "finished"
    (spec,) = specs(here / "s")
    assert spec["dataset"]["name"] == "digits"
    assert spec["run"]["dataset"]["num_test"] == 300


def test_without_leave_nothing_is_imported(here):
    study = study_file(here, TINY + '[[loss]]\nkind = "evil:Loss"\n')
    (here / "evil.py").write_text("open('was_here', 'w')\n")
    for command in (["plan", study], ["run", study, "--store", here / "s"]):
        assert "Add --allow-code" in refused(2, *command)
    assert not (here / "was_here").exists()


def test_a_changed_file_makes_other_runs(here):
    study = written(here, "own-loss.md", "poly2.py", "poly.toml")
    study.write_text(study.read_text().replace("poly:Poly1", "poly2:Poly1"))
    command = ("run", study, "--store", here / "s", "--allow-code")
    assert calibench(*command).code == 0
    before = {row["run_id"] for row in calibench("status", here / "s", "--json").json}
    module = here / "poly2.py"
    module.write_text(module.read_text() + "# changed\n")
    del sys.modules["poly2"]  # as in a new process
    verified = calibench("verify", here / "s", "--allow-code")
    assert verified.code == 2
    assert "has changed: its hash is" in verified.err
    assert calibench(*command).code == 0
    after = {row["run_id"] for row in calibench("status", here / "s", "--json").json}
    assert len(before & after) == 1, "that of cross-entropy"


BAD = {
    "no module": ("no_such_module:Loss", "", "cannot be imported (ModuleNotFound"),
    "no name": ("bad1:Gone", "", "has no attribute 'Gone'"),
    "raises": ("bad2:Loss", "1 / 0", "ZeroDivisionError"),
    "key": ("bad3:make", "def make(): return None", "cannot be made from {'a': 1}"),
    "vector": (
        "bad4:make",
        "def make(a): return lambda logits, labels: logits.sum(dim=1)",
        "returned (2,) for a batch. Return one number",
    ),
    "no gradient": (
        "bad5:make",
        "def make(a): return lambda logits, labels: logits.sum().detach()",
        "without a gradient",
    ),
}


@pytest.mark.parametrize(("kind", "code", "told"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_used_is_refused(here, kind, code, told):
    (here / f"{kind.partition(':')[0]}.py").write_text(code)
    if "no_such" in kind:
        (here / "no_such_module.py").unlink()
    study = study_file(here, TINY + f'[[loss]]\nkind = "{kind}"\na = 1\n')
    assert told in refused(2, "plan", study, "--allow-code")


def test_a_network_whose_path_depends_on_its_numbers_has_no_known_cost(here):
    (here / "odd.py").write_text(
        "from torch import nn\n"
        "class Odd(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.head = nn.LazyLinear(num_classes)\n"
        "    def forward(self, x):\n"
        "        return self.head(x.flatten(1)) * (2 if x.sum().item() > 0 else 1)\n"
    )
    toml = TINY.replace('["vgg16"]', '["odd:Odd"]')
    done = calibench("plan", study_file(here, toml), "--allow-code")
    assert (done.code, done.out.count("unknown")) == (0, 3)
    assert (
        calibench("plan", study_file(here, toml), "--allow-code", "--json").json[
            "core_minutes"
        ]
        is None
    )


def test_a_factory_must_return_a_network_and_a_loader_a_data_set(here):
    (here / "wrong.py").write_text(
        "def net(num_classes): return 3\n"
        "class Data:\n"
        "    def load(self, data_dir): return 3\n"
    )
    toml = TINY.replace('["vgg16"]', '["wrong:net"]')
    told = refused(2, "plan", study_file(here, toml), "--allow-code")
    assert "returned no torch.nn.Module" in told
    toml = re.sub(r"\[dataset\].*?\[splits\]", "[splits]", TINY, flags=re.DOTALL)
    toml = toml.replace("width = 4", 'width = 4\ndataset = "wrong:Data"')
    told = refused(2, "plan", study_file(here, toml), "--allow-code")
    assert "returned a int. Return a calibench.lab.data" in told


def test_the_file_that_defines_what_a_module_names_is_recorded(here):
    (here / "front_door.py").write_text("from behind_it import make\n")
    behind = here / "behind_it.py"
    digests = []
    for line in ("", "# Another loss, one day.\n"):
        behind.write_text(
            f"{line}from torch.nn.functional import cross_entropy\n"
            "def make(): return lambda *batch: cross_entropy(*batch)\n"
        )
        reader = TableReader()
        code = CodeReader(reader, is_allowed=True).found("loss", "front_door:make")
        assert code is not None
        digests.append(code.source)
        for name in ("front_door", "behind_it"):
            del sys.modules[name]
    assert digests[0] != digests[1]


def test_a_script_that_ends_the_process_is_refused(here):
    (here / "ends_here.py").write_text("raise SystemExit(0)\n")
    reader = TableReader()
    assert CodeReader(reader, is_allowed=True).found("loss", "ends_here:make") is None
    (problem,) = reader.problems
    assert "cannot be imported (SystemExit: 0)" in str(problem)
