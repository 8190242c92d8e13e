"""How often a run is begun again whose worker is lost, without Ray."""

import itertools
from types import SimpleNamespace

import pytest

from calibench.errors import ParameterError, ResourceError
from calibench.lab import ray_tasks
from calibench.lab.ray_tasks import Ended, Tasks
from calibench.lab.store import RunFolder, Store
from calibench.lab.study import ray_runs
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.launch import Placement
from calibench.lab.study.ray_runs import MOST_LOSSES, RayRuns
from calibench.lab.study.ray_worker import RunEnd

DIED = Ended("some-run", lost="its node died")


class FakeTasks(Tasks):
    """Tasks that end as a list says, each entry a moment."""

    def __init__(self, moments):
        self.moments, self.begun, self.was_asked = iter(moments), [], False

    def begin(self, key):
        self.begun.append(key)

    def ended(self, *, timeout):  # noqa: ARG002 - nothing is waited for
        for each in next(self.moments):
            if callable(each):
                each()
            else:
                yield each

    def ask_to_stop(self):
        self.was_asked = True


@pytest.fixture
def store(tmp_path):
    return Store.prepared(tmp_path / "s", {"name": "s", "runs": ["some-run"]}, "")


@pytest.fixture
def launched(store, monkeypatch):
    def launch(moments, *, stop=lambda: False, runs=("some-run",)):
        tasks = FakeTasks(moments)
        monkeypatch.setattr(ray_runs, "Tasks", lambda *a, **o: tasks)
        monkeypatch.setattr(ray_runs, "_check_nodes", lambda site: None)
        conditions = Conditions(data=store.path)
        events = RayRuns(workers=1).launch(store, runs, conditions, is_stopping=stop)
        return tasks, list(events)

    return launch


def epoch(store, number):
    """Do in a worker's place what it does in an epoch."""

    def commit():
        with store.run("some-run").owned() as folder:
            folder.commit_event("epoch", epoch=number, files={})

    return commit


def kinds(events):
    return [event.kind for event in events]


def test_losses_in_a_row_are_counted_and_a_run_fails_at_last(store, launched):
    tasks, events = launched([[DIED]] * (MOST_LOSSES + 1))
    assert kinds(events) == ["lost"] * MOST_LOSSES + ["ended"]
    assert tasks.begun == ["some-run"] * (MOST_LOSSES + 1)
    assert (events[-1].outcome, events[-1].exit_code) == ("failed", 1)
    assert "lost 4 times without finishing an epoch" in events[-1].reason
    assert store.run("some-run").failure() == events[-1].reason


def test_an_epoch_between_starts_the_count_anew(store, launched):
    moments = [[DIED]] * MOST_LOSSES + [[epoch(store, 1)]] + [[DIED]] * MOST_LOSSES
    _, events = launched([*moments, [Ended("some-run", RunEnd(0, "n1"))]])
    told = ["lost"] * MOST_LOSSES
    assert kinds(events) == [*told, "started", "epoch", *told, "ended"]


@pytest.mark.parametrize(
    ("code", "reason", "at_last"),
    [(-9, "its process was killed by signal 9 on node n1", 1), (6, "another", 6)],
)
def test_a_killed_process_and_a_held_lock_are_losses(launched, code, reason, at_last):
    _, events = launched([[Ended("some-run", RunEnd(code, "n1"))]] * 4)
    assert events[0].kind == "lost"
    assert events[0].reason.startswith(reason)
    assert events[-1].exit_code == at_last


def test_a_failure_is_none_and_names_the_node(store, launched):
    folder = RunFolder(store.path / "runs" / "some-run")
    folder.path.mkdir(parents=True)
    end = Ended("some-run", RunEnd(3, "n1"))
    tasks, events = launched([[lambda: folder.note_failure("no data"), end]])
    assert tasks.begun == ["some-run"]
    assert (events[-1].exit_code, events[-1].reason) == (3, "no data (on node n1)")


def test_a_node_with_a_problem_ends_the_launch(launched):
    end = Ended("some-run", RunEnd(4, "n1", "node n1 does not see the store"))
    with pytest.raises(ResourceError, match=r"^Ray: node n1 does not see the store"):
        launched([[end]])


def test_what_does_not_stop_in_time_is_left_to_itself(launched, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(
        ray_runs, "time", SimpleNamespace(monotonic=lambda: float(next(clock)))
    )
    asked = iter([False, False, False, *[True] * 99])
    tasks, events = launched(
        [[]] * 99, stop=lambda: next(asked), runs=("some-run", "other")
    )
    assert tasks.was_asked
    assert tasks.begun == ["some-run"], "the other was not begun"
    assert [(e.outcome, e.exit_code) for e in events] == [("interrupted", 75)]


@pytest.mark.parametrize("end", [DIED, Ended("some-run", RunEnd(-9, "n1"))])
def test_a_loss_while_stopping_is_an_interruption(launched, end):
    asked = iter([False, False, True, True, True, True])
    tasks, events = launched([[], [end]], stop=lambda: next(asked))
    assert [e.outcome for e in events] == ["interrupted"]
    assert tasks.begun == ["some-run"]


def test_a_gpu_is_asked_for_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(ray_tasks, "num_gpus", lambda: 0.0)
    assert RayRuns().device("auto").type == "cpu"
    with pytest.raises(ParameterError, match="no node of the Ray cluster has a GPU"):
        RayRuns().device("cuda")
    monkeypatch.setattr(ray_tasks, "num_gpus", lambda: 2.0)
    assert RayRuns().device("auto").type == "cuda"
    assert RayRuns().device("cpu").type == "cpu"


@pytest.mark.parametrize(
    ("node", "task", "room"),
    [
        ((8, 0), (1, 0), 8),
        ((8, 2), (1, 1), 2),
        ((8, 2), (1, 0.25), 8),
        ((4, 2), (1, 0.25), 4),
        ((8, 2), (1, 0.4), 4),
        ((8, 4), (2, 2), 2),
        ((3, 0), (2, 0), 1),
    ],
)
def test_room_is_counted_for_each_node_alone(node, task, room):
    assert ray_tasks._room({"CPU": node[0], "GPU": node[1]}, *task) == room


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus_per_run": 0.5}, "--gpus-per-run needs --on ray"),
        ({"on": "ray", "gpus_per_run": 0}, "above 0 and at most 1, got 0"),
        ({"on": "ray", "gpus_per_run": 2}, "above 0 and at most 1, got 2"),
        ({"ray_address": "here:1"}, "--ray-address needs --on ray"),
        ({"on": "rays"}, r"unknown engine 'rays'\. Did you mean 'ray'"),
    ],
)
def test_placements_that_cannot_be(options, message):
    with pytest.raises(ParameterError, match=message):
        Placement(**options)
