"""Shares of a study: every run in exactly one, about equal, whoever asks and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibench.errors import ParameterError
from calibench.lab.study.plan import PlannedRun
from calibench.lab.study.shard import Shard

costs = st.lists(
    st.one_of(st.none(), st.just(0.0), st.floats(1e6, 1e18)), min_size=1, max_size=40
)
counts = st.integers(1, 50)


def runs_of(costs):
    return [
        PlannedRun(
            run_id=f"run-{place}", model="m", loss="l", seed=0, multiply_adds=cost
        )
        for place, cost in enumerate(costs)
    ]


def shares_of(runs, count):
    return [Shard(index, count).run_ids(runs) for index in range(1, count + 1)]


@given(costs, counts)
def test_every_run_is_in_exactly_one_share(costs, count):
    runs = runs_of(costs)
    found = [run_id for share in shares_of(runs, count) for run_id in share]
    assert sorted(found) == sorted(run.run_id for run in runs)


@given(costs, counts, st.randoms(use_true_random=False))
def test_the_order_of_the_study_does_not_count(costs, count, random):
    runs = runs_of(costs)
    shuffled = random.sample(runs, len(runs))
    assert shares_of(runs, count) == shares_of(shuffled, count)


@given(st.lists(st.floats(1e6, 1e18), min_size=1, max_size=40), counts)
def test_no_share_has_more_than_the_mean_and_one_run(costs, count):
    runs = runs_of(costs)
    cost = {run.run_id: run.multiply_adds for run in runs}
    fullest = max(sum(cost[r] for r in share) for share in shares_of(runs, count))
    assert fullest <= (sum(costs) / count + max(costs)) * (1 + 1e-9)


@given(st.integers(1, 40), counts)
def test_equal_runs_are_dealt_out_evenly(number, count):
    for cost in (None, 0.0, 5e12):
        sizes = [len(share) for share in shares_of(runs_of([cost] * number), count)]
        assert max(sizes) - min(sizes) <= 1


def test_the_costliest_come_first_and_the_rest_fill_up():
    # 9 -> 1; 7 -> 2; 5 -> 2 (7 < 9); 4 -> 1 (9 < 12); 3 -> 2 (12 < 13).
    shares = shares_of(runs_of([3.0, 4.0, 5.0, 7.0, 9.0]), 2)
    assert shares == [{"run-4", "run-1"}, {"run-3", "run-2", "run-0"}]


def test_what_cannot_be_counted_is_taken_for_the_dearest():
    # 8 -> 1 and None -> 2 (both 8), then 1 -> 1 and 1 -> 2.
    shares = shares_of(runs_of([8.0, 1.0, None, 1.0]), 2)
    assert shares == [{"run-0", "run-1"}, {"run-2", "run-3"}]


def test_shares_are_written_as_index_and_number():
    assert Shard.parsed("3/8") == Shard(3, 8)
    assert Shard.parsed("1/1") == Shard()


@pytest.mark.parametrize("text", ["", "3", "3/", "/8", "a/8", "-1/8", "1.5/8", " 1/8"])
def test_what_is_no_share_is_refused_with_the_form(text):
    with pytest.raises(ParameterError, match="I/N, such as 3/8"):
        Shard.parsed(text)


@pytest.mark.parametrize("text", ["0/8", "9/8", "0/0", "1/0"])
def test_a_share_out_of_range_says_how_to_number_the_array(text):
    with pytest.raises(ParameterError, match="array=1-N"):
        Shard.parsed(text)
