"""What is damaged, locked or begun elsewhere is noticed, and as little is lost."""

import json

import pytest

from calibench.lab.study.conditions import Conditions
from calibench.lab.study.execute import replay_epoch
from command_line import (
    begun_elsewhere,
    calibench,
    flip_a_bit,
    refused,
    results,
    unfinish,
)


def run(store):
    """Run the study again, as it is noted in its store."""
    return calibench("run", store.path / "study.toml", "--store", store.path)


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


def test_claims_on_damaged_predictions_are_refused(store):
    path = store.runs()[0].path / "predictions" / "epoch-0003.parquet"
    flip_a_bit(path)
    assert str(path) in refused(5, "claims", store.path)


@pytest.mark.parametrize(
    ("damaged", "trained"),
    [
        ([], []),
        (["epoch-0003.pt"], [3]),
        (["epoch-0002.pt", "epoch-0003.pt"], [1, 2, 3]),
    ],
)
def test_from_a_damaged_checkpoint_a_run_still_ends_in_the_same_bytes(
    store, tiny_store, damaged, trained
):
    folder = store.runs()[0]
    unfinish(folder, epochs=3)
    for name in damaged:
        flip_a_bit(folder.path / "checkpoints" / name)
    done = run(store)
    assert done.code == 0, done.err
    assert results(store.path) == results(tiny_store)
    times = (folder.path / "timing.jsonl").read_text().splitlines()
    # No more than is needed is trained again.
    assert [json.loads(line)["epoch"] for line in times] == [1, 2, 3, *trained]


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
    replays = [line for line in told.out.splitlines() if "trained again" in line]
    drifted = [line for line in replays if "epoch 1 of" in line]
    assert len(drifted) == 1
    assert "--replay 0" in told.out
    assert len(replays) == 4, "the other run, and the epoch that was trained here"
    assert sum(line.endswith(": ok") for line in replays) == 3
    assert calibench("verify", store.path, "--replay", 0).code == 0
