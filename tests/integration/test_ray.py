"""The same measurement over Ray: the same bits, the same errors, a worker that dies."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibench import cli
from calibench.errors import DataError
from calibench.lab import evaluation, ray_engine
from calibench.lab.data import prediction_fragments
from calibench.lab.data.prediction_layout import Wanted
from calibench.lab.data.prediction_listing import files_among
from calibench.lab.engines import Engine
from calibench.lab.file_states import Pass, states_of_files
from calibench.lab.further_passes import further_of_files

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((900, 3)).astype(np.float32)
LABELS = RNG.integers(3, size=900)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with ray_engine.cluster(workers=2):
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_fragments, "_NUMBERS", 900)
    columns = {f"logit_{k}": np.ascontiguousarray(LOGITS[:, k]) for k in range(3)}
    table = pa.table({"label": LABELS, "site": np.arange(900) % 2} | columns)
    pq.write_table(table[:600], tmp_path / "a.parquet", row_group_size=100)
    with pa.ipc.new_file(tmp_path / "b.arrow", table.schema) as writer:
        writer.write_table(table[600:])
    return tmp_path


def test_states_have_the_bits_of_one_process(folder):
    files, wanted = files_among([folder]), Wanted(by="site")
    seen = []
    there = states_of_files(files, wanted, Pass(Engine("ray"), seen.append))
    here = states_of_files(files, wanted, Pass(Engine(workers=2)))
    assert sorted(there) == ["0", "1"]
    for name, state in here.items():
        for part, array in state.to_arrays().items():
            assert there[name].to_arrays()[part].tobytes() == array.tobytes()
    assert [each.rows for each in seen] == [300, 600, 900]
    assert seen[-1].size == pytest.approx(seen[-1].total, abs=3)


def test_further_passes_have_the_bits_of_one_process(folder):
    files, wanted = files_among([folder]), Wanted()
    states = {None: states_of_files(files, wanted)[""]}
    here, there = (
        further_of_files(files, wanted, states, Pass(engine))[None]
        for engine in (Engine(workers=2), Engine("ray"))
    )
    assert here.search.sums.count == 900
    assert here.search.sums.units == there.search.sums.units
    assert here.search.found == there.search.found
    for name, cells in here.ranks.cells.items():
        assert cells.rows.tobytes() == there.ranks.cells[name].rows.tobytes()


def test_an_error_of_a_task_is_the_error_itself(folder):
    logits = LOGITS[:300].copy()
    logits[207, 1] = np.nan
    np.savez(folder / "c.npz", logits=logits, labels=LABELS[:300])
    files = files_among([folder])
    with pytest.raises(DataError, match=r"c\.npz: logits: nan in row 207, column 1"):
        states_of_files(files, Wanted(), Pass(Engine("ray")))


def test_a_task_whose_worker_dies_runs_again(tmp_path):
    def dies_once(number):
        marker = Path(tmp_path) / f"{number}"
        if number == 2 and not marker.exists():
            marker.touch()
            os._exit(1)
        return number * 10

    assert list(ray_engine.mapped(dies_once, range(4))) == [0, 10, 20, 30]
    assert (tmp_path / "2").exists()


def test_the_command_prints_the_same_and_ends_the_same(folder, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "_MOST_ROWS", 10)
    words = ["evaluate", str(folder), "--by", "site", "--json"]
    cli.app(words, standalone_mode=False)
    local = capsys.readouterr().out
    cli.app([*words, "--on", "ray"], standalone_mode=False)
    assert capsys.readouterr() == (local, "")
    (folder / "b.arrow").write_bytes(b"damaged")
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--on", "ray"])
    assert ended.value.code == 3
    assert "b.arrow: not a readable Arrow file" in capsys.readouterr().err
