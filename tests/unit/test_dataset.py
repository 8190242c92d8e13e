from dataclasses import replace

import numpy as np
import pytest

from calibench.errors import DataError
from calibench.lab.data.dataset import Dataset, Examples


def examples(labels=(0, 1, 1), side=4, posterior=None):
    images = np.arange(len(labels) * 3 * side * side, dtype=np.uint8)
    return Examples(
        images.reshape(len(labels), 3, side, side),
        np.array(labels, dtype=np.int64),
        posterior,
    )


def dataset(**changes):
    fields = {
        "name": "some",
        "class_names": ("no", "yes"),
        "train": examples(),
        "test": examples((1, 0)),
    }
    return Dataset(**{**fields, **changes})


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (np.zeros((2, 3, 4, 4)), [0, 0], "float64"),
        (np.zeros((2, 4, 4), np.uint8), [0, 0], r"\(2, 4, 4\)"),
        (np.zeros((2, 3, 4, 4), np.uint8), [0], "each of the 2 images"),
        (np.zeros((2, 3, 4, 4), np.uint8), [0.0, 1.0], "labels: float64"),
        (np.zeros((2, 3, 4, 4), np.uint8), [0, -1], "row 1 is -1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(images, labels, reason):
    with pytest.raises(DataError, match=reason):
        Examples.of_unknown_form(images, np.array(labels), None)


@pytest.mark.parametrize(
    "posterior", [np.ones((1, 2)) / 2, np.ones(2), np.ones((2, 1), np.float32)]
)
def test_a_posterior_of_another_form_is_refused(posterior):
    some = examples((0, 1))
    with pytest.raises(DataError, match="a row for each of the 2 images"):
        Examples.of_unknown_form(some.images, some.labels, posterior)


@pytest.mark.parametrize(
    ("posterior", "reason"),
    [
        ([[0.5, 0.5], [0.5, 0.6], [1.0, 0.1]], r"row 1 is .*\(2 such rows\)"),
        ([[0.5, 0.5], [1.0, 0.0], [-0.5, 1.5]], "row 2"),
        ([[1.0, 0.0], [0.5, 0.5 + 1e-8], [1.0, 0.0]], "row 1"),
        ([[np.nan, 1.0], [1.0, 0.0], [1.0, 0.0]], "row 0"),
    ],
)
def test_a_posterior_that_is_none_is_refused(posterior, reason):
    with pytest.raises(DataError, match=reason):
        examples(posterior=np.array(posterior))


def test_no_images_are_no_examples():
    with pytest.raises(DataError, match="empty"):
        examples(())


def test_chosen_examples_keep_their_parts_together():
    posterior = np.array([[1.0, 0.0], [0.0, 1.0], [0.25, 0.75]])
    all_three = examples(posterior=posterior)
    chosen = all_three.at(np.array([2, 0]))
    assert chosen.labels.tolist() == [1, 0]
    assert chosen.posterior.tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert np.array_equal(chosen.images[1], all_three.images[0])
    assert chosen.size == 2


def test_a_label_without_a_class_is_refused():
    with pytest.raises(
        DataError, match=r"test row 1 has label 2, outside 0\.\.1 \(2 such rows\)"
    ):
        dataset(test=examples((0, 2, 5)))


def test_one_class_is_not_enough():
    with pytest.raises(DataError, match="at least 2"):
        dataset(class_names=("only",), train=examples((0,)), test=examples((0,)))


def test_train_and_test_have_one_form():
    with pytest.raises(DataError, match=r"\(3, 5, 5\)"):
        dataset(test=examples((0, 1), side=5))


def test_a_posterior_belongs_to_both_or_neither():
    known = examples((0, 1), posterior=np.eye(2))
    with pytest.raises(DataError, match="only one of train and test"):
        dataset(test=known)


def test_a_posterior_is_over_the_classes():
    with pytest.raises(DataError, match="3 classes; the data set has 2"):
        dataset(
            train=examples((0, 1), posterior=np.eye(3)[:2]),
            test=examples((0, 1), posterior=np.eye(2)),
        )


def test_the_digest_is_of_the_content_alone():
    one = dataset()
    assert one.digest == dataset(name="other", class_names=("a", "b")).digest
    assert one.digest != dataset(test=examples((0, 0))).digest
    assert one.digest != dataset(train=one.test, test=one.train).digest
    pixel = one.train.images.copy()
    pixel[2, 2, 3, 3] ^= 1
    assert one.digest != dataset(train=replace(one.train, images=pixel)).digest


def test_the_digest_sees_the_posterior_but_not_its_last_bit():
    def with_posterior(shift):
        posterior = np.array([[0.3 + shift, 0.7 - shift], [1.0, 0.0]])
        some = examples((0, 1), posterior=posterior)
        return dataset(train=some, test=examples((0, 1), posterior=np.eye(2)))

    assert with_posterior(0).digest == with_posterior(1e-16).digest
    assert with_posterior(0).digest != with_posterior(1e-5).digest


def test_the_memory_order_of_the_images_does_not_count():
    one = dataset()
    turned = np.asfortranarray(one.train.images)
    assert one.digest == dataset(train=replace(one.train, images=turned)).digest
