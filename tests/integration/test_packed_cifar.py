import shutil
from pathlib import Path

import numpy as np
import pytest

from calibench.errors import DataError
from calibench.lab.data.catalog import fetch
from calibench.lab.data.cifar_packed import arrays_from_packed
from calibench.lab.data.sources import Cifar10

PACKED = Path(__file__).parents[3] / "shared" / "data" / "cifar10"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PACKED.is_dir(), reason="the packed CIFAR-10 is not beside the repository"
    ),
]


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    fetch("cifar10", folder, str(PACKED))
    return Cifar10().load(folder)


def test_the_images_have_their_published_mean(cifar10):
    mean = cifar10.train.images.mean(axis=(0, 2, 3))
    assert mean == pytest.approx([125.30691, 122.95034, 113.86532], abs=5e-6)


def test_every_class_has_its_share(cifar10):
    assert np.bincount(cifar10.train.labels).tolist() == [5000] * 10
    assert np.bincount(cifar10.test.labels).tolist() == [1000] * 10


def test_the_stand_ins_are_told(cifar10):
    assert cifar10.facts == {"num_inexact": 103.0}


def test_the_first_images_are_those_of_the_official_batches(cifar10):
    # Published everywhere: the first train image is a frog, the first test image a cat.
    names = cifar10.class_names
    assert [names[k] for k in cifar10.train.labels[:3]] == ["frog", "truck", "truck"]
    assert [names[k] for k in cifar10.test.labels[:3]] == ["cat", "ship", "ship"]
    # The red plane of the first record starts with these bytes.
    assert cifar10.train.images[0, 0, 0, :5].tolist() == [59, 43, 50, 68, 98]
    assert cifar10.test.images[0, 0, 0, :5].tolist() == [158, 159, 165, 166, 160]


def linked(tmp_path, *without):
    for path in PACKED.iterdir():
        if path.name not in without:
            (tmp_path / path.name).symlink_to(path)
    return tmp_path


def test_a_missing_batch_is_named(tmp_path):
    with pytest.raises(DataError, match=r"data_batch_1\.zip"):
        arrays_from_packed(linked(tmp_path, "data_batch_1.zip"))


def test_batches_that_changed_places_are_noticed(tmp_path):
    linked(tmp_path, "data_batch_1.zip")
    shutil.copy(PACKED / "data_batch_2.zip", tmp_path / "data_batch_1.zip")
    with pytest.raises(DataError, match=r"data_batch_1\.zip: not the bytes"):
        arrays_from_packed(tmp_path)


def test_a_changed_label_is_noticed(tmp_path):
    linked(tmp_path, "labels.npy")
    labels = np.load(PACKED / "labels.npy")
    labels[0] ^= 1
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(DataError, match=r"labels\.npy: not the bytes"):
        arrays_from_packed(tmp_path)


def test_labels_of_another_length_are_refused(tmp_path):
    linked(tmp_path, "labels.npy")
    np.save(tmp_path / "labels.npy", np.load(PACKED / "labels.npy")[:-1])
    with pytest.raises(DataError, match="shape"):
        arrays_from_packed(tmp_path)


def test_a_packed_form_without_its_manifest_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a complete packed CIFAR-10"):
        arrays_from_packed(linked(tmp_path, "manifest.json"))


def test_the_data_set_never_changes(cifar10):
    assert cifar10.digest == GOLDEN_DIGEST


GOLDEN_DIGEST = "c4a1ca56d65e83bd152d19a4dbf4e75d6e52f8b76c61b2902b52c2bcdb2ef476"
