import zipfile

import numpy as np
import pytest
from PIL import Image

from calibench.errors import DataError, ParameterError
from calibench.lab.data import image_folder
from calibench.lab.data.image_folder import load_images


def pixels(value, side=6):
    generator = np.random.default_rng(value)
    return generator.integers(0, 256, (side, side + 1, 3), dtype=np.uint8)


TREE = {
    "train/cat/2.png": 2,
    "train/cat/10.png": 10,
    "train/dog/1.png": 1,
    "train/ant/5.webp": 5,
    "test/dog/3.bmp": 3,
    "test/cat/4.ppm": 4,
}


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "pets"
    for name, value in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"lossless": True} if path.suffix == ".webp" else {}
        Image.fromarray(pixels(value)).save(path, **options)
    return root


def load(path):
    return load_images(path, flip_preserves_label=True)


def test_folders_are_classes_and_everything_is_in_order(tree):
    data = load(tree)
    assert data.class_names == ("ant", "cat", "dog")
    assert data.name == "pets"
    assert data.train.labels.tolist() == [0, 1, 1, 2]
    assert data.test.labels.tolist() == [1, 2]
    # "10.png" comes before "2.png": names are ordered by code points.
    for image, value in zip(data.train.images, [5, 10, 2, 1], strict=True):
        assert np.array_equal(image, pixels(value).transpose(2, 0, 1))


def zipped(tree, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("train")
        for name in reversed(list(TREE)):
            archive.write(tree / name, name)
    return path


def test_a_zip_archive_is_the_same_data_set(tree, tmp_path):
    path = zipped(tree, tmp_path / "pets.zip")
    assert load(path).digest == load(tree).digest
    assert load(path).name == "pets"


def test_gray_images_become_rgb(tree):
    Image.fromarray(pixels(0)[:, :, 0]).save(tree / "train/dog/1.png")
    gray = load(tree).train.images[3]
    assert np.array_equal(gray, np.stack([pixels(0)[:, :, 0]] * 3))


def test_hidden_files_are_passed_over(tree):
    (tree / ".DS_Store").write_text("x")
    (tree / "train" / "cat" / ".thumb.png").write_text("x")
    assert load(tree).train.size == 4


@pytest.mark.parametrize(
    "name", ["notes.txt", "train/cat/notes.txt", "train/1.png", "val/cat/1.png"]
)
def test_a_file_without_a_place_is_refused(tree, name):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((tree / "train/cat/2.png").read_bytes())
    with pytest.raises(DataError, match=f"'{name}' has no place"):
        load(tree)


def test_a_name_that_leads_out_of_a_zip_is_refused(tree, tmp_path):
    path = zipped(tree, tmp_path / "pets.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../train/evil.png", b"")
    with pytest.raises(DataError, match="has no place"):
        load(path)


def test_images_of_two_sizes_are_refused(tree):
    Image.fromarray(pixels(1, side=7)).save(tree / "train/dog/1.png")
    with pytest.raises(DataError, match=r"'train/dog/1\.png' is 8 wide and 7 high"):
        load(tree)


def test_an_image_of_another_format_than_its_name_is_refused(tree):
    Image.fromarray(pixels(1)).save(tree / "train/dog/1.png", format="JPEG")
    with pytest.raises(DataError, match=r"dog/1\.png: not a readable image"):
        load(tree)


@pytest.mark.parametrize("kept", [0, 20, 60, -60])
def test_a_cut_image_is_refused(tree, kept):
    path = tree / "train/dog/1.png"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"dog/1\.png: not a readable image"):
        load(tree)


def test_an_image_too_large_is_refused_by_what_it_declares(tree):
    Image.new("RGB", (4097, 1)).save(tree / "train/dog/1.png")
    with pytest.raises(DataError, match="above 4096"):
        load(tree)


def test_a_file_too_large_is_refused_by_what_it_declares(tree, tmp_path, monkeypatch):
    path = zipped(tree, tmp_path / "pets.zip")
    monkeypatch.setattr(image_folder, "MAX_FILE_BYTES", 10)
    with pytest.raises(DataError, match="too large for an image"):
        load(path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_both_splits_are_needed(tree, split):
    for path in (tree / split).rglob("*.*"):
        path.unlink()
    with pytest.raises(DataError, match=f"no images in {split}"):
        load(tree)


def test_what_is_neither_folder_nor_zip_is_refused(tmp_path):
    path = tmp_path / "pets.zip"
    path.write_text("hello")
    with pytest.raises(DataError, match="nor a readable zip"):
        load(path)


def test_nothing_at_the_path_is_a_wrong_request(tmp_path):
    with pytest.raises(ParameterError, match="nothing at"):
        load(tmp_path / "absent")
