import math

import pytest

from calibench.errors import ParameterError
from calibench.lab.training.schedule import Cosine, MultiStep, OneCycle


def multipliers(schedule, *progress):
    return [schedule.multiplier(share) for share in progress]


def test_multi_step_falls_as_each_milestone_is_reached():
    schedule = MultiStep(milestones=(0.5, 0.75), factor=0.1)
    assert multipliers(schedule, 0, 0.4999) == [1, 1]
    assert multipliers(schedule, 0.5, 0.7499) == [0.1, 0.1]
    assert multipliers(schedule, 0.75, 0.999) == [pytest.approx(0.01)] * 2


@pytest.mark.parametrize("epochs", [3, 7, 160, 200, 350])
def test_milestones_written_as_decimals_do_not_miss_their_epoch(epochs):
    for epoch in range(1, epochs):
        # 1/3 as a user writes it is a little less or more than an epoch's start.
        schedule = MultiStep(milestones=(round(epoch / epochs, 12),), factor=0.1)
        before, at = multipliers(schedule, (epoch - 0.01) / epochs, epoch / epochs)
        assert (before, at) == (1, 0.1), epoch


def test_multi_step_without_milestones_is_constant():
    assert multipliers(MultiStep(milestones=()), 0, 0.5, 0.99) == [1, 1, 1]


def test_cosine_is_half_a_cosine():
    # (1 + cos 0) / 2, (1 + cos 60 degrees) / 2, ... 90 ..., 120
    assert multipliers(Cosine(), 0, 1 / 3, 0.5, 2 / 3) == [
        1,
        pytest.approx(0.75),
        pytest.approx(0.5),
        pytest.approx(0.25),
    ]
    assert Cosine().multiplier(1 - 1e-9) == pytest.approx(0, abs=1e-12)


def test_cosine_warms_up_on_a_line_and_ends_at_its_final_share():
    schedule = Cosine(warmup=0.2, final=0.1)
    assert multipliers(schedule, 0, 0.05, 0.1, 0.2) == [0, 0.25, 0.5, 1]
    # Halfway from .2 to 1 the cosine part is 1/2: .1 + .9 / 2.
    assert schedule.multiplier(0.6) == pytest.approx(0.55)
    assert schedule.multiplier(1 - 1e-9) == pytest.approx(0.1)


def test_one_cycle_is_two_lines():
    schedule = OneCycle(peak=0.25)
    assert multipliers(schedule, 0, 0.125, 0.25) == [0, 0.5, 1]
    assert multipliers(schedule, 0.5, 0.625) == [pytest.approx(2 / 3), 0.5]
    assert schedule.multiplier(0.999) == pytest.approx(0.001 / 0.75)


@pytest.mark.parametrize(
    "schedule",
    [MultiStep(), Cosine(), Cosine(warmup=0.1, final=0.01), OneCycle(peak=0.3)],
)
def test_no_schedule_exceeds_the_learning_rate_or_jumps_up(schedule):
    values = multipliers(schedule, *(step / 1000 for step in range(1000)))
    assert all(0 <= value <= 1 for value in values)
    top = values.index(max(values))
    assert values[top:] == sorted(values[top:], reverse=True)
    assert values[: top + 1] == sorted(values[: top + 1])


NAN = math.nan


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: MultiStep(milestones=(0.75, 0.5)), r"rising shares .* \[0.75, 0.5\]"),
        (lambda: MultiStep(milestones=(0.5, 0.5)), "rising shares"),
        (lambda: MultiStep(milestones=(100.0, 150.0)), "Epoch 100 of 200 is 0.5"),
        (lambda: MultiStep(milestones=(0.0,)), "between 0 and 1"),
        (lambda: MultiStep(milestones=(1.0,)), "between 0 and 1"),
        (lambda: MultiStep(milestones=(NAN,)), "between 0 and 1"),
        (lambda: MultiStep(factor=0.0), r"factor must be in \(0, inf\).*got 0.0"),
        (lambda: MultiStep(factor=NAN), r"factor must be in \(0, inf\)"),
        (lambda: MultiStep(factor=math.inf), r"factor must be in \(0, inf\)"),
        (lambda: Cosine(warmup=1.0), r"warmup must be in \[0, 1\), got 1.0"),
        (lambda: Cosine(warmup=-0.1), "warmup must be in"),
        (lambda: Cosine(warmup=NAN), "warmup must be in"),
        (lambda: Cosine(final=1.0), r"final must be in \[0, 1\)"),
        (lambda: OneCycle(peak=0.0), r"peak must be in \(0, inf\)"),
        (lambda: OneCycle(peak=1.0), r"peak must be in \[0, 1\)"),
        (lambda: OneCycle(peak=NAN), "peak must be in"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ParameterError, match=message):
        wrong()
