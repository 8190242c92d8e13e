from hashlib import sha256

import numpy as np
import pytest

from calibench.errors import ParameterError
from calibench.lab.data.dataset import Dataset, Examples
from calibench.lab.data.splits import SplitSizes, split_examples


def numbered(num_train, num_test):
    """Images whose every pixel is the low byte of their index."""

    def examples(size):
        index = np.arange(size)
        images = np.broadcast_to(
            index.astype(np.uint8)[:, None, None, None], (size, 1, 2, 2)
        )
        return Examples(images.copy(), index % 2)

    return Dataset(
        name="numbered",
        class_names=("even", "odd"),
        train=examples(num_train),
        test=examples(num_test),
    )


def indices_of(splits):
    return [s.indices for s in (splits.train, splits.selection, splits.calibration)]


def test_the_splits_are_disjoint_and_use_everything():
    sizes = SplitSizes(selection=20, calibration=30)
    splits = split_examples(numbered(100, 7), sizes, seed=1)
    assert [len(each) for each in indices_of(splits)] == [50, 20, 30]
    together = np.concatenate(indices_of(splits))
    assert np.array_equal(np.sort(together), np.arange(100))


def test_examples_stand_at_their_indices():
    splits = split_examples(
        numbered(100, 7), SplitSizes(selection=20, calibration=30), seed=1
    )
    for split in (splits.train, splits.selection, splits.calibration, splits.test):
        assert np.array_equal(split.examples.images[:, 0, 0, 0], split.indices)
        assert np.array_equal(split.examples.labels, split.indices % 2)


def test_each_split_knows_its_name():
    splits = split_examples(
        numbered(9, 2), SplitSizes(selection=1, calibration=1), seed=0
    )
    for name in ("train", "selection", "calibration", "test"):
        assert getattr(splits, name).name == name


def test_test_is_the_first_of_the_test_examples_whatever_the_seed():
    sizes = SplitSizes(train=1, selection=1, calibration=1, test=4)
    for seed in (0, 1):
        splits = split_examples(numbered(9, 7), sizes, seed)
        assert splits.test.indices.tolist() == [0, 1, 2, 3]


def test_what_is_held_out_does_not_depend_on_the_train_size():
    data = numbered(100, 1)
    few, many = (
        split_examples(data, SplitSizes(train=n, selection=5, calibration=5), seed=3)
        for n in (10, 80)
    )
    assert np.array_equal(few.selection.indices, many.selection.indices)
    assert np.array_equal(few.calibration.indices, many.calibration.indices)
    assert np.array_equal(few.train.indices, many.train.indices[:10])


def test_the_division_of_a_seed_never_changes():
    sizes = SplitSizes(train=4000, selection=500, calibration=500)
    splits = split_examples(numbered(5000, 1), sizes, seed=0)
    order = np.concatenate(indices_of(splits)).astype("<i8")
    assert sha256(order.tobytes()).hexdigest() == GOLDEN_ORDER


def test_another_seed_is_another_division():
    sizes = SplitSizes(selection=20, calibration=20)
    one, other = (split_examples(numbered(100, 1), sizes, seed) for seed in (0, 1))
    assert not np.array_equal(one.selection.indices, other.selection.indices)


def test_too_many_examples_are_refused_with_the_numbers():
    sizes = SplitSizes(train=81, selection=10, calibration=10)
    with pytest.raises(ParameterError, match=r"10 selection, 10 calibration and 81"):
        split_examples(numbered(100, 5), sizes, seed=0)


def test_nothing_left_to_train_on_is_refused():
    sizes = SplitSizes(selection=50, calibration=50)
    with pytest.raises(ParameterError, match=r"at least 1 train .* 100 train examples"):
        split_examples(numbered(100, 5), sizes, seed=0)


def test_all_examples_may_be_used_to_the_last():
    sizes = SplitSizes(train=80, selection=10, calibration=10, test=5)
    splits = split_examples(numbered(100, 5), sizes, seed=0)
    assert splits.train.examples.size == 80


def test_more_test_examples_than_there_are_is_refused():
    sizes = SplitSizes(selection=1, calibration=1, test=6)
    with pytest.raises(ParameterError, match=r"6 test examples .* 5"):
        split_examples(numbered(100, 5), sizes, seed=0)


@pytest.mark.parametrize("name", ["train", "selection", "calibration", "test"])
def test_a_size_below_one_is_refused(name):
    sizes = {"train": 5, "selection": 1, "calibration": 1, "test": 1, name: 0}
    with pytest.raises(ParameterError, match=name):
        SplitSizes(**sizes)


def test_a_negative_seed_is_refused():
    with pytest.raises(ParameterError, match="seed"):
        split_examples(numbered(9, 1), SplitSizes(selection=1, calibration=1), seed=-1)


GOLDEN_ORDER = "7d2a294189fe78869353ca0d1d7a3f7c24be3369e91a6ce10220f22213106f0a"
