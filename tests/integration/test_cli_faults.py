"""What goes wrong ends in a message that helps, the right exit code, and no loss."""

import signal

import numpy as np
import pytest

from calibench.errors import IntegrityError, InterruptedRunError, LockedError
from calibench.lab.study import launch
from calibench.lab.study.execute import replay_epoch
from calibench.lab.study.launch import failure_path
from calibench.lab.study.prepared_run import Conditions
from calibench.lab.study.run import _exit_code
from command_line import (
    TINY,
    begun_elsewhere,
    calibench,
    copied,
    flip_a_bit,
    refused,
    results,
    study_file,
    unfinish,
)


@pytest.fixture
def store(tiny_store, tmp_path):
    return copied(tiny_store, tmp_path / "store")


def run(store):
    """Run the study again, as it is noted in its store."""
    return calibench("run", store.path / "study.toml", "--store", store.path)


# ---- requests that are wrong: 2 ---------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs = 3", "epoch = 3"), "unknown key 'epoch'. Did you mean 'epochs'?"),
        (("focal", "focul"), "unknown loss kind 'focul'. Did you mean 'focal'?"),
        (("vgg16", "vgg61"), "unknown model 'vgg61'. Did you mean 'vgg16'?"),
        (("epochs = 3", "epochs = ["), "not a TOML file"),
        (("selection = 20", "selection = 999"), "splits: 999 selection"),
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


@pytest.mark.parametrize("command", ["status", "score", "report", "verify"])
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


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_batch_larger_than_the_split_is_refused_before_anything_starts(
    tmp_path, command
):
    toml = TINY.replace("batch_size = 50", "batch_size = 500")
    options = ["--store", tmp_path / "s"] if command == "run" else []
    told = refused(2, command, study_file(tmp_path, toml), *options)
    assert told.count("200 examples and batch_size is 500. Lower batch_size") == 1
    assert not (tmp_path / "s").exists()


# ---- data that are wrong: 3 ---------------------------------------------------

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


# ---- the machine refuses: 4 --------------------------------------------------


def test_a_store_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    told = refused(4, "run", study_file(tmp_path), "--store", tmp_path / "file" / "s")
    assert "Not a directory" in told


def test_a_page_that_cannot_be_written_is_told(tiny_store, tmp_path):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "page.html"
    assert str(out) in refused(4, "report", tiny_store, "--out", out)


# ---- integrity: 5 ------------------------------------------------------------

FILES = [
    "manifest.json",
    "examples.parquet",
    "metrics/epoch-0002.jsonl",
    "predictions/epoch-0001.parquet",
    "checkpoints/epoch-0003.pt",
    "journal.jsonl",
]


@pytest.mark.parametrize("name", FILES)
def test_verify_names_the_file_that_is_damaged(store, name):
    first, second = store.runs()
    flip_a_bit(first.path / name)
    done = calibench("verify", store.path, "--replay", 0)
    assert (done.code, done.err) == (5, "")
    lines = done.out.splitlines()
    assert len(lines) == 2
    assert str(first.path / name) in lines[0]
    assert lines[1] == f"{second.run_id}: hashes: ok"
    checks = calibench("verify", store.path, "--replay", 9, "--json")
    assert checks.code == 5
    assert {c["run_id"] for c in checks.json[2:]} == {second.run_id}, "the sound one"


def test_verify_names_the_file_that_is_gone(store):
    path = store.runs()[1].path / "predictions" / "epoch-0002.parquet"
    path.unlink()
    done = calibench("verify", store.path, "--replay", 0)
    assert done.code == 5
    assert f"{path}: missing" in done.out


def test_verify_finds_an_epoch_that_cannot_be_repeated(store):
    """Every hash is right, and yet the predictions are not what training gives."""
    first, second = store.runs()
    # The run of one loss under the name of the other: its seals are intact.
    records = second.journal.read()
    for name in ("predictions/epoch-0001.parquet", "checkpoints/epoch-0001.pt"):
        source = second.path / name
        if source.exists():
            (first.path / name).write_bytes(source.read_bytes())
    forged = first.journal.read()
    seals = {r["epoch"]: r["files"] for r in records if r["event"] == "epoch"}
    first.journal.path.unlink()
    written = []
    for record in forged:
        content = {k: v for k, v in record.items() if k not in {"seal", "previous"}}
        if content.get("epoch") == 1:
            name = "predictions/epoch-0001.parquet"
            content["files"][name] = seals[1][name]
        written.append(first.journal.append(content, after=written))
    done = calibench("verify", store.path, "--replay", 9)
    assert done.code == 5
    (told,) = (line for line in done.out.splitlines() if not line.endswith(": ok"))
    assert told == (
        f"{first.run_id}: epoch 1 trained again: predictions/epoch-0001.parquet: "
        "trained again, its bytes are different"
    )


def test_a_damaged_journal_stops_its_run_and_no_other(store):
    first, second = store.runs()
    for folder in (first, second):
        unfinish(folder, epochs=2)
    flip_a_bit(first.journal.path)
    told = refused(5, "run", store.path / "study.toml", "--store", store.path)
    assert f"{first.run_id}: failed: {first.journal.path}, line" in told
    assert f"{second.run_id}: finished" in told
    rows = calibench("status", store.path, "--json").json
    assert [row["state"] for row in rows] == ["damaged", "finished"]
    assert str(first.journal.path) in rows[0]["reason"]


@pytest.mark.parametrize("name", ["metrics/epoch-0003.jsonl", "journal.jsonl"])
def test_status_tells_of_damage_and_goes_on(store, name):
    flip_a_bit(store.runs()[0].path / name)
    done = calibench("status", store.path, "--json")
    assert done.code == 0
    assert [row["state"] for row in done.json] == ["damaged", "finished"]
    assert name in done.json[0]["reason"]


def test_a_report_on_damaged_metrics_is_refused(store, tmp_path):
    path = store.runs()[0].path / "metrics" / "epoch-0003.jsonl"
    flip_a_bit(path)
    told = refused(5, "report", store.path, "--out", tmp_path / "page.html")
    assert str(path) in told
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    "damaged", [["epoch-0003.pt"], ["epoch-0002.pt", "epoch-0003.pt"]]
)
def test_from_a_damaged_checkpoint_a_run_still_ends_in_the_same_bytes(
    store, tiny_store, damaged
):
    folder = store.runs()[0]
    unfinish(folder, epochs=3)
    for name in damaged:
        flip_a_bit(folder.path / "checkpoints" / name)
    done = run(store)
    assert done.code == 0, done.err
    assert results(store.path) == results(tiny_store)


def test_a_checkpoint_that_is_gone_is_made_again(store, tiny_store):
    folder = store.runs()[0]
    unfinish(folder, epochs=3)
    (folder.path / "checkpoints" / "epoch-0003.pt").unlink()
    assert run(store).code == 0
    assert results(store.path) == results(tiny_store)


def test_a_study_that_is_damaged_is_told_with_the_remedy(store, tmp_path):
    (store.path / "study.json").write_text("{")
    for command in ("status", "verify", "score"):
        told = refused(3, command, store.path)
        assert "Delete this one file and run the study" in told
    (store.path / "study.json").unlink()
    assert run(store).code == 0
    assert calibench("status", store.path).code == 0


# ---- locked: 6 ---------------------------------------------------------------


def test_a_run_that_another_process_owns_is_left_to_it(store):
    first, second = store.runs()
    for folder in (first, second):
        unfinish(folder, epochs=2)
    before = first.history().records
    with first.owned():
        done = run(store)
        assert done.code == 6, done.err
        assert f"{first.run_id}: failed: another process is at work on it" in done.err
        assert f"{second.run_id}: finished" in done.err
        assert first.history().records == before
        rows = calibench("status", store.path, "--json").json
        # Its owner may be doing well: that someone else came too is no failure.
        assert [row["state"] for row in rows] == ["running", "finished"]
    assert run(store).code == 0


# ---- fingerprint: 7 -----------------------------------------------------------


def test_a_run_begun_under_other_conditions_is_not_resumed(store, tiny_store):
    first, second = store.runs()
    for folder in (first, second):
        unfinish(folder, epochs=2)
    begun_elsewhere(first, torch="1.0", gpu="none such")
    before = first.history().records
    done = run(store)
    assert done.code == 7, done.err
    assert "gpu: none such -> absent" in done.err
    assert "torch: 1.0 -> " in done.err
    assert "threads" not in done.err, "what has not changed is not told"
    assert "--allow-drift" in done.err
    assert first.history().records == before
    assert f"{second.run_id}: finished" in done.err
    assert (
        "--allow-drift" in calibench("status", store.path, "--json").json[0]["reason"]
    )


def test_drift_that_is_allowed_is_recorded_and_shown(store, tmp_path):
    first, second = store.runs()
    unfinish(first, epochs=2)
    begun_elsewhere(first, torch="1.0")
    study = store.path / "study.toml"
    done = calibench("run", study, "--store", store.path, "--allow-drift")
    assert done.code == 0, done.err
    (changes,) = first.history().drifts
    assert changes[0].startswith("torch: 1.0 -> ")
    assert first.verify() == []
    assert calibench("report", store.path, "--out", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "resumed under other conditions" in page
    assert second.history().drifts == []


def test_each_epoch_is_verified_under_its_own_conditions(store, tmp_path):
    """Epochs 1 and 2 were trained elsewhere, epoch 3 here."""
    first, _ = store.runs()
    unfinish(first, epochs=2)
    begun_elsewhere(first, torch="1.0")
    study = store.path / "study.toml"
    calibench("run", study, "--store", store.path, "--allow-drift")
    here = Conditions(data=tmp_path)
    again = type(first)(tmp_path / "again" / first.run_id)
    replay_epoch(store, first, again, 3, here)
    name = "predictions/epoch-0003.parquet"
    assert again.history().files[name] == first.history().files[name]
    told = calibench("verify", store.path, "--replay", 9)
    assert told.code == 7
    assert "epoch 1 of" in told.err
    assert "--replay 0" in told.err
    assert calibench("verify", store.path, "--replay", 0).code == 0


# ---- a run fails: 1 -----------------------------------------------------------


def test_a_loss_that_diverges_stops_its_run_and_no_other(tmp_path):
    toml = TINY + '[[loss]]\nkind = "lp_norm"\nalpha = 1e30\nname = "too_strong"\n'
    study = study_file(tmp_path, toml)
    store = tmp_path / "s"
    done = calibench("run", study, "--store", store)
    assert done.code == 1
    assert done.err.count(": finished") == 2
    (line,) = (line for line in done.err.splitlines() if "diverged" in line)
    assert "too_strong" in line
    assert "epoch 1: " in line
    rows = calibench("status", store, "--json").json
    assert [row["state"] for row in rows] == ["finished", "finished", "diverged"]
    assert rows[2]["reason"] in line
    # Not 0, which would be perfect: there is nothing to give.
    assert rows[2]["test_error_rate"] is None
    again = calibench("run", study, "--store", store)
    assert again.code == 1, "what diverged is not mended by running it again"
    assert "3 of 3 runs are done" in again.err
    assert calibench("verify", store, "--replay", 0).code == 0
    assert calibench("score", store).code == 0
    assert calibench("report", store).code == 0


def test_a_run_that_diverges_later_keeps_its_epochs(tmp_path):
    """Its rate is 0 in epoch 1 and far too high from epoch 2 on."""
    toml = TINY.replace(
        "learning_rate = 0.05",
        'learning_rate = 1e30\nschedule = {kind = "one_cycle", peak = 0.999}\n'
        "batch_size = 200",
    ).replace("batch_size = 50\n", "")
    done = calibench("run", study_file(tmp_path, toml), "--store", tmp_path / "s")
    assert done.code == 1
    rows = calibench("status", tmp_path / "s", "--json").json
    assert {(row["state"], row["epoch"]) for row in rows} == {("diverged", 1)}
    assert all(row["test_error_rate"] is not None for row in rows)
    assert all("epoch 2: " in row["reason"] for row in rows)


FAILURES = {
    "a loss of the user's": (ValueError("boom"), 1, "ValueError: boom"),
    "an interrupt": (InterruptedRunError("stopped."), 75, None),
    "the lock": (LockedError("another process"), 6, None),
    "damage": (IntegrityError("x.pt: damaged"), 5, "x.pt: damaged"),
    "memory": (MemoryError(), 4, "out of memory. Lower batch_size or --workers."),
    "the disk": (OSError(28, "No space left", "a/b"), 4, "a/b: No space left"),
    "the disk, somewhere": (OSError(28, "No space left"), 4, "No space left"),
    "an error without words": (RuntimeError(), 1, "RuntimeError"),
}


@pytest.mark.parametrize(
    ("error", "code", "reason"), FAILURES.values(), ids=FAILURES.keys()
)
def test_a_worker_notes_why_it_failed(store, monkeypatch, error, code, reason):
    folder = store.runs()[0]

    def fails(*arguments, **options):
        raise error

    monkeypatch.setattr(launch, "execute", fails)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        launch._work(store.path, folder.run_id, Conditions(data=store.path))
    assert caught.value.code == code
    assert signal.getsignal(signal.SIGTERM) is before
    assert launch.failure_reason(store, folder.run_id) == (reason or "")
    assert failure_path(store, folder.run_id).exists() == (reason is not None)
    # What a run has finished, no later trouble can undo.
    row = calibench("status", store.path, "--json").json[0]
    assert (row["state"], row["reason"]) == ("finished", None)


@pytest.mark.parametrize(
    ("outcomes", "failures", "code"),
    [
        (["finished", "finished"], set(), 0),
        (["finished", "diverged"], set(), 1),
        (["finished", "failed"], {4}, 4),
        (["failed", "failed"], {5, 7}, 1),
        (["diverged", "failed"], {5}, 1),
        ([], set(), 0),
    ],
)
def test_the_exit_code_of_a_study(outcomes, failures, code):
    assert _exit_code(outcomes, failures) == code
