"""A bounded run of the fuzzer of stores, study files and calibrators."""

import pytest

from fuzzing.stores import Fuzzed
from shape_checks import without_shape_checks

EACH = 60


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    with without_shape_checks():
        yield Fuzzed(tmp_path_factory.mktemp("fuzzed"))


@pytest.mark.parametrize("kind", ["study file", "study.json", "run", "calibrator"])
def test_what_is_damaged_is_refused_in_words_or_read_right(fuzzed, kind):
    with without_shape_checks():
        found = [fuzzed.judge(kind, number) for number in range(EACH)]
    assert [each for each in found if each.startswith("finding")] == []
    assert "refused" in found


def test_damage_that_nobody_tells_is_a_finding(fuzzed, monkeypatch):
    monkeypatch.setattr(type(fuzzed.run), "verify", lambda _: [])
    found = {fuzzed.judge("run", number) for number in range(40)}
    assert any("nobody says so" in each for each in found)
