"""The memory format is chosen by measuring, once, and everyone keeps to the choice."""

import json
from itertools import count

import pytest
import torch
from torch import nn

from calibench.errors import DataError, InterruptedRunError, ParameterError
from calibench.lab.store.choices import Choices
from calibench.lab.training import memory_format
from calibench.lab.training.memory_format import (
    FORMATS,
    Workload,
    check_format,
    fastest_format,
)
from calibench.lab.training.remembered import machine_facts, remembered

CPU = torch.device("cpu")


class Network(nn.Module):
    """Notes how its inputs lie, and takes as long as it is told to for each layout."""

    def __init__(self, clock, costs, seen):
        super().__init__()
        self.clock, self.costs, self.seen = clock, costs, seen
        self.layer = nn.Conv2d(3, 4, 1)

    def forward(self, images):
        is_last = images.is_contiguous(memory_format=torch.channels_last)
        layout = "channels_last" if is_last else "contiguous"
        self.seen.append((layout, len(images), self.training))
        self.clock[0] += self.costs[layout] * len(images)
        if self.costs[layout] < 0:
            message = "view size is not compatible"
            raise RuntimeError(message)
        return self.layer(images).mean(dim=(2, 3))


@pytest.fixture
def found(monkeypatch):
    clock, seen = [0.0], []
    monkeypatch.setattr(memory_format._Trial, "_now", lambda _: clock[0])

    def choice(batch_size=64, *, is_stopping=lambda: False, **costs):
        workload = Workload(
            build=lambda: Network(clock, costs, seen),
            image_shape=(3, 4, 4),
            batch_size=batch_size,
        )
        return fastest_format(workload, CPU, is_stopping=is_stopping)

    choice.seen = seen
    return choice


def test_the_faster_format_is_chosen(found):
    assert found(channels_last=1.0, contiguous=0.9) == "contiguous"
    assert found(channels_last=0.9, contiguous=1.0) == "channels_last"


def test_what_noise_may_save_changes_nothing(found):
    assert found(channels_last=1.0, contiguous=0.96) == "channels_last"
    assert found(channels_last=1.0, contiguous=1.0) == "channels_last"


def test_a_format_that_the_network_cannot_take_is_not_chosen(found):
    assert found(channels_last=-1, contiguous=1.0) == "contiguous"
    assert found(channels_last=1.0, contiguous=-1) == "channels_last"
    with pytest.raises(ParameterError, match="every memory format"):
        found(channels_last=-1, contiguous=-1)


def test_it_trains_on_batches_of_the_study_but_not_for_long(found):
    found(channels_last=1e-6, contiguous=1e-6)
    assert {(layout, True) for layout in FORMATS} == {
        (layout, training) for layout, _, training in found.seen
    }
    assert max(size for _, size, _ in found.seen) == 64
    found.seen.clear()
    # A second is 32 images of a 32nd of a second.
    found(channels_last=1 / 32, contiguous=1 / 32)
    assert max(size for _, size, _ in found.seen) == 32
    found.seen.clear()
    found(channels_last=9.0, contiguous=9.0)
    assert {size for _, size, _ in found.seen} == {4}
    found.seen.clear()
    found(batch_size=2, channels_last=9.0, contiguous=9.0)
    assert found.seen[-1][1] == 2


def test_it_stops_between_two_steps(found):
    answers = iter([False, False, True])
    with pytest.raises(InterruptedRunError, match="before any run began"):
        found(channels_last=1.0, contiguous=1.0, is_stopping=lambda: next(answers))
    assert len(found.seen) == 2


def test_measuring_draws_nothing_from_the_global_generator(found):
    before = torch.get_rng_state()
    found(channels_last=1.0, contiguous=0.9)
    # Building the network above does, as `build_model` does not.
    torch.set_rng_state(before)
    torch.rand(4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_another_name_is_refused():
    with pytest.raises(ParameterError, match="Did you mean 'contiguous'"):
        check_format("contigous")


QUESTION = machine_facts(CPU) | {"model": "resnet18"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CALIBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def asked(answers, question=QUESTION):
    return remembered(question, ("a", "b"), lambda: next(answers))


def test_what_was_measured_is_not_measured_again(cache):
    answers = iter("ab")
    assert asked(answers) == "a"
    assert asked(answers) == "a"
    assert asked(answers, QUESTION | {"torch": "1.0"}) == "b", "another question"
    assert asked(answers) == "a"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"answer": "a"}', "null"])
def test_a_damaged_answer_is_measured_again(cache, damage):
    assert asked(iter("a")) == "a"
    (path,) = cache.rglob("*.json")
    path.write_text(damage)
    assert asked(iter("b")) == "b"
    assert json.loads(path.read_text())["answer"] == "b"


def test_an_answer_to_another_question_or_off_the_menu_does_not_count(cache):
    asked(iter("a"))
    (path,) = cache.rglob("*.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"answer": "c"}))
    assert asked(iter("b")) == "b"
    path.write_text(json.dumps(content | {"question": {}}))
    assert asked(iter("b")) == "b"


def test_without_a_cache_it_is_measured_every_time(cache):
    cache.write_text("a file where the folder should be")
    assert asked(iter("a")) == "a"
    assert asked(iter("b")) == "b"


def test_the_first_choice_of_a_study_stays(tmp_path):
    choices, numbers = Choices(tmp_path / "choices.json"), count()
    assert choices.read() == {}
    assert choices.decided("one", lambda: str(next(numbers))) == "0"
    assert choices.decided("two", lambda: str(next(numbers))) == "1"
    assert choices.decided("one", lambda: str(next(numbers))) == "0"
    assert choices.read() == {"one": "0", "two": "1"}


@pytest.mark.parametrize("damage", ["", "{", "[]"])
def test_a_damaged_file_of_choices_is_named_with_a_remedy(tmp_path, damage):
    choices = Choices(tmp_path / "choices.json")
    choices.path.write_text(damage)
    with pytest.raises(DataError, match=r"choices\.json: damaged .* Delete this one"):
        choices.read()
    with pytest.raises(DataError, match="damaged"):
        choices.decided("one", lambda: "a")
