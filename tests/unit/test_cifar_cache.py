import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from calibench.errors import (
    DataError,
    IntegrityError,
    ParameterError,
    ResourceError,
)
from calibench.lab.data import array_cache, catalog, cifar
from calibench.lab.data.catalog import (
    default_data_dir,
    fetch,
    list_datasets,
    verify,
)
from calibench.lab.data.cifar import fetch_cifar, halve, load_cifar
from tiny_cifar import CONTENTS10, RECORDS, TINY10, tar_of

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(tar_of(TINY10, CONTENTS10))
    return path


@pytest.fixture
def data_dir(tmp_path, archive):
    folder = tmp_path / "data"
    fetch_cifar(TINY10, folder, source=str(archive))
    return folder


@pytest.fixture
def tiny_catalog(monkeypatch):
    monkeypatch.setitem(catalog.FETCHED, "cifar10", TINY10)


def test_what_was_fetched_is_loaded(data_dir):
    data = load_cifar(TINY10, data_dir, 32)
    content = b"".join(CONTENTS10[file.name] for file in TINY10.train_files)
    rows = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    assert np.array_equal(data.train.images.reshape(len(rows), -1), rows[:, 1:])
    assert np.array_equal(data.train.labels, rows[:, 0])
    assert data.test.size == RECORDS
    assert data.name == "cifar10"
    assert data.facts == {"num_inexact": 0.0}
    assert data.flip_preserves_label


def test_an_archive_and_a_folder_give_the_same_data(data_dir, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, content in CONTENTS10.items():
        (folder / name).write_bytes(content)
    fetch_cifar(TINY10, tmp_path / "other", source=str(folder))
    one, other = (load_cifar(TINY10, d, 32) for d in (data_dir, tmp_path / "other"))
    assert one.digest == other.digest


def test_images_of_16_pixels_are_means_of_squares(data_dir):
    large = load_cifar(TINY10, data_dir, 32).train.images
    small = load_cifar(TINY10, data_dir, 16).train.images
    assert small.shape[2:] == (16, 16)
    square = large[3, 2, 10:12, 20:22].astype(float)
    assert small[3, 2, 5, 10] == np.floor(square.mean() + 0.5)


@pytest.mark.parametrize(
    ("square", "mean"),
    [
        ([0, 0, 0, 1], 0),
        ([0, 0, 1, 1], 1),
        ([255] * 4, 255),
        ([254, 255, 255, 255], 255),
    ],
)
def test_halves_round_up(square, mean):
    images = np.array(square, dtype=np.uint8).reshape(1, 1, 2, 2)
    assert halve(images).item() == mean


def test_what_was_not_fetched_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"data fetch cifar10 --from PATH"):
        load_cifar(TINY10, tmp_path, 32)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "swap"])
def test_a_damaged_file_is_named(data_dir, name, damage):
    path = data_dir / "cifar10" / f"{name}.npy"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "remove":
        path.unlink()
    else:
        other = "test_images" if name == "train_images" else "train_images"
        shutil.copy(path.with_name(f"{other}.npy"), path)
    with pytest.raises(IntegrityError, match=rf"{name}\.npy.*data fetch cifar10"):
        load_cifar(TINY10, data_dir, 32)


def test_a_pickle_in_the_place_of_an_array_is_not_opened(data_dir):
    path = data_dir / "cifar10" / "train_labels.npy"
    np.save(path, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(IntegrityError, match="train_labels"):
        load_cifar(TINY10, data_dir, 32)


def test_a_changed_manifest_is_noticed(data_dir):
    path = data_dir / "cifar10" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["content"]["facts"]["num_inexact"] = 7.0
    for content in (json.dumps(manifest), "{", "[]", "{}"):
        path.write_text(content)
        with pytest.raises(IntegrityError, match=r"manifest\.json"):
            load_cifar(TINY10, data_dir, 32)


def test_a_fetch_that_dies_midway_leaves_nothing_that_counts(
    data_dir, archive, monkeypatch
):
    saved = []

    def dies_at_the_third(file, array, **_):
        saved.append(array)
        if len(saved) == 3:
            raise OSError(28, "No space left on device")
        np.lib.format.write_array(file, array)

    monkeypatch.setattr(array_cache.np, "save", dies_at_the_third)
    with pytest.raises(ResourceError, match="No space left"):
        fetch_cifar(TINY10, data_dir, source=str(archive))
    with pytest.raises(DataError, match="not in"):
        load_cifar(TINY10, data_dir, 32)
    leftover = [p.name for p in (data_dir / "cifar10").iterdir()]
    assert not [name for name in leftover if name.startswith(".")]
    monkeypatch.undo()
    fetch_cifar(TINY10, data_dir, source=str(archive))
    assert load_cifar(TINY10, data_dir, 32).train.size == 5 * RECORDS


def test_a_bad_archive_leaves_the_good_data_alone(data_dir, archive):
    before = load_cifar(TINY10, data_dir, 32).digest
    archive.write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(DataError):
        fetch_cifar(TINY10, data_dir, source=str(archive))
    assert load_cifar(TINY10, data_dir, 32).digest == before


def test_nothing_at_the_path_is_a_wrong_request(tmp_path):
    with pytest.raises(ParameterError, match="nothing at this path"):
        fetch_cifar(TINY10, tmp_path, source=str(tmp_path / "absent"))


def test_the_official_server_is_asked_first_and_its_archive_not_kept(
    tmp_path, monkeypatch
):
    def download(remote, folder, **_):
        asked.append(remote.urls)
        folder.mkdir()
        path = folder / remote.name
        path.write_bytes(tar_of(TINY10, CONTENTS10))
        return path

    asked = []
    monkeypatch.setattr(cifar, "download", download)
    fetch_cifar(TINY10, tmp_path)
    shutil.rmtree(tmp_path / "downloads")
    fetch_cifar(TINY10, tmp_path, source="https://example.org/a.tar.gz")
    assert asked[0][0].startswith("https://www.cs.toronto.edu/~kriz/cifar-10-binary")
    assert len(asked[0]) == 3
    assert asked[1] == ("https://example.org/a.tar.gz",)
    assert list((tmp_path / "downloads").iterdir()) == []
    assert load_cifar(TINY10, tmp_path, 32).test.size == RECORDS


@pytest.mark.usefixtures("tiny_catalog")
def test_the_catalog_follows_a_data_set_through_its_life(tmp_path, archive):
    def states():
        return {each.name: each.state for each in list_datasets(tmp_path)}

    expected = {"gratings": "embedded", "cifar10": "absent", "cifar100": "absent"}
    assert states() == expected
    fetched = fetch("cifar10", tmp_path, str(archive))
    assert fetched.state == "ready"
    assert fetched.source == "official archive, cifar-10-binary.tar.gz"
    assert states() == {**expected, "cifar10": "ready"}
    assert verify("cifar10", tmp_path) == fetched
    (tmp_path / "cifar10" / "manifest.json").write_text("?")
    assert states() == {**expected, "cifar10": "damaged"}
    with pytest.raises(IntegrityError):
        verify("cifar10", tmp_path)


def test_what_is_absent_tells_its_size_and_place(tmp_path):
    absent = {each.name: each.source for each in list_datasets(tmp_path)}["cifar100"]
    assert absent.startswith("https://www.cs.toronto.edu/")
    assert absent.endswith("(169 MB)")


def test_what_is_embedded_needs_no_fetching(tmp_path):
    assert fetch("gratings", tmp_path) == verify("gratings", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ask", [fetch, verify])
def test_an_unknown_name_gets_a_suggestion(ask, tmp_path):
    with pytest.raises(ParameterError, match="Did you mean 'cifar10'"):
        ask("cifar-10", tmp_path)


def test_the_environment_says_where_data_lie(monkeypatch, tmp_path):
    monkeypatch.setenv("CALIBENCH_DATA", str(tmp_path))
    assert default_data_dir() == tmp_path
    monkeypatch.delenv("CALIBENCH_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(catalog.sys, "platform", "linux")
    assert default_data_dir() == tmp_path / "calibench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_data_dir().parts[-2:] == (".cache", "calibench")
    monkeypatch.setattr(catalog.sys, "platform", "darwin")
    assert default_data_dir().parts[-3:] == ("Library", "Caches", "calibench")


def test_a_different_record_size_is_a_different_archive(archive, tmp_path):
    # The packed form is for the official CIFAR-10 only; a folder is then a folder.
    changed = replace(TINY10, label_bytes=2)
    with pytest.raises(DataError, match="records of 3,074"):
        fetch_cifar(changed, tmp_path, source=str(archive))
