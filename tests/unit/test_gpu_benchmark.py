"""The GPU benchmark, whole, on a CPU: figures are kept, shown, and not taken twice."""

import importlib
import json
import sys

import pytest

from calibench.models import build_model, num_multiply_adds
from pages import ROOT


@pytest.fixture
def gpu_study(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    return importlib.import_module("gpu_study")


def run(gpu_study, monkeypatch, out, *words):
    given = ["gpu_study.py", "--device", "cpu", "--tiny", "--out", str(out), *words]
    monkeypatch.setattr(sys, "argv", given)
    gpu_study.main()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the profiler's own
def test_it_measures_every_part_once(gpu_study, monkeypatch, tmp_path, capsys):
    run(gpu_study, monkeypatch, tmp_path, "--beside", "1", "--workers", "1")
    found = json.loads((tmp_path / "gpu_study.json").read_text())
    assert set(found) == {"machine", *gpu_study.PARTS}
    (kinds,) = found["steps"].values()
    assert list(kinds) == ["eager, deterministic", "eager, any order"]
    for row in kinds.values():
        assert row["images_per_s"] == pytest.approx(50_000 / row["ms"])
        # Two operations a multiply-add, three passes, 50 images.
        assert row["floor_flops"] == 6 * 50 * multiply_adds()
        assert 0 < row["flops_per_s"] < found["peak"]["float32"] * 2
    assert found["plain"]["vgg16"] > 0
    (kernels,) = found["profile"].values()
    assert any("conv" in row["kernel"] for row in kernels)
    assert 0.3 < sum(row["share"] for row in kernels) <= 1
    assert found["beside"]["vgg16"]["1"] > 0
    (times,) = found["runs"]["epochs"].values()
    assert times["epochs"] == 2
    assert found["runs"]["seconds"] > 2 * times["train"]
    table = capsys.readouterr().out
    assert "| vgg16 | eager, deterministic |" in table
    assert "All runs took" in table

    run(gpu_study, monkeypatch, tmp_path, "--beside", "1", "--workers", "1")
    assert json.loads((tmp_path / "gpu_study.json").read_text()) == found


def test_a_piece_whose_time_is_over_says_so(gpu_study, monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="the same command goes on"):
        run(gpu_study, monkeypatch, tmp_path, "--minutes", "0")
    assert set(json.loads((tmp_path / "gpu_study.json").read_text())) == {"machine"}


def multiply_adds():
    model = build_model("vgg16", 3, width=4, seed=0)
    return num_multiply_adds(model, (3, 8, 8))
