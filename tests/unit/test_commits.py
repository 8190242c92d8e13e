"""Commits beside training: in order, one at a time, and no failure lost."""

import threading
import time

import pytest

from calibench.errors import InterruptedRunError, ResourceError
from calibench.lab.study.commits import Commits, ordered_commits

HERE = threading.get_ident()


def full_disk():
    message = "the disk is full."
    raise ResourceError(message)


@pytest.mark.parametrize("overlap", [False, True])
def test_they_are_carried_out_in_order_and_all_of_them(overlap):
    done = []
    with ordered_commits(overlap=overlap) as commits:
        for epoch in range(20):
            commits.submit(lambda epoch=epoch: done.append(epoch))
    assert done == list(range(20))


@pytest.mark.parametrize("overlap", [False, True])
def test_only_with_overlap_does_the_caller_go_on(overlap):
    threads, may_end = [], threading.Event()

    def commit():
        threads.append(threading.get_ident())
        if overlap:
            assert may_end.wait(10), "the caller waits for it"

    with ordered_commits(overlap=overlap) as commits:
        commits.submit(commit)
        may_end.set()
    assert (threads == [HERE]) is not overlap


def test_at_most_one_is_in_flight():
    running, most = [], []

    def commit():
        running.append(1)
        most.append(len(running))
        running.pop()

    with ordered_commits(overlap=True) as commits:
        for _ in range(50):
            commits.submit(commit)
    assert set(most) == {1}
    assert len(most) == 50


def test_a_failure_is_raised_by_the_next_call_which_begins_nothing():
    done = []
    with ordered_commits(overlap=True) as commits:
        commits.submit(full_disk)
        with pytest.raises(ResourceError, match="full"):
            commits.submit(lambda: done.append(1))
    assert done == []


def stopped():
    message = "stopped"
    raise InterruptedRunError(message)


def test_a_failure_is_raised_at_the_end():
    commits = Commits(overlap=True)
    commits.submit(full_disk)
    with pytest.raises(ResourceError, match="full"):
        commits.close()
    commits.close()


def stopped_when_a_commit_fails():
    with ordered_commits(overlap=True) as commits:
        assert not commits.have_failed
        commits.submit(full_disk)
        while not commits.have_failed:
            time.sleep(0.001)
        stopped()


def test_training_learns_that_it_need_not_go_on_and_the_first_cause_is_raised():
    with pytest.raises(ResourceError) as caught:
        stopped_when_a_commit_fails()
    assert isinstance(caught.value.__context__, InterruptedRunError)


def test_a_caller_that_fails_waits_for_the_commit_in_flight():
    done, may_end = [], threading.Event()

    def commit():
        assert may_end.wait(10)
        done.append(1)

    def failing():
        with ordered_commits(overlap=True) as commits:
            commits.submit(commit)
            threading.Timer(0.05, may_end.set).start()
            stopped()

    with pytest.raises(InterruptedRunError):
        failing()
    assert done == [1]
