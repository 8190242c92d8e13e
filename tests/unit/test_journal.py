import json

import pytest

from calibench.errors import IntegrityError
from calibench.lab.store.journal import Journal


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    records = []
    for epoch in (1, 2, 3):
        records.append(journal.append({"event": "epoch", "epoch": epoch}, records))
    return journal


def epochs(journal):
    return [record["epoch"] for record in journal.read()]


def test_what_was_appended_is_read(journal):
    assert epochs(journal) == [1, 2, 3]


def test_the_order_of_keys_changes_neither_line_nor_seal(tmp_path):
    lines = []
    for name, record in (("one", {"a": 1, "b": 2}), ("two", {"b": 2, "a": 1})):
        Journal(tmp_path / name).append(record, [])
        lines.append((tmp_path / name).read_bytes())
    assert lines[0] == lines[1]


def test_an_absent_journal_is_empty(tmp_path):
    assert Journal(tmp_path / "none").read() == []


def test_every_torn_tail_is_cut_and_the_rest_kept(journal):
    whole = journal.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    kept = len(lines[0]) + len(lines[1])
    for size in range(kept, len(whole)):
        journal.path.write_bytes(whole[:size])
        assert epochs(journal) == [1, 2]
        assert [r["epoch"] for r in journal.repair()] == [1, 2]
        assert journal.path.read_bytes() == whole[:kept]


def test_a_flipped_byte_anywhere_is_noticed(journal):
    whole = journal.path.read_bytes()
    for place in range(len(whole) - 1):
        altered = bytearray(whole)
        altered[place] ^= 1
        journal.path.write_bytes(bytes(altered))
        with pytest.raises(IntegrityError, match=r"journal.jsonl, line \d"):
            journal.read()


def test_a_removed_or_reordered_record_is_noticed(journal):
    first, second, third = journal.path.read_bytes().splitlines(keepends=True)
    for content in (first + third, second + first + third, second + third):
        journal.path.write_bytes(content)
        with pytest.raises(IntegrityError):
            journal.read()


def test_a_record_of_another_run_is_refused(journal):
    first, *rest = journal.path.read_text().splitlines()
    record = json.loads(first) | {"epoch": 9}
    journal.path.write_text("\n".join([json.dumps(record), *rest]) + "\n")
    with pytest.raises(IntegrityError, match="line 1"):
        journal.read()
