"""A wrong request, wrong data, a refusing machine: told well, and nothing lost."""

import numpy as np
import pytest

from command_line import (
    TINY,
    calibench,
    refused,
    results,
    study_file,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs = 3", "epoch = 3"), "unknown key 'epoch'. Did you mean 'epochs'?"),
        (("focal", "focul"), "unknown loss kind 'focul'. Did you mean 'focal'?"),
        (("vgg16", "vgg61"), "unknown model 'vgg61'. Did you mean 'vgg16'?"),
        (("epochs = 3", "epochs = ["), "not a TOML file"),
        (("selection = 20", "selection = 999"), "splits: 999 selection"),
        (("batch_size = 50", "batch_size = 500"), "200 examples and batch_size is 500"),
        (("[train]", '[train]\nprecision = "bfloat16"'), "needs a CUDA device"),
        (('name = "tiny"', 'name = "../tiny"'), "'../tiny' is no name"),
    ],
)
def test_a_wrong_study_makes_no_store(tmp_path, change, message):
    study = study_file(tmp_path, TINY.replace(*change))
    told = refused(2, "run", study, "--store", tmp_path / "store", "--device", "cpu")
    assert told.startswith("error: ")
    assert message in told
    assert not (tmp_path / "store").exists()


def test_a_wrong_study_cannot_be_planned(tmp_path):
    study = study_file(tmp_path, TINY.replace("focal", "focul"))
    assert "study.toml is not a valid study:" in refused(2, "plan", study)
    assert "Give the path of a study file" in refused(2, "plan", tmp_path / "none")
    study = study_file(tmp_path, TINY.replace("batch_size = 50", "batch_size = 500"))
    assert "200 examples and batch_size is 500" in refused(2, "plan", study)


@pytest.mark.parametrize("command", ["status", "score", "claims", "report", "verify"])
def test_what_is_no_store_is_refused(tmp_path, command):
    told = refused(2, command, tmp_path)
    assert f"{tmp_path} is not a store: it has no study.json" in told
    assert "calibench run STUDY.toml --store DIR" in told
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_another_study_is_left_alone(store, tmp_path):
    before = results(store.path)
    study = study_file(tmp_path / "other", TINY.replace('"tiny"', '"other"'))
    told = refused(2, "run", study, "--store", store.path)
    assert "is the store of the study 'tiny', not of 'other'" in told
    assert "Give --store another folder" in told
    assert results(store.path) == before


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("dear")
    told = refused(2, "run", study_file(tmp_path), "--store", tmp_path / "thesis")
    assert "exists and is not a store" in told
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "{study}", "--store", "{tmp}/s", "--device", "tpu"],
        ["run", "{study}", "--store", "{tmp}/s", "--workers", "0"],
        ["run", "{study}", "--store", "{tmp}/s", "--on", "rays"],
        ["run", "{study}", "--store", "{tmp}/s", "--ray-address", "here:1"],
        ["run", "{study}"],
        ["evaluate", "{npz}", "--bins", "0"],
        ["evaluate", "{npz}", "--kind", "scores"],
        ["verify", "{tmp}", "--replay", "-1"],
        ["evaluate", "{npz}", "--unknown"],
        ["data", "fetch", "cifar11"],
        ["data", "verify", "cifar11"],
        ["unknown"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_refused(tmp_path, arguments):
    np.savez(tmp_path / "some.npz", logits=np.eye(3), labels=np.arange(3))
    names = {
        "study": study_file(tmp_path),
        "tmp": tmp_path,
        "npz": tmp_path / "some.npz",
    }
    told = refused(2, *(argument.format(**names) for argument in arguments))
    assert told.strip()
    assert not (tmp_path / "s").exists()


LOGITS = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
PROBS = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.1, 0.2, 0.7]])
LABELS = np.array([0, 1, 2])


def spoiled(array, row, column, value):
    array = array.copy()
    array[row, column] = value
    return array


BAD_ARRAYS = {
    "label out of range": ({"logits": LOGITS, "labels": LABELS + 1}, "row 2"),
    "label below 0": ({"logits": LOGITS, "labels": LABELS - 1}, "row 0"),
    "half a label": ({"logits": LOGITS, "labels": LABELS + 0.5}, "labels"),
    "NaN": ({"logits": spoiled(LOGITS, 1, 2, np.nan), "labels": LABELS}, "row 1"),
    "infinity": ({"logits": spoiled(LOGITS, 1, 2, np.inf), "labels": LABELS}, "row 1"),
    "sum": ({"probs": spoiled(PROBS, 2, 2, 0.6), "labels": LABELS}, "row 2"),
    "negative": ({"probs": spoiled(PROBS, 1, 0, -0.1), "labels": LABELS}, "row 1"),
    "no rows": ({"logits": LOGITS[:0], "labels": LABELS[:0]}, "no rows"),
    "a label missing": ({"logits": LOGITS, "labels": LABELS[:2]}, "labels"),
    "no labels": ({"logits": LOGITS}, "labels"),
    "no logits": ({"labels": LABELS}, "logits"),
    "objects": (
        {"logits": LOGITS, "labels": np.array([0, 1, "two"], dtype=object)},
        "labels.npy must hold real numbers",
    ),
}


@pytest.mark.parametrize(
    ("arrays", "place"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys()
)
def test_bad_predictions_are_refused_with_their_place(tmp_path, arrays, place):
    path = tmp_path / "some.npz"
    np.savez(path, **arrays)
    told = refused(3, "evaluate", path)
    assert "some.npz" in told
    assert place in told


BAD_CSV = {
    "empty": ("", "empty"),
    "header only": ("logit_0,logit_1,label\n", "no"),
    "short row": ("logit_0,logit_1,label\n1,2,0\n1,2\n", "3"),
    "text": ("logit_0,logit_1,label\n1,2,0\n1,x,0\n", "line 3"),
    "label out of range": ("prob_0,prob_1,label\n0.5,0.5,0\n0.5,0.5,2\n", "2"),
    "sum": ("prob_0,prob_1,label\n0.5,0.6,0\n", "1.1"),
}


@pytest.mark.parametrize(("text", "place"), BAD_CSV.values(), ids=BAD_CSV.keys())
def test_a_bad_table_is_refused_with_its_place(tmp_path, text, place):
    path = tmp_path / "some.csv"
    path.write_text(text)
    told = refused(3, "evaluate", path)
    assert "some.csv" in told
    assert place in told


@pytest.mark.parametrize("name", ["some.npz", "some.csv"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff no table at all", b"PK\x03\x04"])
def test_what_is_no_predictions_at_all_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert name in refused(3, "evaluate", tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "none.npz: does not exist" in refused(3, "evaluate", tmp_path / "none.npz")


def test_a_missing_archive_is_told_once_with_the_remedy(tmp_path):
    toml = TINY.replace('kind = "gratings"', 'kind = "cifar10"')
    for key in (
        "num_train = 260",
        "num_test = 60",
        "image_size = 8",
        "num_classes = 3",
    ):
        toml = toml.replace(f"{key}\n", "")
    study = study_file(tmp_path, toml)
    told = refused(
        3, "run", study, "--store", tmp_path / "s", "--data", tmp_path / "none"
    )
    assert told.count("error:") == 1
    assert "calibench data fetch cifar10" in told
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "content", [b"", b"<html>Not found</html>", b"\x1f\x8b\x08cut"]
)
def test_a_corrupt_archive_is_refused_and_nothing_kept(tmp_path, content):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.write_bytes(content)
    data = tmp_path / "data"
    told = refused(3, "data", "fetch", "cifar10", "--from", archive, "--data", data)
    assert "cifar-10-binary.tar.gz" in told
    rows = calibench("data", "list", "--data", data, "--json").json
    assert {row["state"] for row in rows if row["name"] == "cifar10"} == {"absent"}


def test_a_label_out_of_range_in_own_images_is_refused(tmp_path):
    images = np.zeros((9, 3, 8, 8), dtype=np.uint8)
    arrays = {"train_images": images, "test_images": images, "layout": "NCHW"}
    labels = np.arange(9) % 3
    np.savez(
        tmp_path / "mine.npz",
        **arrays,
        train_labels=labels,
        test_labels=np.where(labels == 2, -1, labels),
    )
    start, end = TINY.index("[dataset]"), TINY.index("[splits]")
    table = f'[dataset]\nkind = "arrays"\npath = "{tmp_path / "mine.npz"}"\n'
    study = study_file(tmp_path, TINY[:start] + table + TINY[end:])
    told = refused(3, "run", study, "--store", tmp_path / "s")
    assert "mine.npz" in told
    assert "row 2" in told


def test_a_store_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    told = refused(4, "run", study_file(tmp_path), "--store", tmp_path / "file" / "s")
    assert "Not a directory" in told


def test_a_page_that_cannot_be_written_is_told(tiny_store, tmp_path):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "page.html"
    assert str(out) in refused(4, "report", tiny_store, "--out", out)
