import pytest

from calibench.lab.study.deciding import Size, deciding_sizes
from calibench.metrics.over_seeds import SeedEstimate


def resized(estimate, size):
    """The same estimate of a study of that size, its spread as it was."""
    examples = size.num_examples or estimate.num_examples
    shrunk = (estimate.num_examples / examples) ** 0.5
    seeds = size.num_seeds or estimate.num_seeds
    # So many seeds with the deviation that these have.
    half = estimate.deviation * ((seeds - 1) / seeds) ** 0.5
    signs = [(-1) ** k for k in range(seeds)]
    assert seeds % 2 == 0 or seeds == 1
    return SeedEstimate(
        by_seed=tuple(estimate.value + half * sign for sign in signs),
        error=estimate.error * shrunk,
        num_examples=examples,
        down=estimate.down * shrunk,
        up=estimate.up * shrunk,
    )


def test_one_seed_by_hand():
    # 1.96 standard errors, each 10 / sqrt(n), are to be below 1.
    found = SeedEstimate(by_seed=(1.0,), error=1.0, num_examples=100)
    (size,) = deciding_sizes(found, 0.0, 0.95)
    assert size == Size(num_examples=385)  # 100 * 1.959964^2 = 384.1


def test_bias_shrinks_with_chance():
    found = SeedEstimate(by_seed=(1.0,), error=1.0, num_examples=100, down=1.0, up=9.0)
    (size,) = deciding_sizes(found, 0.0, 0.95)
    assert size == Size(num_examples=877)  # 100 * 2.959964^2 = 876.1


@pytest.mark.parametrize("bound", [0.0, 2.0])
def test_a_study_of_that_size_decides_and_a_smaller_one_does_not(bound):
    found = SeedEstimate(by_seed=(1.0,), error=0.9, num_examples=50, down=0.1, up=0.2)
    (size,) = deciding_sizes(found, bound, 0.99)
    assert resized(found, size).p_value(bound) <= 0.01
    smaller = Size(num_examples=size.num_examples - 1)
    assert resized(found, smaller).p_value(bound) > 0.01


def test_where_seeds_differ_too_much_only_seeds_help():
    found = SeedEstimate(by_seed=(0.5, 1.5), error=0.01, num_examples=50)
    (size,) = deciding_sizes(found, 0.0, 0.95)
    # t of 4 freedoms, 2.78, times 0.707 / sqrt(5) is 0.88; t of 3 gives 1.13.
    assert size == Size(num_seeds=5)


def test_where_either_would_do_both_are_said():
    found = SeedEstimate(by_seed=(0.95, 1.05), error=0.5, num_examples=50)
    sizes = deciding_sizes(found, 0.0, 0.95)
    assert [size.num_seeds is None for size in sizes] == [True, False]
    assert resized(found, sizes[0]).p_value(0.0) <= 0.05


def test_where_neither_alone_would_do_both_grow():
    found = SeedEstimate(by_seed=(0.5, 1.5), error=1.0, num_examples=50)
    (size,) = deciding_sizes(found, 0.0, 0.95)
    assert size.num_examples > 50
    assert size.num_seeds > 2


@pytest.mark.parametrize("by_seed", [(0.0,), (-1.0, 1.0)])
def test_an_estimate_at_the_bound_is_never_decided(by_seed):
    found = SeedEstimate(by_seed=by_seed, error=1.0, num_examples=50)
    assert deciding_sizes(found, 0.0, 0.95) == ()
