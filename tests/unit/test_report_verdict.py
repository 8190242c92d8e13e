import pytest

from calibench.lab.report.headline import headline, ledes
from calibench.lab.report.ranking import learned
from calibench.lab.report.results import ECE, ECE_SCALED, TRUE_ERROR, read_results
from calibench.lab.report.summary import (
    ERROR_RATE,
    P_CALIBRATED,
    final_rows,
)
from calibench.lab.report.verdict import direction, verdict
from report_rows import LABELS, all_apart, ranked, row
from report_store import Course, write_store

MODELS = ("resnet18", "resnet50", "vgg16")


def table(models=MODELS, **eces):
    """A row for every loss on every model, all over-confident."""
    return [row(m, loss, over=ece) for m in models for loss, ece in eces.items()]


def told(rows, apart, *, num_models=3, labels=LABELS):
    return headline(ranked(rows, apart), labels, num_models=num_models)


def test_one_loss_best_on_every_model():
    rows = table(ce=0.06, l1=0.02, focal=0.1)
    assert told(rows, all_apart(MODELS)) == (
        "L1 norm (α = 0.05) is best calibrated on all 3 models."
    )


def test_one_loss_best_on_the_one_model():
    rows = table(("vgg16",), ce=0.06, l1=0.02, focal=0.1)
    text = told(rows, all_apart(["vgg16"]), num_models=1)
    assert text == "L1 norm (α = 0.05) is best calibrated on VGG16."


def test_a_lead_inside_the_noise_is_no_win():
    rows = table(ce=0.021, l1=0.02, focal=0.1)
    apart = {(m, a, "focal") for m in MODELS for a in ("ce", "l1")}
    assert told(rows, apart) == (
        "No clear winner: cross-entropy and L1 norm (α = 0.05) are nowhere clearly "
        "beaten; focal (γ = 3) is, on all 3 models."
    )


def test_many_losses_are_counted():
    losses = {f"loss{place}": 0.1 for place in range(5)}
    apart = {(m, a, name) for m in MODELS for a in ("ce", "l1") for name in losses}
    labels = LABELS | {name: name for name in losses}
    assert told(table(ce=0.021, l1=0.02, **losses), apart, labels=labels) == (
        "No clear winner: cross-entropy and L1 norm (α = 0.05) are nowhere clearly "
        "beaten; 5 others are, on all 3 models."
    )


def test_a_lead_inside_the_noise_on_one_model():
    rows = table(("vgg16",), ce=0.021, l1=0.02, focal=0.1)
    apart = {("vgg16", "l1", "focal")}
    assert told(rows, apart, num_models=1) == (
        "No clear winner on VGG16: cross-entropy and L1 norm (α = 0.05) are not told "
        "apart."
    )


def test_differences_that_are_all_noise():
    rows = table(ce=0.021, l1=0.02, focal=0.022)
    assert told(rows, set()) == (
        "No loss is told apart from the best calibrated one on all 3 models."
    )


def test_another_winner_on_another_model():
    rows = [
        *table(MODELS[:1], ce=0.02, l1=0.06, focal=0.1),
        *table(MODELS[1:], ce=0.06, l1=0.02, focal=0.1),
    ]
    assert told(rows, all_apart(MODELS)) == (
        "No single loss is best calibrated: cross-entropy on ResNet18 and "
        "L1 norm (α = 0.05) on ResNet50 and VGG16 come first."
    )


def test_a_model_that_cannot_be_compared_is_not_claimed():
    rows = [
        *table(MODELS[:2], ce=0.06, l1=0.02, focal=0.1),
        row("vgg16", "ce", over=0.01, is_final=False),
        row("vgg16", "l1", over=0.05),
    ]
    assert told(rows, all_apart(MODELS)) == (
        "L1 norm (α = 0.05) is best calibrated on ResNet18 and ResNet50."
    )


def test_nothing_to_compare():
    assert told([row("vgg16", "ce", over=0.01)], set()).startswith("Undecided")


@pytest.mark.parametrize(
    ("over", "under", "p_value", "word"),
    [
        (0.05, 0.0, 0.001, "over"),
        (0.04, 0.02, 0.001, "over"),
        (0.039, 0.02, 0.001, "mixed"),
        (0.02, 0.039, 0.001, "mixed"),
        (0.02, 0.04, 0.001, "under"),
        (0.05, 0.0, 0.05, "chance"),
        (0.05, 0.0, 0.049, "over"),
    ],
)
def test_the_direction(over, under, p_value, word):
    one = row("vgg16", "ce", over=over, under=under, values={P_CALIBRATED: p_value})
    assert direction(one) == word


def test_a_loss_that_learned_nothing_does_not_compete():
    # Ten classes: guessing errs on 0.9, so halfway from 0.1 is 0.5.
    rows = [
        row("vgg16", "ce", over=0.06, values={ERROR_RATE: 0.1}),
        row("vgg16", "l1", over=0.05, values={ERROR_RATE: 0.5}),
        row("vgg16", "focal", over=0.0, values={ERROR_RATE: 0.51}),
    ]
    assert [one.loss.name for one in learned(rows, 10)] == ["ce", "l1"]
    assert told(rows, all_apart(["vgg16"]), num_models=1).startswith("L1 norm")


def test_where_every_loss_hardly_beats_guessing_none_competes():
    rows = [row("vgg16", loss, over=0.01, values={ERROR_RATE: 0.85}) for loss in LABELS]
    assert learned(rows, 10) == []


def lede(ece, truth, apart):
    rows = [
        row("vgg16", loss, over=ece[loss], values={TRUE_ERROR: truth[loss]})
        for loss in LABELS
    ]
    rankings = {
        ECE.key: ranked(rows, apart),
        TRUE_ERROR.key: ranked(rows, apart, TRUE_ERROR),
        ECE_SCALED.key: ranked(rows, set(), ECE_SCALED),
    }
    return ledes(rankings, LABELS)


def test_the_truth_that_ranks_otherwise_stands_beside_the_headline():
    ece = {"ce": 0.06, "l1": 0.03, "focal": 0.1}
    truth = {"ce": 0.10, "l1": 0.12, "focal": 0.3}
    first, second = lede(ece, truth, all_apart(["vgg16"]))
    assert first == (
        "The true calibration error, which is known for these images, disagrees: it is "
        "clearly lowest for cross-entropy on VGG16."
    )
    assert second.startswith("After temperature scaling no loss is told apart")
    unclear = lede(ece, truth, set())[0]
    assert unclear.endswith(
        "puts other losses first, though not by more than noise: it is lowest for "
        "cross-entropy on VGG16."
    )
    agreeing = lede(ece, {"ce": 0.2, "l1": 0.1, "focal": 0.3}, set())[0]
    assert agreeing.endswith("agrees on who comes first.")


def findings(tmp_path, courses, **more):
    """The verdict on a small store, with every difference taken as real."""
    write_store(tmp_path / "store", courses, models=("resnet18",), **more)
    results = read_results(tmp_path / "store")
    rows = final_rows(results)
    names = {loss.name for loss in results.losses}
    labels = {"cross_entropy": "cross-entropy", "focal-gamma3": "focal (γ = 3)"}
    assert names == labels.keys()
    empty = {q.key: [] for q in (ECE, ECE_SCALED, TRUE_ERROR)}
    found = verdict(results, rows, empty, labels).findings
    return {finding.title: " ".join(finding.sentences) for finding in found}


def test_over_and_under_are_said_in_words(tmp_path):
    courses = {
        ("resnet18", "cross_entropy", 0): Course(sharpness=(1.0, 3.0)),
        ("resnet18", "focal-gamma3", 0): Course(sharpness=(1.0, 0.3)),
    }
    way = findings(tmp_path, courses)["Which way"]
    assert "Cross-entropy is over-confident on ResNet18 (confidence above" in way
    assert "Focal (γ = 3) is under-confident on ResNet18 (confidence below" in way


def test_what_a_calibrated_model_would_also_show_is_called_chance(tmp_path):
    said = findings(tmp_path, {})
    assert "not told apart from calibrated" in said["Which way"]
    assert "No ECE here is larger than chance explains." in said["Against chance"]


def test_one_seed_is_called_one_seed_and_two_are_not(tmp_path):
    assert "There is one seed" in findings(tmp_path / "a", {})["How sure"]
    two = findings(tmp_path / "b", {}, seeds=(0, 1))["How sure"]
    assert "means over 2 seeds" in two
    assert "one seed" not in two
