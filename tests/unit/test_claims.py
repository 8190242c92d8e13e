import numpy as np
import pytest

from calibench.lab.store import Store
from calibench.lab.store.examples import predictions_of
from calibench.lab.study.claim import verdict_of
from calibench.lab.study.claims import judge
from calibench.lab.study.claims_text import claims_text
from calibench.lab.study.published_claims import published_claims
from calibench.lab.study.theorem_claims import ROUNDING, _check
from calibench.metrics.paired import of_size, of_squared_size, two_sided
from report_store import CROSS_ENTROPY, ENTROPY, FOCAL, LP_NORM, Course, write_store

LOSSES = (CROSS_ENTROPY, LP_NORM, ENTROPY, FOCAL)
OVER = Course(sharpness=(1.0, 3.0))
MODELS = ("resnet18", "vgg16")


CLAIMS = (
    {
        "name": "norm helps",
        "metric": "nll",
        "lower": "lp_norm-alpha0.05",
        "than": "cross_entropy",
        "calibrator": "none",
    },
    {
        "name": "and the other way round",
        "metric": "true_calibration_error",
        "lower": "cross_entropy",
        "than": "lp_norm-alpha0.05",
        "models": ["vgg16"],
        "calibrator": "none",
    },
    {
        "name": "once scaled",
        "metric": "nll",
        "lower": "cross_entropy",
        "than": "lp_norm-alpha0.05",
        "calibrator": "temperature",
    },
    {
        "name": "C4 again",
        "metric": "top_label_ece",
        "lower": "focal-gamma3",
        "than": "cross_entropy",
    },
)


def store_of(path, **more):
    """Cross-entropy and entropy regularization end over-confident, no other loss."""
    courses = {
        (model, loss["name"], seed): OVER
        for model in MODELS
        for loss in (CROSS_ENTROPY, ENTROPY)
        for seed in (0, 1, 2)
    }
    options = {"models": MODELS, "losses": LOSSES} | more
    write_store(path, courses | options.pop("courses", {}), **options)
    return path


@pytest.fixture(scope="module")
def judgement(tmp_path_factory):
    store = store_of(tmp_path_factory.mktemp("claims") / "store", claims=CLAIMS)
    return judge(store)


@pytest.fixture(scope="module")
def by_name(judgement):
    return {claim.claim.name: claim for claim in judgement.claims}


@pytest.mark.parametrize(
    ("verdicts", "needed", "expected"),
    [
        (["confirmed", "confirmed"], 2, "confirmed"),
        (["confirmed", "undecided"], 2, "undecided"),
        (["confirmed", "refuted"], 2, "refuted"),
        (["undecided", "refuted"], 2, "refuted"),
        # More than half of three: two confirmed do, and two refuted leave no two.
        (["confirmed", "confirmed", "refuted"], 2, "confirmed"),
        (["refuted", "confirmed", "undecided"], 2, "undecided"),
        (["refuted", "refuted", "undecided"], 2, "refuted"),
    ],
)
def test_the_verdict_on_a_claim_follows_from_its_hypotheses(verdicts, needed, expected):
    assert verdict_of(verdicts, needed) == expected


def test_what_is_so_is_confirmed_and_what_is_not_is_refuted(by_name):
    verdicts = {name: claim.verdict for name, claim in by_name.items()}
    assert dict(list(verdicts.items())[:6]) == {
        "C1": "confirmed",
        # It is as over-confident as cross-entropy; two epochs are too few for more.
        "C2": "undecided",
        # The L1 norm lowers over-confidence on ResNet18, too.
        "C3": "refuted",
        "C4": "confirmed",
        "T1": "confirmed",
        "T2": "confirmed",
    }


def test_the_hypotheses_are_those_of_the_claims(by_name):
    def told(name):
        return [
            (each.hypothesis.model, each.hypothesis.text, each.verdict)
            for each in by_name[name].hypotheses
        ]

    gap = "confidence_gap: lp_norm-alpha0.05 - cross_entropy"
    assert told("C3") == [
        ("resnet18", f"{gap} > -0.01", "refuted"),
        ("vgg16", f"{gap} < 0", "confirmed"),
    ]
    assert told("C1")[:3] == [
        ("resnet18", "confidence_gap: cross_entropy > 0", "confirmed"),
        ("resnet18", "nll: cross_entropy, last - best epoch > 0", "confirmed"),
        (
            "resnet18",
            "error_rate: cross_entropy, last - best epoch < 0.01",
            "confirmed",
        ),
    ]
    assert [each.verdict for each in by_name["C2"].hypotheses] == [
        "confirmed",
        "confirmed",
        "undecided",
    ]
    assert by_name["C4"].claim.needed == 2


def test_estimates_are_those_of_the_stored_rows(by_name, judgement, tmp_path):
    store = write_store(
        tmp_path / "store",
        {("vgg16", "cross_entropy", 0): OVER},
        models=("vgg16",),
        losses=LOSSES,
    )
    rows = {}
    for folder, _, _, loss in store.placed_runs():
        for row in folder.all_rows():
            rows[loss, row["epoch"], row["split"], row["calibrator"]] = row
    last, best = (rows["cross_entropy", e, "test", "none"] for e in (2, 1))
    focal = rows["focal-gamma3", 2, "test", "none"]
    found = {c.claim.name: c.hypotheses for c in judge(store.path).claims}
    values = [each.found.estimate.value for each in found["C1"]]
    assert values == pytest.approx(
        [
            last["confidence_gap"],
            last["nll"] - best["nll"],
            last["error_rate"] - best["error_rate"],
        ]
    )
    (lower,) = found["C4"]
    assert lower.found.estimate.value == pytest.approx(
        focal["top_label_ece"] - last["top_label_ece"]
    )
    assert found["C1"][0].found.facts["temperature"] == pytest.approx(
        rows["cross_entropy", 2, "test", "temperature"]["temperature"]
    )
    assert found["C1"][1].found.facts["best epoch"] == 1


def test_nothing_over_fits_that_is_best_at_the_end(tmp_path):
    courses = {("vgg16", "cross_entropy", 0): Course(sharpness=(3.0, 1.0))}
    write_store(tmp_path / "store", courses, models=("vgg16",), losses=LOSSES)
    claim = judge(tmp_path / "store").claims[0]
    _, nll, error = claim.hypotheses
    # Exactly 0, so there is nothing to test.
    assert (nll.found.estimate.value, nll.p_value, nll.verdict) == (
        0.0,
        None,
        "refuted",
    )
    assert (error.p_value, error.verdict) == (None, "confirmed")


def test_the_best_epoch_is_chosen_on_the_selection_split(tmp_path):
    losses = (CROSS_ENTROPY, FOCAL)
    store = store_of(tmp_path / "store", models=("vgg16",), losses=losses)
    before = judge(store).claims[0].hypotheses[1]
    assert before.found.facts["best epoch"] == 1
    folder = Store.existing(store).runs()[0]
    rows = {epoch: folder.rows(epoch) for epoch in (1, 2)}
    for row in rows[1]:
        if row["split"] == "selection":
            row["nll"] += 100
    folder.commit_scores(rows)
    after = judge(store).claims[0].hypotheses[1]
    assert after.found.facts["best epoch"] == 2
    assert (after.found.estimate.value, after.verdict) == (0.0, "refuted")


def test_with_one_seed_there_is_no_interval_over_seeds(by_name):
    each = by_name["C1"].hypotheses[0]
    assert each.found.seeds == (0,)
    assert each.to_dict()["over_seeds"] is None


def test_seeds_make_an_interval_of_their_own(tmp_path):
    judged = judge(store_of(tmp_path / "store", models=("vgg16",), seeds=(0, 1, 2)))
    each = judged.claims[0].hypotheses[0].to_dict()
    low, high = each["over_seeds"]
    assert (each["seeds"], judged.num_seeds) == ([0, 1, 2], 3)
    assert low < np.mean(each["by_seed"]) < high
    assert each["estimate"] == pytest.approx(np.mean(each["by_seed"]))


def test_one_seed_of_several_decides_nothing(tmp_path):
    ended = {
        ("vgg16", "focal-gamma3", seed): Course(sharpness=(1.0,), outcome="diverged")
        for seed in (0, 2)
    }
    losses = (CROSS_ENTROPY, FOCAL)
    judged = judge(
        store_of(
            tmp_path / "store",
            models=("vgg16",),
            losses=losses,
            seeds=(0, 1, 2),
            courses=ended,
        )
    )
    claims = {claim.claim.name: claim for claim in judged.claims}
    (each,) = claims["C4"].hypotheses
    assert each.found.seeds == (1,)
    assert (each.p_value, each.verdict) == (None, "undecided")
    assert each.missing.startswith("only seed 1 has finished")
    assert judged.num_tested == 3
    assert claims["C1"].hypotheses[0].found.seeds == (0, 1, 2)


def test_p_values_are_adjusted_over_all_hypotheses(judgement):
    each = {h.hypothesis: h for c in judgement.claims for h in c.hypotheses}.values()
    tested = [h for h in each if h.p_value is not None]
    assert judgement.num_tested == len(tested)
    assert {h.hypothesis.contrast for h in each if h not in tested} == {"fluctuation"}
    smallest = min(tested, key=lambda h: h.p_value)
    assert smallest.p_adjusted == pytest.approx(
        min(1.0, smallest.p_value * len(tested))
    )
    assert all(h.p_adjusted >= h.p_value for h in tested)


def test_what_would_decide_is_said_of_the_undecided_alone(judgement):
    for claim in judgement.claims:
        for each in claim.hypotheses:
            is_open = each.verdict == "undecided" and not each.missing
            assert bool(each.would_decide) == is_open
            for size in each.would_decide:
                assert size.num_examples > 400
                assert size.num_seeds is None
                if each.hypothesis.metric == "top_label_ece":
                    continue  # whose bias counts, too
                found, about = each.found.estimate, each.hypothesis
                error = found.error * (400 / size.num_examples) ** 0.5
                p_value = two_sided(found.value - about.bound, error)
                # As small as it must be for the smallest of so many, and no smaller.
                wanted = 0.05 / judgement.num_tested
                assert 0.97 * wanted < p_value <= wanted


@pytest.mark.parametrize(
    ("losses", "name", "obstacle"),
    [
        ((CROSS_ENTROPY,), "C2", "the study has no entropy regularization"),
        ((CROSS_ENTROPY,), "C3", "the study has no L1 norm"),
        (
            (CROSS_ENTROPY,),
            "C4",
            "the study has no focal loss with its full gradient",
        ),
        ((FOCAL,), "C1", "the study has no cross-entropy"),
        ((FOCAL,), "C4", "the study has no cross-entropy"),
    ],
)
def test_a_claim_about_another_loss_does_not_apply(losses, name, obstacle):
    spec = {"models": ["vgg16"], "loss": list(losses)}
    (claim,) = [each for each in published_claims(spec) if each.name == name]
    assert (claim.obstacle, claim.hypotheses) == (obstacle, ())


@pytest.mark.parametrize(
    "loss",
    [
        CROSS_ENTROPY | {"smoothing": 0.05},
        LP_NORM | {"p": 2.0},
        LP_NORM | {"p": "inf"},
        FOCAL | {"detached": True},
    ],
)
def test_variants_of_a_loss_are_not_the_loss(loss):
    spec = {"models": ["vgg16"], "loss": [loss]}
    assert all(claim.obstacle for claim in published_claims(spec))


def test_each_strength_of_a_loss_has_its_claim():
    losses = [CROSS_ENTROPY, *({**ENTROPY, "name": f"er{k}"} for k in (1, 2))]
    found = published_claims({"models": ["vgg16"], "loss": losses})
    assert [claim.name for claim in found] == ["C1", "C2 er1", "C2 er2", "C3", "C4"]


def test_vgg16_and_resnet18_are_told_from_the_rest():
    spec = {"models": ["resnet50"], "loss": list(LOSSES)}
    found = {claim.name: claim.hypotheses for claim in published_claims(spec)}
    assert [each.contrast for each in found["C2"]] == ["difference"]
    assert [(each.side, each.bound) for each in found["C3"]] == [("below", 0.0)]
    # What was not tested is not claimed.
    said = {claim.name: claim.statement for claim in published_claims(spec)}
    assert "VGG16 is left out" in said["C2"]
    assert "exception, ResNet18, is not in the study" in said["C3"]
    spec["models"] = list(MODELS)
    said = {claim.name: claim.statement for claim in published_claims(spec)}
    assert "on VGG16 its ECE changes" in said["C2"]
    assert said["C3"].endswith("except on ResNet18.")


def test_what_was_not_kept_is_said(tmp_path):
    dropped = Course(sharpness=(1.0, 3.0), dropped=(1,))
    courses = {("vgg16", "cross_entropy", 0): dropped}
    judged = judge(store_of(tmp_path / "store", models=("vgg16",), courses=courses))
    claims = {claim.claim.name: claim for claim in judged.claims}
    gap, nll, _ = claims["C1"].hypotheses
    assert gap.verdict == "confirmed"
    assert nll.verdict == claims["C1"].verdict == "undecided"
    assert nll.missing == (
        "the predictions of epoch 1 of vgg16-cross_entropy-seed0, where its selection "
        "NLL is lowest, were not kept"
    )
    assert "too few epochs" in claims["C2"].hypotheses[-1].missing
    assert nll.missing in claims_text(judged)


STEADY = Course(sharpness=(3.0,) * 6)
RESTLESS = Course(sharpness=(3.0, -3.0) * 3)


@pytest.mark.parametrize(
    ("restless", "verdict"),
    [("entropy-alpha0.3", "confirmed"), ("nothing", "refuted"), ("all", "refuted")],
)
def test_whether_ece_changes_more_from_epoch_to_epoch(tmp_path, restless, verdict):
    courses = {
        ("vgg16", loss["name"], 0): RESTLESS
        if restless in {"all", loss["name"]}
        else STEADY
        for loss in LOSSES
    }
    write_store(tmp_path / "store", courses, models=("vgg16",), losses=LOSSES, epochs=6)
    each = judge(tmp_path / "store").claims[1].hypotheses[-1]
    assert (each.hypothesis.contrast, each.verdict) == ("fluctuation", verdict)
    ours, others = each.found.facts.values()
    assert each.found.estimate.value == pytest.approx(ours - 2 * others, abs=0.02)


def test_changes_need_every_epoch_of_the_second_half(tmp_path):
    dropped = Course(sharpness=(3.0,) * 6, dropped=(1, 4))
    courses = {("vgg16", loss["name"], 0): STEADY for loss in LOSSES}
    courses["vgg16", "focal-gamma3", 0] = dropped
    write_store(tmp_path / "store", courses, models=("vgg16",), losses=LOSSES, epochs=6)
    each = judge(tmp_path / "store").claims[1].hypotheses[-1]
    assert each.missing == (
        "changes from epoch to epoch need the predictions of epochs 3 to 6 of "
        "vgg16-focal-gamma3-seed0, of which 1 were not kept"
    )


def test_a_run_that_has_not_finished_decides_nothing(tmp_path):
    courses = {
        ("vgg16", "focal-gamma3", 0): Course(sharpness=(1.0,), outcome="diverged")
    }
    judged = judge(store_of(tmp_path / "store", courses=courses))
    claims = {claim.claim.name: claim for claim in judged.claims}
    here, there = claims["C4"].hypotheses
    assert (here.verdict, there.verdict) == ("confirmed", "undecided")
    missing = "no seed of vgg16 has finished under focal-gamma3 and cross_entropy"
    assert there.missing == missing
    assert claims["T1"].theorem.num_runs == 7


def test_a_study_of_which_nothing_finished_leaves_all_undecided(tmp_path):
    waiting = Course(sharpness=(1.0,), outcome=None)
    courses = {("vgg16", loss["name"], 0): waiting for loss in LOSSES}
    judged = judge(store_of(tmp_path / "store", models=("vgg16",), courses=courses))
    assert {claim.verdict for claim in judged.claims} == {"undecided"}
    assert claims_text(judged)


def test_claims_of_the_study_file(by_name):
    verdicts = {name: by_name[name].verdict for name in list(by_name)[-4:]}
    assert verdicts == {
        "norm helps": "confirmed",
        "and the other way round": "refuted",
        "once scaled": "undecided",
        "C4 again": "confirmed",
    }
    models = [each.hypothesis.model for each in by_name["norm helps"].hypotheses]
    assert models == ["resnet18", "vgg16"]
    assert by_name["once scaled"].hypotheses[0].hypothesis.text == (
        "nll after temperature: cross_entropy - lp_norm-alpha0.05 < 0"
    )


def test_without_a_posterior_there_is_no_true_error(tmp_path):
    claim = {
        "name": "truly",
        "metric": "true_calibration_error",
        "lower": "focal-gamma3",
        "than": "cross_entropy",
    }
    write_store(
        tmp_path / "store",
        {},
        models=("vgg16",),
        losses=(CROSS_ENTROPY, FOCAL),
        claims=[claim],
        with_posterior=False,
    )
    judged = judge(tmp_path / "store")
    assert judged.claims[-1].hypotheses[0].missing == (
        "the study's data have no known posterior for true_calibration_error"
    )


def test_the_same_hypothesis_of_two_claims_is_tested_once(judgement, by_name):
    assert by_name["C4 again"].hypotheses == by_name["C4"].hypotheses
    # C1: 6, C2: 2 of 3, C3: 2, C4: 2; the study file: 2, 1 and 2.
    assert judgement.num_tested == 17


def test_a_violated_theorem_is_refuted():
    fine = (np.array([1.0, 0.0]), np.array([1.0 + ROUNDING / 2, 0.0]))
    assert _check("T1", "", [2], [fine]).verdict == "confirmed"
    broken = (np.array([1.0, 1.0]), np.array([1.0, 1.0 + 1e-6]))
    found = _check("T1", "", [2], [fine, broken])
    assert (found.verdict, found.num_violations, found.num_checks) == ("refuted", 1, 4)
    assert found.worst_margin == pytest.approx(-1e-6, rel=1e-3)


def test_a_difference_of_ece_is_that_of_the_comparison(tmp_path):
    courses = {("vgg16", "cross_entropy", 0): OVER}
    losses = (CROSS_ENTROPY, FOCAL)
    store = write_store(tmp_path / "s", courses, models=("vgg16",), losses=losses)
    theirs, ours = (
        predictions_of(folder.predictions(2), "test") for folder in store.runs()
    )
    (claim,) = (c for c in judge(store.path).claims if c.claim.name == "C4")
    (each,) = claim.hypotheses
    outcome = of_size(theirs, ours)
    assert each.found.estimate.over_examples() == pytest.approx(outcome.interval)
    assert each.p_value == pytest.approx(outcome.p_value)


def test_the_jackknife_of_the_squared_error_is_that_of_the_comparison(tmp_path):
    courses = {("vgg16", "cross_entropy", 0): OVER}
    losses = (CROSS_ENTROPY, FOCAL)
    claim = {
        "name": "mine",
        "metric": "debiased_l2",
        "lower": "focal-gamma3",
        "than": "cross_entropy",
    }
    store = write_store(
        tmp_path / "s", courses, models=("vgg16",), losses=losses, claims=[claim]
    )
    theirs, ours = (
        predictions_of(folder.predictions(2), "test") for folder in store.runs()
    )
    each = judge(store.path).claims[-1].hypotheses[0]
    outcome = of_squared_size(theirs, ours)
    assert each.found.estimate.over_examples() == pytest.approx(outcome.interval)
    assert each.p_value == pytest.approx(outcome.p_value)
