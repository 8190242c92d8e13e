"""Runs that cannot go on are marked, the grid goes on, and the report says so."""

import pytest

from command_line import TINY, calibench, refused, study_file

HOSTILE = """
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Hostile:
    how: str

    def per_example(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    def __call__(self, logits, labels):
        value = self.per_example(logits, labels).mean()
        if len(labels) == 2:  # tried before the study begins
            return value
        if self.how == "memory":
            raise MemoryError
        if self.how == "raises":
            raise ValueError("boom")
        return value * float(self.how)
"""
GOOD = TINY.partition("[[loss]]")[0].replace("epochs = 3", "epochs = 1")


@pytest.fixture
def study(tmp_path, monkeypatch):
    (tmp_path / "hostile.py").write_text(HOSTILE)
    monkeypatch.chdir(tmp_path)

    def write(*kinds, good=True):
        toml = GOOD + '[[loss]]\nkind = "cross_entropy"\n' * good
        for how in kinds:
            toml += (
                f'[[loss]]\nkind = "hostile:Hostile"\nname = "{how}"\nhow = "{how}"\n'
            )
        return study_file(tmp_path / "study", toml)

    return write


def test_whatever_a_loss_does_the_other_runs_go_on(study, tmp_path):
    hows = ("nan", "inf", "-inf", "memory", "raises")
    named = [how.replace("-", "minus_") for how in hows]
    file = study(*hows)
    file.write_text(file.read_text().replace('name = "-inf"', 'name = "minus_inf"'))
    store = tmp_path / "store"
    done = calibench("run", file, "--store", store, "--allow-code")
    assert done.code == 1, done.err
    rows = calibench("status", store, "--json").json
    states = [row["state"] for row in rows]
    assert states == ["finished", *["diverged"] * 3, *["failed"] * 2]
    assert [row["test_top_label_ece"] for row in rows[1:]] == [None] * 5
    reasons = [row["reason"] for row in rows[1:]]
    assert all("the training loss is" in reason for reason in reasons[:3])
    assert "out of memory" in reasons[3]
    assert reasons[4] == "ValueError: boom"
    report = calibench("report", store)
    assert report.code == 0, report.err
    page = (store / "report.html").read_text()
    for name, word in zip(named, ["diverged"] * 3 + ["failed"] * 2, strict=True):
        assert name in page
        assert word in page
    assert "boom" in page


def test_a_study_whose_every_run_diverged_has_a_report(study, tmp_path):
    store = tmp_path / "store"
    file = study("nan", "inf", good=False)
    assert calibench("run", file, "--store", store, "--allow-code").code == 1
    done = calibench("report", store)
    assert done.code == 0, done.err
    assert done.out.count("diverged after epoch 0 of 1") == 2
    page = (store / "report.html").read_text()
    assert page.count("diverged after epoch 0 of 1") >= 2
    assert "0 of 2 runs finished" in page
    numbers = calibench("report", store, "--json").json
    assert numbers is not None
    assert calibench("claims", store).code == 0
    assert calibench("verify", store, "--replay", 9).code == 0


def test_a_study_that_was_not_measured_yet_has_none(study, tmp_path):
    store = tmp_path / "store"
    file = study("raises", good=False)
    assert calibench("run", file, "--store", store, "--allow-code").code == 1
    done = calibench("report", store)
    assert (done.code, done.out) == (2, "")
    assert "nothing to report" in done.err


def test_a_loss_that_raises_when_it_is_tried_is_refused_in_words(study, tmp_path):
    file = study("raises", good=False)
    # A name of its own: what was imported once does not change with its file.
    file.write_text(file.read_text().replace("hostile:", "at_once:"))
    (tmp_path / "at_once.py").write_text(HOSTILE.replace("== 2", "== 3"))
    told = refused(2, "run", file, "--store", tmp_path / "s", "--allow-code")
    assert "at_once:Hostile raised ValueError: boom" in told
