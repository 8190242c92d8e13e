from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from calibench.errors import ParameterError
from calibench.lab.data.batches import Augmentation, TrainingBatches, on_device
from calibench.lab.data.dataset import Examples

CPU = torch.device("cpu")
PLAIN = Augmentation(crop_padding=0, flip=False)
CROPPED = Augmentation(crop_padding=2, flip=True)
KINDS = [
    Augmentation(crop_padding=2, flip=False),
    Augmentation(crop_padding=0, flip=True),
]


def examples(count=40, channels=3, height=6, width=5, seed=0):
    """Images of unequal sides, each labelled with its own number."""
    generator = np.random.default_rng(seed)
    shape = (count, channels, height, width)
    # No pixel is 0, so that padding can be told from the image.
    images = generator.integers(1, 256, shape, dtype=np.uint8)
    return Examples(images, labels=np.arange(count))


def batches(some=None, *, batch_size=8, seed=3, augmentation=CROPPED):
    images = on_device(some or examples(), CPU)
    return TrainingBatches(
        images=images, batch_size=batch_size, seed=seed, augmentation=augmentation
    )


def shown(batches, epoch):
    """Return the order of the examples, and the pixels that each one shows."""
    order, pixels = [], {}
    for inputs, labels in batches.epoch(epoch):
        values = inputs.permute(0, 2, 3, 1) * batches.images.deviation
        values = (values + batches.images.mean).round().numpy().astype(int)
        order += labels.tolist()
        pixels |= dict(zip(labels.tolist(), values, strict=True))
    return order, pixels


def same_pixels(first, second):
    shared = first.keys() & second.keys()
    assert len(shared) >= 30
    return all(np.array_equal(first[example], second[example]) for example in shared)


def test_the_order_depends_on_the_seed():
    assert shown(batches(seed=3), 1)[0] == shown(batches(seed=3), 1)[0]
    assert shown(batches(seed=3), 1)[0] != shown(batches(seed=4), 1)[0]


def test_the_order_depends_on_the_epoch():
    some = batches()
    orders = [tuple(shown(some, epoch)[0]) for epoch in (1, 2, 3)]
    assert len(set(orders)) == 3
    assert tuple(shown(some, 2)[0]) == orders[1], "asking again must change nothing"


@pytest.mark.parametrize("augmentation", KINDS, ids=["crop", "flip"])
def test_the_augmentation_depends_on_the_epoch(augmentation):
    some = batches(augmentation=augmentation)
    first, second, again = (shown(some, epoch)[1] for epoch in (1, 2, 1))
    assert same_pixels(first, again)
    assert not same_pixels(first, second)


@pytest.mark.parametrize("augmentation", KINDS, ids=["crop", "flip"])
def test_the_augmentation_depends_on_the_seed(augmentation):
    first, second = (
        shown(batches(seed=seed, augmentation=augmentation), 1)[1] for seed in (3, 4)
    )
    assert not same_pixels(first, second)


def test_an_example_is_shown_the_same_whatever_its_batch():
    one_by_one, all_at_once, odd = (
        shown(batches(batch_size=size), 5)[1] for size in (2, 40, 7)
    )
    assert same_pixels(one_by_one, all_at_once)
    assert same_pixels(one_by_one, odd)


def test_the_order_does_not_depend_on_the_batch_size():
    assert shown(batches(batch_size=2), 5)[0] == shown(batches(batch_size=40), 5)[0]


def test_the_augmentation_does_not_move_the_order():
    plain = batches(augmentation=PLAIN)
    assert shown(plain, 1)[0] == shown(batches(), 1)[0]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_every_example_shows_a_window_of_its_padded_image(padding, flip):
    some = examples()
    batched = batches(some, augmentation=Augmentation(crop_padding=padding, flip=flip))
    seen = set()
    for epoch in (1, 2, 3):
        for example, pixels in shown(batched, epoch)[1].items():
            found = windows_equal_to(pixels, some.images[example], padding)
            assert len(found) == 1, "each window of random pixels is unlike any other"
            seen |= found
    shifts = {(row, column) for row, column, _ in seen}
    # 120 draws of 49 windows miss one of them more than half of the time; every row
    # and every column, 7 each, is missed once in 1e7.
    assert {row for row, _ in shifts} == set(range(2 * padding + 1))
    assert {column for _, column in shifts} == set(range(2 * padding + 1))
    assert {mirrored for *_, mirrored in seen} == ({False, True} if flip else {False})


def windows_equal_to(pixels, image, padding):
    """Cut every window out of the padded image; return those that show the pixels."""
    channels, height, width = image.shape
    padded = np.zeros((height + 2 * padding, width + 2 * padding, channels), dtype=int)
    padded[padding : padding + height, padding : padding + width] = image.transpose(
        1, 2, 0
    )
    found = set()
    for row in range(2 * padding + 1):
        for column in range(2 * padding + 1):
            window = padded[row : row + height, column : column + width]
            for mirrored in (False, True):
                if np.array_equal(pixels, window[:, ::-1] if mirrored else window):
                    found.add((row, column, mirrored))
    return found


def test_half_of_the_images_are_mirrored_whatever_their_crop():
    some = examples(count=400)
    batched = batches(some, augmentation=Augmentation(crop_padding=1, flip=True))
    pixels = shown(batched, 1)[1]
    drawn = [
        found
        for example in range(400)
        for found in windows_equal_to(pixels[example], some.images[example], 1)
    ]
    rows, columns, mirrored = (np.array(draws) for draws in zip(*drawn, strict=True))
    # Standard deviations: .025 of the share of 400, .05 of a correlation.
    assert abs(mirrored.mean() - 0.5) < 0.1
    # Drawn from one stream, a flip would follow from a crop of half its number.
    half = np.arange(400) // 2
    pairs = [(rows, columns), (rows, mirrored), (columns, mirrored)]
    pairs += [(rows[half], mirrored), (columns[half], mirrored)]
    for first, second in pairs:
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


def test_without_augmentation_every_image_is_shown_as_it_is():
    some = examples()
    for example, pixels in shown(batches(some, augmentation=PLAIN), 7)[1].items():
        assert np.array_equal(pixels, some.images[example].transpose(1, 2, 0))


def test_inputs_are_standardized_channels_last_float32():
    some = batches(augmentation=PLAIN, batch_size=40)
    (inputs, labels), *rest = some.epoch(1)
    assert not rest
    assert inputs.shape == (40, 3, 6, 5)
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64
    flat = inputs.double().permute(1, 0, 2, 3).reshape(3, -1)
    assert flat.mean(dim=1).abs().max() < 1e-6
    assert (flat.std(dim=1, correction=0) - 1).abs().max() < 1e-6


def test_the_statistics_are_those_of_exact_sums():
    some = examples(count=25, channels=2, height=7, width=3)
    images = on_device(some, CPU)
    for channel in range(2):
        values = [int(value) for value in some.images[:, channel].ravel()]
        mean = Fraction(sum(values), len(values))
        variance = Fraction(sum(v * v for v in values), len(values)) - mean**2
        assert images.mean[channel].item() == np.float32(float(mean))
        assert images.deviation[channel].item() == np.float32(float(variance) ** 0.5)


def test_another_split_is_standardized_by_the_statistics_of_training():
    train = on_device(examples(), CPU)
    test = on_device(examples(seed=1), CPU, like=train)
    assert test.mean is train.mean
    assert test.deviation is train.deviation
    inputs = test.standardized(test.pixels[:1])
    expected = (test.pixels[:1].double() - train.mean) / train.deviation
    assert torch.allclose(inputs.permute(0, 2, 3, 1).double(), expected, atol=1e-6)


def test_a_constant_channel_becomes_zero():
    some = examples()
    some.images[:, 1] = 77
    (inputs, _), *_ = batches(some, augmentation=PLAIN).epoch(1)
    assert (inputs[:, 1] == 0).all()
    assert inputs.isfinite().all()


def test_an_epoch_shows_no_example_twice_and_leaves_an_incomplete_batch_out():
    some = batches(batch_size=7)  # 40 = 5 * 7 + 5
    assert some.per_epoch == 5
    left_out = set()
    for epoch in (1, 2, 3):
        sizes = [len(labels) for _, labels in some.epoch(epoch)]
        assert sizes == [7] * 5
        order, _ = shown(some, epoch)
        assert len(set(order)) == 35
        left_out.add(frozenset(range(40)) - frozenset(order))
    assert len(left_out) == 3, "another five are left out each epoch"


def test_images_and_labels_stay_together():
    some = examples()
    scrambled = replace(some, labels=some.labels[::-1].copy())
    for example, pixels in shown(batches(scrambled, augmentation=PLAIN), 1)[1].items():
        image = scrambled.images[scrambled.labels.tolist().index(example)]
        assert np.array_equal(pixels, image.transpose(1, 2, 0))


def test_a_batch_larger_than_the_split_is_refused():
    assert batches(batch_size=40).per_epoch == 1
    with pytest.raises(
        ParameterError, match=r"40 examples and batch_size is 41\. Lower batch_size"
    ):
        batches(batch_size=41)
