"""Every loss of the menu trains, and those that change do so the same after a stop."""

import io

import torch

from calibench.lab.store import Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.execute import execute
from calibench.lab.study.load import load_study
from calibench.losses import LOSSES
from command_line import TINY, calibench, copied, results, study_file, unfinish

REQUIRED = {
    "lp_norm": "alpha = 0.05",
    "entropy": "alpha = 0.2",
    "focal": "gamma = 2",
    "label_smoothing": 'eps = 0.05\nover = "other_classes"',
    "flsd": "gammas = [5, 3, 1]\nedges = [0.2, 0.5]",
    "dual_focal": "gamma = 5",
    "mmce": "weight = 2",
    "soft_binned_ece": "weight = 1\nnorm = 1",
}


def study_of(folder, kinds, epochs):
    head = TINY.partition("[[loss]]")[0].replace("epochs = 3", f"epochs = {epochs}")
    losses = [f'[[loss]]\nkind = "{kind}"\n{REQUIRED.get(kind, "")}' for kind in kinds]
    return study_file(folder, head + "\n".join(losses))


def test_every_loss_trains_and_is_in_the_report(tmp_path):
    study = study_of(tmp_path / "study", LOSSES, epochs=1)
    spec = load_study(study)
    names = [named.name for named in spec.losses]
    assert "flsd-gammas5_3_1-edges0.2_0.5" in names
    # In this process: seventeen others would take half a minute to start.
    content = {
        "name": spec.name,
        "spec": spec.to_dict(),
        "runs": [run.run_id for run in spec.runs()],
    }
    store = Store.prepared(tmp_path / "store", content, study.read_text())
    for folder in store.runs():
        execute(store, folder.run_id, Conditions(data=tmp_path, device="cpu"))
        assert folder.history().outcome == "finished"
        assert 0.1 < folder.manifest()["target_confidence"] <= 1
    done = calibench("report", store.path, "--out", tmp_path / "report.html")
    assert done.code == 0, done.err
    page = (tmp_path / "report.html").read_text()
    for label in ("Brier", "MbLS (m = 6, α = 0.01)", "FLSD-531", "AdaFocal"):
        assert label in page.replace("\u00a0", " ")


def test_a_loss_that_changes_goes_on_where_it_was(tmp_path):
    study = study_of(tmp_path / "study", ["adafocal", "focal_schedule"], epochs=4)
    whole = tmp_path / "whole"
    assert calibench("run", study, "--store", whole, "--workers", 1).code == 0
    stopped = copied(whole, tmp_path / "stopped")
    for folder in stopped.runs():
        unfinish(folder, epochs=2)
    assert calibench("run", study, "--store", stopped.path, "--workers", 1).code == 0
    assert results(stopped.path) == results(whole)
    verified = calibench("verify", whole, "--replay", 4)
    assert verified.code == 0, verified.err


def test_a_loss_that_learns_has_learned(tmp_path):
    study = study_of(tmp_path / "study", ["adafocal"], epochs=2)
    assert calibench("run", study, "--store", tmp_path / "s", "--workers", 1).code == 0
    (folder,) = Store.existing(tmp_path / "s").runs()
    learned = []
    for epoch in (1, 2):
        content = io.BytesIO(folder.checkpoint_of(epoch))
        learned.append(torch.load(content, weights_only=True)["loss"]["gammas"])
    assert len(set(learned[0])) > 1
    assert learned[0] != learned[1]
