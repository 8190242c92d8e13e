import zipfile

import numpy as np
import pytest

from calibench.errors import DataError, ParameterError
from calibench.lab.data.arrays import load_arrays


def contents(**changes):
    generator = np.random.default_rng(1)
    fields = {
        "layout": "NHWC",
        "train_images": generator.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8),
        "train_labels": np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8),
        "test_images": generator.integers(0, 256, (2, 5, 4, 3), dtype=np.uint8),
        "test_labels": np.array([3, 0]),
    }
    merged = {**fields, **changes}
    return {name: value for name, value in merged.items() if value is not None}


@pytest.fixture
def load(tmp_path):
    def write_and_load(save=np.savez, **changes):
        path = tmp_path / "mine.npz"
        save(path, **contents(**changes))
        return load_arrays(path, flip_preserves_label=False)

    return write_and_load


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_was_saved_is_loaded(load, save):
    data = load(save)
    expected = contents()
    assert np.array_equal(
        data.train.images, expected["train_images"].transpose(0, 3, 1, 2)
    )
    assert data.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.test.labels.tolist() == [3, 0]
    assert data.class_names == ("0", "1", "2", "3")
    assert data.name == "mine"
    assert data.train.posterior is None
    assert not data.flip_preserves_label


def test_the_declared_layout_is_believed(load):
    channels_last, channels_first = load(), load(layout="NCHW")
    assert channels_last.train.images.shape == (6, 3, 5, 4)
    assert channels_first.train.images.shape == (6, 5, 4, 3)


def test_names_and_posteriors_are_kept(load):
    posterior = np.full((6, 5), 0.2)
    data = load(
        train_posterior=posterior,
        test_posterior=np.eye(5)[:2],
        class_names=np.array(["a", "b", "c", "d", "e"]),
    )
    assert data.class_names == ("a", "b", "c", "d", "e")
    assert np.array_equal(data.train.posterior, posterior)


def test_the_posterior_counts_the_classes(load):
    data = load(train_posterior=np.full((6, 5), 0.2), test_posterior=np.eye(5)[:2])
    assert data.num_classes == 5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layout": "HWCN"}, "'NHWC' or 'NCHW'"),
        ({"layout": np.array(["NHWC"])}, "'NHWC' or 'NCHW'"),
        ({"layout": None}, "it must hold layout, train_images"),
        ({"train_lables": np.zeros(6)}, "train_lables; it must hold"),
        ({"train_images": np.zeros((6, 5, 4, 3))}, "float64"),
        (
            {"train_images": np.zeros((6, 60), np.uint8)},
            r"train images: uint8 of shape \(6, 60\)",
        ),
        ({"train_labels": np.zeros(6)}, "train labels: float64"),
        ({"train_labels": np.full(6, 2**64 - 1, np.uint64)}, "below 0"),
        ({"train_labels": np.zeros((6, 1), int)}, "labels"),
        ({"test_labels": np.array([0])}, "each of the 2 images"),
        (
            {"class_names": np.array(["a", "b", "c"])},
            r"test row 0 has label 3, outside 0\.\.2",
        ),
        ({"class_names": np.array([1, 2, 3, 4])}, "list of strings"),
        ({"test_posterior": np.eye(4)[:2]}, "only one of train and test"),
    ],
)
def test_what_is_wrong_is_named(load, changes, reason):
    with pytest.raises(DataError, match=reason):
        load(**changes)


def test_a_pickle_is_never_opened(load):
    with pytest.raises(DataError, match=r"not a readable \.npz"):
        load(train_labels=np.array([print] * 6, dtype=object))


def test_a_bomb_is_refused_by_what_it_declares(load):
    zeros = np.zeros((30_000, 32, 32, 3), np.uint8)
    with pytest.raises(DataError, match="refused as a bomb"):
        load(np.savez_compressed, train_images=zeros)


def test_a_header_that_promises_more_than_the_file_has_is_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **contents())
    huge = b"'shape': (60000000000, 5, 4, 3), "
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    header = members["train_images.npy"]
    start = header.index(b"'shape': (6, ")
    end = header.index(b"}", start)
    grown = header[:start] + huge + header[end:]
    # The header keeps its length: what was inserted is taken from its spaces.
    excess = len(grown) - len(header)
    members["train_images.npy"] = grown.replace(b"}" + b" " * excess, b"}", 1)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    with pytest.raises(DataError, match="declares 3,600,000,000,000 bytes"):
        load_arrays(path, flip_preserves_label=True)


def test_the_same_array_twice_is_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **contents())
    with zipfile.ZipFile(path, "a") as archive:
        content = archive.read("test_labels.npy")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("test_labels.npy", content)
    with pytest.raises(DataError, match="each once"):
        load_arrays(path, flip_preserves_label=True)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_what_is_no_npz_is_refused(tmp_path, content):
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.npz: not a readable \.npz"):
        load_arrays(path, flip_preserves_label=True)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **contents())
    content = bytearray(path.read_bytes())
    image = contents()["train_images"].tobytes()
    content[content.index(image) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        load_arrays(path, flip_preserves_label=True)


def test_no_file_is_a_wrong_request(tmp_path):
    with pytest.raises(ParameterError, match="no file"):
        load_arrays(tmp_path / "absent.npz", flip_preserves_label=True)
