"""The paper plan obeys the laws of scheduling, and its hand calculations."""

import importlib.util
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

PATH = Path(__file__).parents[2] / "benchmarks" / "scale_simulation.py"
SPEC = importlib.util.spec_from_file_location("scale_simulation", PATH)
simulation = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(simulation)
Cluster, Run, simulated = simulation.Cluster, simulation.Run, simulation.simulated

studies = st.lists(
    st.builds(Run, st.integers(1, 50), st.floats(0.1, 100)), min_size=1, max_size=30
)
devices = st.integers(1, 40)


@given(studies, devices)
def test_without_overhead_it_keeps_the_bounds_of_list_scheduling(runs, number):
    course = simulated(runs, Cluster(devices=number))
    longest = max(run.work for run in runs)
    assert course.makespan >= max(course.ideal, longest) * (1 - 1e-9)
    assert course.makespan <= (course.ideal + longest) * (1 + 1e-9)
    assert math.isclose(course.busy, course.ideal * number)
    assert course.failures == 0


@given(studies, devices)
def test_another_device_never_makes_it_longer(runs, number):
    fewer = simulated(runs, Cluster(devices=number, start=3.0))
    more = simulated(runs, Cluster(devices=number + 1, start=3.0))
    assert more.makespan <= fewer.makespan * (1 + 1e-9)


@given(studies, st.floats(0, 20), st.floats(0, 2), st.floats(0, 1))
def test_on_one_device_every_second_counts_once(runs, start, commit, dispatch):
    cluster = Cluster(devices=1, start=start, commit=commit, dispatch=dispatch)
    expected = sum(run.work + run.epochs * commit + start + dispatch for run in runs)
    assert math.isclose(simulated(runs, cluster).makespan, expected)


@pytest.mark.parametrize(("runs", "rounds"), [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_equal_runs_go_in_rounds(runs, rounds):
    course = simulated([Run(10, 6.0)] * runs, Cluster(devices=4, start=5.0, commit=0.5))
    # 10 epochs of 6.5 s and a start of 5 s are 70 s.
    assert math.isclose(course.makespan, rounds * 70.0)


def test_one_scheduler_starts_one_run_after_the_other():
    cluster = Cluster(devices=100, dispatch=2.0)
    # The hundredth starts after 200 s, and trains for 10 s.
    assert math.isclose(simulated([Run(1, 10.0)] * 100, cluster).makespan, 210.0)


@given(studies, devices, st.floats(200, 5000), st.integers(0, 9))
def test_a_failure_costs_at_most_a_start_and_an_epoch(runs, number, life, seed):
    cluster = Cluster(devices=number, start=2.0, commit=0.5, mean_life=life, wait=9.0)
    course = simulated(runs, cluster, seed=seed)
    quiet = simulated(runs, replace(cluster, mean_life=math.inf))
    slowest = max(run.seconds for run in runs) + 0.5
    assert course.busy >= quiet.busy * (1 - 1e-9)
    assert course.busy <= (quiet.busy + course.failures * (2.0 + slowest)) * (1 + 1e-9)
    assert course == simulated(runs, cluster, seed=seed), "the seed decides"


def test_devices_fail_at_the_rate_that_is_stated():
    cluster = Cluster(devices=50, mean_life=1000.0)
    course = simulated([Run(100, 1.0)] * 3000, cluster)
    expected = course.busy / 1000.0
    # A Poisson number: six standard deviations.
    assert abs(course.failures - expected) < 6 * math.sqrt(expected)


def test_what_was_committed_is_not_done_again():
    rng = random.Random(1)  # noqa: S311 - a simulation, no secret
    cluster = Cluster(devices=1, start=3.0, commit=1.0, mean_life=50.0)
    for _ in range(200):
        done, took = simulation.attempt(Run(20, 4.0), cluster, rng)
        # Whole epochs of 5 s after a start of 3 s.
        assert done == min(20, max(int((took - 3.0) // 5.0 + 1e-9), 0))


def test_the_longest_run_begins_first():
    runs = [Run(1, 1.0), Run(1, 1.0), Run(1, 2.0)]
    # 2 | 1 + 1: two seconds. The other way round: three.
    assert math.isclose(simulated(runs, Cluster(devices=2)).makespan, 2.0)
