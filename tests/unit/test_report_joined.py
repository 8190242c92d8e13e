from dataclasses import replace

import pytest

from calibench.errors import ParameterError
from calibench.lab.report import write_comparison
from calibench.lab.report.joined import joined
from calibench.lab.report.results import ECE, read_results
from report_store import CROSS_ENTROPY, ENTROPY, FOCAL, Course, write_store


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    path = tmp_path_factory.mktemp("joined")
    course = {("vgg16", "cross_entropy", 0): Course(sharpness=(1.0, 2.0))}
    for name, losses, courses in (
        ("first", (CROSS_ENTROPY, FOCAL), course),
        ("second", (CROSS_ENTROPY, ENTROPY), {}),
    ):
        write_store(path / name, courses, models=("vgg16",), losses=losses, name=name)
    return path / "first", path / "second"


def test_losses_stand_side_by_side_and_keep_their_numbers(stores):
    one, other = map(read_results, stores)
    both = joined([one, other])
    names = [loss.name for loss in both.losses]
    assert names == [
        "first: cross_entropy",
        "focal-gamma3",
        "second: cross_entropy",
        "entropy-alpha0.3",
    ]
    for name, study in (("first", one), ("second", other)):
        (run,) = both.cell("vgg16", f"{name}: cross_entropy")
        (own,) = study.cell("vgg16", "cross_entropy")
        assert run.value(2, ECE) == own.value(2, ECE)
    assert both.notes == ()
    assert both.name == "first + second"


def test_a_page_compares_them_in_pairs(stores, tmp_path):
    written = write_comparison(stores, tmp_path / "both.html")
    text = written.files[0].read_text()
    assert "first: cross_entropy" in text
    assert "What is claimed" not in text
    assert "second: cross_entropy" in written.table


def test_what_else_differs_is_said(stores):
    one, other = map(read_results, stores)
    train = dict(other.spec["train"]) | {"learning_rate": 0.5}
    changed = type(other)(
        **{**vars(other), "spec": dict(other.spec) | {"train": train}}
    )
    (note,) = joined([one, changed]).notes
    assert "learning_rate 0.1 and 0.5" in note


def test_other_data_and_the_same_study_twice_are_refused(stores, tmp_path):
    one, other = map(read_results, stores)
    with pytest.raises(ParameterError, match="different names"):
        joined([one, one])
    with pytest.raises(ParameterError, match="two or more"):
        joined([one])
    manifest = dict(other.runs[0].manifest)
    manifest["dataset"] = manifest["dataset"] | {"digest": "1" * 64}
    run = replace(other.runs[0], manifest=manifest)
    changed = replace(other, runs=(run, *other.runs[1:]))
    with pytest.raises(ParameterError, match="different data"):
        joined([one, changed])
