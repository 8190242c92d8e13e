"""All runs of a study share one memory format; a run keeps that which it began with."""

import json

import pytest

from calibench.lab.store import Store
from calibench.lab.study import memory_formats
from command_line import TINY, calibench, refused, results, study_file, unfinish


@pytest.fixture
def study(tmp_path):
    return study_file(tmp_path / "study", TINY)


@pytest.fixture
def chosen(monkeypatch):
    """Let measuring find what the test says, and count how often it is asked."""

    def choose(answer):
        asked = []

        def measure(question, menu, _measure):
            asked.append(question)
            return answer

        monkeypatch.setattr(memory_formats, "remembered", measure)
        return asked

    return choose


def formats_of(store):
    return {
        folder.manifest()["fingerprint"]["memory_format"]
        for folder in Store(store).runs()
    }


def run(study, store, *options):
    done = calibench("run", study, "--store", store, *options)
    assert done.code == 0, done.err


def test_it_is_measured_once_for_all_losses_and_replayed(study, tmp_path, chosen):
    asked, store = chosen("contiguous"), tmp_path / "store"
    run(study, store)
    assert formats_of(store) == {"contiguous"}
    (question,) = asked
    assert question["model"] == "vgg16"
    assert question["images"] == "3x8x8"
    assert set(json.loads((store / "choices.json").read_text()).values()) == {
        "contiguous"
    }
    checked = calibench("verify", store, "--replay", 2, "--json")
    assert checked.code == 0, checked.out
    assert "trained again" in checked.out


def test_a_run_keeps_the_format_that_it_began_with(study, tmp_path, chosen):
    store = tmp_path / "store"
    chosen("contiguous")
    run(study, store)
    whole = results(store)
    for folder in Store(store).runs():
        unfinish(folder, epochs=1)
    asked = chosen("channels_last")
    (store / "choices.json").unlink()
    run(study, store)
    assert asked == [], "nothing is measured for runs that have begun"
    del whole["choices.json"]
    assert results(store) == whole


def test_a_format_that_is_given_is_not_measured(study, tmp_path, chosen):
    asked, store = chosen("contiguous"), tmp_path / "store"
    run(study, store, "--memory-format", "channels_last")
    assert asked == []
    assert formats_of(store) == {"channels_last"}
    unfinish(Store(store).runs()[0], epochs=2)
    said = refused(7, "run", study, "--store", store, "--memory-format", "contiguous")
    assert "memory_format: channels_last -> contiguous" in said


def test_an_unknown_format_is_refused(study, tmp_path):
    said = refused(
        2, "run", study, "--store", tmp_path / "s", "--memory-format", "nhwc"
    )
    assert "memory_format" in said
    assert not (tmp_path / "s").exists()
