import math

import numpy as np
import pytest

from calibench.errors import ParameterError
from calibench.lab.data.grating_images import draw_nuisances
from calibench.lab.data.gratings import (
    draw_orientation,
    grating_facts,
    grating_posterior,
    gratings,
)


def posterior_by_hand(orientation, num_classes, difficulty):
    """The definition, one orientation and one class at a time."""
    concentration = 1 / (difficulty * (1 - math.cos(2 * math.pi / num_classes)))
    weights = []
    for k in range(num_classes):
        center = math.pi * k / num_classes
        weights.append(math.exp(concentration * math.cos(2 * (orientation - center))))
    return [weight / sum(weights) for weight in weights]


def test_the_posterior_is_its_definition():
    orientation = np.array([0.0, 0.1, 1.0, 2.9, np.pi])
    actual = grating_posterior(orientation, num_classes=5, difficulty=0.3)
    expected = [posterior_by_hand(o, 5, 0.3) for o in orientation]
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_log_odds_are_one_over_difficulty_at_a_center_and_zero_halfway():
    halfway = np.pi / 20
    posterior = grating_posterior(
        np.array([0.0, halfway]), num_classes=10, difficulty=0.25
    )
    assert math.log(posterior[0, 0] / posterior[0, 1]) == pytest.approx(4.0)
    assert posterior[1, 0] == pytest.approx(posterior[1, 1], rel=1e-12)


def test_orientations_half_a_turn_apart_are_one():
    orientation = np.linspace(0, np.pi, 7)
    one = grating_posterior(orientation, num_classes=3, difficulty=0.2)
    other = grating_posterior(orientation + np.pi, num_classes=3, difficulty=0.2)
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_tiny_difficulty_overflows_nothing():
    orientation = np.linspace(0, np.pi, 50)
    posterior = grating_posterior(orientation, num_classes=100, difficulty=1e-300)
    assert set(np.unique(posterior)) <= {0.0, 0.5, 1.0}
    facts = grating_facts(num_classes=100, difficulty=1e-300)
    assert facts == {"bayes_accuracy": 1.0, "best_nll": 0.0}


def test_the_default_bayes_accuracy_is_91_percent():
    facts = gratings(num_train=1, num_test=1).facts
    assert facts["bayes_accuracy"] == pytest.approx(0.911, abs=5e-4)


@pytest.mark.parametrize(("num_classes", "difficulty"), [(2, 0.5), (7, 0.13), (10, 3)])
def test_the_facts_are_the_averages_over_orientations(num_classes, difficulty):
    facts = grating_facts(num_classes=num_classes, difficulty=difficulty)
    orientation = draw_orientation("train", 200_000, seed=5)
    posterior = grating_posterior(
        orientation, num_classes=num_classes, difficulty=difficulty
    )
    largest = posterior.max(axis=1)
    entropy = -(posterior * np.log(posterior)).sum(axis=1)
    for fact, values in (("bayes_accuracy", largest), ("best_nll", entropy)):
        error = values.std() / math.sqrt(len(values))
        assert abs(facts[fact] - values.mean()) < 4 * error


def test_the_bayes_accuracy_falls_and_the_best_nll_rises_with_difficulty():
    dial = [0.01, 0.05, 0.13, 0.5, 2.0, 50.0]
    facts = [grating_facts(num_classes=10, difficulty=d) for d in dial]
    accuracy = [fact["bayes_accuracy"] for fact in facts]
    nll = [fact["best_nll"] for fact in facts]
    assert accuracy == sorted(accuracy, reverse=True)
    assert nll == sorted(nll)
    # As difficulty grows all classes become equally likely.
    assert accuracy[-1] > 0.1
    assert nll[-1] < math.log(10)


def test_labels_are_drawn_from_the_posterior():
    examples = gratings(num_train=20_000, num_test=1, num_classes=4).train
    one_hot = np.eye(4)[examples.labels]
    # Within each tenth of the predicted probability, observed equals expected.
    for k in range(4):
        probability = examples.posterior[:, k]
        tenth = np.digitize(probability, np.linspace(0, 1, 11)[1:-1])
        for part in range(10):
            rows = tenth == part
            expected = probability[rows].sum()
            variance = (probability[rows] * (1 - probability[rows])).sum()
            observed = one_hot[rows, k].sum()
            assert abs(observed - expected) <= 4.5 * math.sqrt(variance) + 1e-9


def test_the_nll_of_the_posterior_itself_is_the_best_nll():
    data = gratings(num_train=50_000, num_test=1)
    own = data.train.posterior[np.arange(50_000), data.train.labels]
    nll = -np.log(own)
    error = nll.std() / math.sqrt(len(nll))
    assert abs(nll.mean() - data.facts["best_nll"]) < 4 * error


def test_the_seed_decides_everything():
    one, same = (gratings(num_train=30, num_test=20, seed=3) for _ in range(2))
    other = gratings(num_train=30, num_test=20, seed=4)
    assert one.digest == same.digest != other.digest
    assert not np.array_equal(one.train.images[:20], one.test.images)


def test_the_pixels_of_today_are_those_of_tomorrow():
    digest = gratings(num_train=600, num_test=40, image_size=17, seed=9).digest
    assert digest == GOLDEN_DIGEST


def test_a_smaller_set_is_the_beginning_of_a_larger_one():
    # 700 is more than one rendered chunk; odd sizes leave bytes of a word over.
    small = gratings(num_train=515, num_test=10, image_size=9)
    large = gratings(num_train=700, num_test=33, image_size=9)
    assert np.array_equal(small.train.images, large.train.images[:515])
    assert np.array_equal(small.train.labels, large.train.labels[:515])
    assert np.array_equal(small.train.posterior, large.train.posterior[:515])
    assert np.array_equal(small.test.images, large.test.images[:10])


@pytest.mark.parametrize(("image_size", "most"), [(8, 2.0), (9, 2.25), (32, 4.0)])
def test_no_wave_is_shorter_than_four_pixels(image_size, most):
    waves = draw_nuisances("train", 500, image_size, seed=0).waves
    assert waves.min() >= 2
    assert 0.99 * most < waves.max() <= most


def test_difficulty_changes_labels_but_no_pixel():
    easy = gratings(num_train=100, num_test=1, difficulty=0.01)
    hard = gratings(num_train=100, num_test=1, difficulty=1.0)
    assert np.array_equal(easy.train.images, hard.train.images)
    assert (easy.train.labels != hard.train.labels).any()


def test_a_mirrored_grating_is_another_orientation():
    assert not gratings(num_train=1, num_test=1).flip_preserves_label


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_train", 0),
        ("num_test", -1),
        ("image_size", 7),
        ("num_classes", 1),
        ("difficulty", 0.0),
        ("difficulty", math.nan),
        ("difficulty", math.inf),
        ("seed", -1),
    ],
)
def test_a_parameter_out_of_range_is_named(name, value):
    parameters = {"num_train": 2, "num_test": 2, name: value}
    with pytest.raises(ParameterError, match=name):
        gratings(**parameters)


GOLDEN_DIGEST = "5a7bc10764377bb4e6f907b396d739e254e7445e2bd50c395fb7da376b3e6f33"
