import json
import tomllib
from pathlib import Path

import pytest

from calibench.lab.data.sources import Cifar10, Gratings
from calibench.lab.data.splits import SplitSizes
from calibench.lab.store.canonical import canonical_json
from calibench.lab.study.load import StudyFileError, load_study, study_from_table
from calibench.lab.study.run import DEMO_STUDY
from calibench.lab.training.recipe import Recipe
from calibench.lab.training.schedule import Cosine, MultiStep, OneCycle
from calibench.losses import LOSSES, CrossEntropy, EntropyRegularization, Focal, LpNorm

STUDIES = Path(__file__).parents[2] / "studies"

# Of the design: what a study file may leave out, and what it must not.
EXAMPLE = """
name = "figure1"
dataset = "cifar10"
models = ["resnet18", "resnet50", "vgg16"]
seeds = [0, 1, 2]
[train]
epochs = 200
[[loss]]
kind = "cross_entropy"
[[loss]]
kind = "lp_norm"
alpha = 0.01
p = 1
[[loss]]
kind = "entropy"
alpha = 0.1
[[loss]]
kind = "focal"
gamma = 3
"""

SMALL = """
name = "small"
dataset = "gratings"
models = ["resnet18"]
[train]
epochs = 2
[[loss]]
kind = "focal"
gamma = 2
"""
CLAIM = """
[[claim]]
name = "mine"
metric = "top_label_ece"
lower = "focal-gamma2"
than = "other"
"""
# Beside the loss of SMALL.
OTHER = '[[loss]]\nkind = "cross_entropy"\nname = "other"\n'


def read(toml):
    return study_from_table(tomllib.loads(toml), source="some.toml")


def problems(toml):
    with pytest.raises(StudyFileError) as caught:
        read(toml)
    head, *lines = str(caught.value).splitlines()
    assert head == "some.toml is not a valid study:"
    assert all(line.startswith("  ") for line in lines)
    return [line.strip() for line in lines]


def test_the_example_of_the_design_is_a_study_with_these_defaults():
    study = read(EXAMPLE)
    assert study.name == "figure1"
    assert study.dataset == Cifar10(image_size=32)
    assert study.models == ("resnet18", "resnet50", "vgg16")
    assert study.seeds == (0, 1, 2)
    assert (study.width, study.keep) == (64, "all")
    assert study.splits == SplitSizes(selection=2500, calibration=2500)
    assert (study.splits.train, study.splits.test) == (None, None)
    assert study.train == Recipe(epochs=200)
    assert [named.loss for named in study.losses] == [
        CrossEntropy(),
        LpNorm(alpha=0.01, p=1),
        EntropyRegularization(alpha=0.1),
        Focal(gamma=3),
    ]
    assert [named.name for named in study.losses] == [
        "cross_entropy",
        "lp_norm-alpha0.01",
        "entropy-alpha0.1",
        "focal-gamma3",
    ]
    assert len(study.runs()) == 3 * 4 * 3


# Models and losses of each.
GRIDS = {
    "demo": (3, 4),
    "figure1": (3, 4),
    "cifar10_small": (3, 4),
    "equal_strength": (2, 17),
    "recipe_mean": (1, 3),
    "recipe_sum": (1, 3),
    "truth": (2, 17),
}


def test_every_study_that_is_delivered_can_be_read():
    studies = [load_study(path) for path in (DEMO_STUDY, *STUDIES.glob("*.toml"))]
    found = {each.name: (len(each.models), len(each.losses)) for each in studies}
    assert found == GRIDS


def test_losses_at_equal_strength_have_equal_targets():
    study = load_study(STUDIES / "equal_strength.toml")
    for named in study.losses[2:]:
        target = int(named.name.rpartition("-")[2]) / 100
        assert named.loss.target_confidence(10) == pytest.approx(target, abs=1e-5)


def test_the_study_of_the_truth_has_every_loss():
    study = load_study(STUDIES / "truth.toml")
    assert {each.to_dict()["kind"] for each in study.losses} == set(LOSSES)


WRONG = {
    "unknown key of the study": (
        'nam = "x"' + SMALL,
        "study: unknown key 'nam'. Did you mean 'name'?",
    ),
    "unknown key of [train]": (
        SMALL.replace("epochs = 2", "epochs = 2\nepoch = 3"),
        "[train]: unknown key 'epoch'. Did you mean 'epochs'?",
    ),
    "unknown key of the schedule": (
        SMALL.replace("epochs = 2", 'epochs = 2\nschedule = {kind="cosine", warm=1}'),
        "[train.schedule]: unknown key 'warm'. Did you mean 'warmup'?",
    ),
    "unknown key of the data set": (
        SMALL.replace('"gratings"', '{kind = "gratings", num_class = 3}'),
        "[dataset]: unknown key 'num_class'. Did you mean 'num_classes'?",
    ),
    "unknown key of the splits": (
        SMALL.replace(
            "[train]", "[splits]\nselection=9\ncalibration=9\nval=9\n[train]"
        ),
        "[splits]: unknown key 'val'. Choose from train, selection, calibration, test.",
    ),
    "unknown key of a loss": (
        SMALL.replace("gamma = 2", "gamma = 2\ndetach = true"),
        "[[loss]] focal: unknown key 'detach'. Did you mean 'detached'?",
    ),
    "unknown loss": (
        SMALL.replace('"focal"', '"focul"'),
        "[[loss]]: unknown loss kind 'focul'. Did you mean 'focal'?",
    ),
    "unlike any loss": (
        SMALL.replace('"focal"', '"x"'),
        f"[[loss]]: unknown loss kind 'x'. Choose from {', '.join(LOSSES)}.",
    ),
    "loss of no kind": (
        SMALL.replace('kind = "focal"', ""),
        f"[[loss]]: missing kind. Choose from {', '.join(LOSSES)}.",
    ),
    "unknown model": (
        SMALL.replace("resnet18", "resnet81"),
        "models: unknown model 'resnet81'. Did you mean 'resnet18'?",
    ),
    "unknown data set": (
        SMALL.replace("gratings", "grating"),
        "[dataset]: unknown data set 'grating'. Did you mean 'gratings'?",
    ),
    "unknown schedule": (
        SMALL.replace("epochs = 2", 'epochs = 2\nschedule = "cosin"'),
        "[train.schedule]: unknown schedule 'cosin'. Did you mean 'cosine'?",
    ),
    "number as text": (
        SMALL.replace("epochs = 2", 'epochs = "2"'),
        "[train] epochs: must be a whole number, got '2'.",
    ),
    "fraction of an epoch": (
        SMALL.replace("epochs = 2", "epochs = 2.0"),
        "[train] epochs: must be a whole number, got 2.0.",
    ),
    "flag as number": (
        SMALL.replace("epochs = 2", "epochs = true"),
        "[train] epochs: must be a whole number, got True.",
    ),
    "number as flag": (
        SMALL.replace("epochs = 2", "epochs = 2\nflip = 1"),
        "[train] flip: must be true or false, got 1.",
    ),
    "text as rate": (
        SMALL.replace("epochs = 2", 'epochs = 2\nlearning_rate = "fast"'),
        "[train] learning_rate: must be a number, got 'fast'.",
    ),
    "schedule as number": (
        SMALL.replace("epochs = 2", "epochs = 2\nschedule = 3"),
        "[train] schedule: must be a kind or a table, got 3.",
    ),
    "milestone as text": (
        SMALL.replace(
            "epochs = 2", 'epochs = 2\nschedule = {kind="multi_step", milestones=["a"]}'
        ),
        "[train.schedule] milestones[0]: must be a number, got 'a'.",
    ),
    "models as text": (
        SMALL.replace('["resnet18"]', '"resnet18"'),
        "models: must be a list, got 'resnet18'.",
    ),
    "model as number": (
        SMALL.replace('["resnet18"]', '["vgg16", 1]'),
        "models[1]: must be text, got 1.",
    ),
    "data set as number": (
        SMALL.replace('"gratings"', "3"),
        "dataset: must be text or a table, got 3.",
    ),
    "loss as text": (
        'loss = ["focal"]' + SMALL[: SMALL.index("[[loss]]")],
        "loss[0]: must be a table, got 'focal'.",
    ),
    "one bracket": (
        SMALL.replace("[[loss]]", "[loss]"),
        "[loss]: write [[loss]], with two brackets, for each loss.",
    ),
    "word of a menu": (
        SMALL.replace("epochs = 2", 'epochs = 2\nreduction = "summ"'),
        "[train] reduction: must be 'mean' or 'sum', got 'summ'.",
    ),
    "size of a menu": (
        SMALL.replace('"gratings"', '{kind = "cifar10", image_size = 17}'),
        "[dataset] image_size: must be 16 or 32, got 17.",
    ),
    "no epochs": (
        SMALL.replace("epochs = 2", ""),
        "[train]: missing 'epochs', and it has no default.",
    ),
    "no gamma": (
        SMALL.replace("gamma = 2", ""),
        "[[loss]] focal: missing 'gamma', and it has no default.",
    ),
    "half of the splits": (
        SMALL.replace("[train]", "[splits]\nselection = 9\n[train]"),
        "[splits]: missing 'calibration', and it has no default.",
    ),
    "no models": (SMALL.replace('"resnet18"', ""), "models: empty. Name at least one."),
    "no seeds": ("seeds = []" + SMALL, "seeds: empty. Name at least one."),
    "no losses": (
        "loss = []" + SMALL[: SMALL.index("[[loss]]")],
        "loss: empty. Name at least one.",
    ),
    "a model twice": (
        SMALL.replace('"resnet18"', '"vgg16", "vgg16"'),
        "models: ['vgg16', 'vgg16'] names one twice.",
    ),
    "a seed twice": ("seeds = [1, 1]" + SMALL, "seeds: [1, 1] names one twice."),
    "a loss twice": (
        SMALL + '[[loss]]\nkind = "focal"\ngamma = 2.0\n',
        "[[loss]] focal-gamma2: twice. Give each a `name` of its own.",
    ),
    "a seed below 0": ("seeds = [-1]" + SMALL, "seeds: -1 is not in [0, 2**63)."),
    "a seed too large": (
        f"seeds = [{2**63}]" + SMALL,
        f"seeds: {2**63} is not in [0, 2**63).",
    ),
    "no width": ("width = 0" + SMALL, "width: must be at least 1, got 0."),
    "keep nothing": (
        "keep = 0" + SMALL,
        'keep: 0 is not "all", "last" or a number of epochs.',
    ),
    "keep some": (
        'keep = "some"' + SMALL,
        'keep: \'some\' is not "all", "last" or a number of epochs.',
    ),
    "keep a fraction": (
        "keep = 1.5" + SMALL,
        "keep: must be text or a whole number, got 1.5.",
    ),
    "one bracket for a claim": (
        SMALL + OTHER + CLAIM.replace("[[claim]]", "[claim]"),
        "[claim]: write [[claim]], with two brackets, for each claim.",
    ),
    "a claim about another loss": (
        SMALL + OTHER + CLAIM.replace('"other"', '"othr"'),
        "[[claim]] mine: unknown loss 'othr'. Did you mean 'other'?",
    ),
    "a claim about another model": (
        SMALL + OTHER + CLAIM + 'models = ["resnet81"]',
        "[[claim]] mine: unknown model 'resnet81'. Did you mean 'resnet18'?",
    ),
    "a claim about no model": (
        SMALL + OTHER + CLAIM + "models = []",
        "[[claim]] mine: models is empty. Name at least one, or leave it out.",
    ),
    "a claim about a model twice": (
        SMALL + OTHER + CLAIM + 'models = ["resnet18", "resnet18"]',
        "[[claim]] mine: models names one twice: ['resnet18', 'resnet18'].",
    ),
    "a claim about another metric": (
        SMALL + OTHER + CLAIM.replace("top_label_ece", "ece"),
        "[[claim]] mine: unknown metric 'ece'. Choose from confidence_gap, "
        "top_label_ece, debiased_l2, nll, brier, error_rate, "
        "true_calibration_error.",
    ),
    "a claim about another calibrator": (
        SMALL + OTHER + CLAIM + 'calibrator = "temprature"',
        "[[claim]] mine: unknown calibrator 'temprature'. Did you mean 'temperature'?",
    ),
    "a claim with another key": (
        SMALL + OTHER + CLAIM + 'model = "resnet18"',
        "[[claim]] mine: unknown key 'model'. Did you mean 'models'?",
    ),
    "a claim without a metric": (
        SMALL + OTHER + CLAIM.replace("metric =", "#"),
        "[[claim]] mine: missing 'metric', and it has no default.",
    ),
    "a claim without a name": (
        SMALL + OTHER + CLAIM.replace("name =", "#"),
        "[[claim]]: missing 'name', and it has no default.",
    ),
    "a claim with an empty name": (
        SMALL + OTHER + CLAIM.replace('"mine"', '" "'),
        "[[claim]]: ' ' is no name: 1 to 100 printable characters.",
    ),
    "a claim with the name of ours": (
        SMALL + OTHER + CLAIM.replace('"mine"', '"C1"'),
        "[[claim]]: C1 is a claim that comes with calibench.",
    ),
    "a claim twice": (
        SMALL + OTHER + CLAIM + CLAIM,
        "[[claim]] mine: twice. Give each a `name` of its own.",
    ),
    "a claim about one loss": (
        SMALL + OTHER + CLAIM.replace('than = "other"', 'than = "focal-gamma2"'),
        "[[claim]] mine: `lower` and `than` are both 'focal-gamma2'.",
    ),
    "recipe out of range": (
        SMALL.replace("epochs = 2", "epochs = 2\nmomentum = 1"),
        "[train]: momentum must be in [0, 1), got 1.0.",
    ),
    "schedule out of range": (
        SMALL.replace("epochs = 2", 'epochs = 2\nschedule = {kind="cosine", warmup=1}'),
        "[train.schedule]: warmup must be in [0, 1), got 1.0.",
    ),
    "loss out of range": (
        SMALL.replace("gamma = 2", "gamma = -1"),
        "[[loss]] focal: Focal: gamma must be a number in [0, inf), got -1.0.",
    ),
    "not a number": (
        SMALL.replace("gamma = 2", "gamma = nan"),
        "[[loss]] focal: Focal: gamma must be a number in [0, inf), got nan.",
    ),
}


@pytest.mark.parametrize(("toml", "problem"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_study_is_refused_in_words_that_help(toml, problem):
    read(SMALL)
    assert problems(toml) == [problem]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/b",
        "a\\\\b",
        ".hidden",
        "-x",
        "<b>",
        "a b",
        "x\\n",
        "é",
        "x" * 101,
    ],
)
def test_a_name_that_could_do_harm_is_refused(name):
    whole = SMALL.replace('"small"', f'"{name}"')
    (problem,) = problems(whole)
    assert problem.startswith("name: ")
    assert "is no name. Begin with a letter or digit" in problem
    if name:
        (problem,) = problems(SMALL.replace("gamma = 2", f'gamma = 2\nname = "{name}"'))
        assert problem.startswith("[[loss]]: ")


def test_all_problems_are_told_at_once():
    toml = """
    nam = "x"
    name = "a/b"
    dataset = {kind = "gratings", size = 3}
    models = ["resnet81", "vgg17"]
    seeds = [-1, -2]
    keep = "some"
    [splits]
    selection = "all"
    [train]
    epochs = 0.5
    schedule = {kind = "one_cycle", peak = 2}
    [[loss]]
    kind = "focul"
    [[loss]]
    kind = "entropy"
    alpha = -1
    """
    told = problems(toml)
    assert sorted(line.partition(":")[0] for line in told) == [
        "[[loss]]",
        "[[loss]] entropy",
        "[dataset]",
        "[splits]",
        "[splits] selection",
        "[train.schedule]",
        "[train] epochs",
        "keep",
        "models",
        "models",
        "name",
        "seeds",
        "seeds",
        "study",
    ]


def test_an_empty_file_lacks_everything_that_has_no_default():
    missing = ["name", "dataset", "models", "train", "loss"]
    assert problems("") == [
        f"study: missing {key!r}, and it has no default." for key in missing
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = 'x'\nmodels = ]", r"not a TOML file: .*line 2"),
        (b"name = 'x'\nname = 'y'\n", r"not a TOML file: .*overwrite.*line 2"),
        (b"\xff\xfe", "not a TOML file: .*utf-8"),
        (b"\x00", "not a TOML file: "),
    ],
)
def test_what_is_not_toml_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "some.toml"
    path.write_bytes(content)
    with pytest.raises(StudyFileError, match=rf"some\.toml: {message}"):
        load_study(path)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(
        StudyFileError, match=r"none\.toml: No such file .* Give the path of a study"
    ):
        load_study(tmp_path / "none.toml")
    with pytest.raises(StudyFileError, match="Is a directory"):
        load_study(tmp_path)


RICH = """
name = "rich"
models = ["vgg16", "resnet18"]
width = 8
seeds = [7, 3]
keep = 5
[dataset]
kind = "gratings"
num_classes = 4
[splits]
train = 100
selection = 20
calibration = 30
test = 40
[train]
epochs = 12
clip_grad_norm = 2
reduction = "sum"
[train.schedule]
kind = "multi_step"
milestones = [0.25, 0.5]
factor = 0.2
[[loss]]
kind = "lp_norm"
alpha = 0.05
p = inf
[[loss]]
kind = "cross_entropy"
smoothing = 0.05
name = "smoothed"
[[loss]]
kind = "focal"
gamma = 1e6
detached = true
"""


@pytest.mark.parametrize(
    "toml",
    [
        EXAMPLE,
        SMALL,
        RICH,
        SMALL + OTHER + CLAIM,
        SMALL + OTHER + CLAIM + 'models = ["resnet18"]\ncalibrator = "temperature"',
        RICH.replace("keep = 5", 'keep = "last"'),
        SMALL.replace("epochs = 2", 'epochs = 2\nschedule = "one_cycle"'),
        SMALL.replace(
            "epochs = 2", 'epochs = 2\nschedule = {kind="cosine", final=0.1}'
        ),
    ],
)
def test_what_a_store_notes_is_the_same_study(toml):
    study = read(toml)
    noted = json.loads(canonical_json(study.to_dict()))
    again = study_from_table(noted, source="study.json")
    assert again == study
    assert again.to_dict() == study.to_dict()
    assert [run.run_id for run in again.runs()] == [run.run_id for run in study.runs()]


def test_everything_written_arrives():
    study = read(RICH)
    assert study.dataset == Gratings(num_classes=4)
    assert study.splits == SplitSizes(train=100, selection=20, calibration=30, test=40)
    assert study.train.schedule == MultiStep(milestones=(0.25, 0.5), factor=0.2)
    assert (study.train.clip_grad_norm, study.train.reduction) == (2.0, "sum")
    assert [named.name for named in study.losses] == [
        "lp_norm-alpha0.05-pinf",
        "smoothed",
        "focal-gamma1e06-detachedTrue",
    ]
    assert study.losses[0].loss.p == float("inf")
    assert [epoch for epoch in range(1, 13) if study.keeps(epoch)] == [5, 10, 12]


@pytest.mark.parametrize(
    ("keep", "kept"), [('"all"', [1, 2]), ('"last"', [2]), ("1", [1, 2]), ("9", [2])]
)
def test_which_logits_are_kept(keep, kept):
    study = read(f"keep = {keep}" + SMALL)
    assert [epoch for epoch in (1, 2) if study.keeps(epoch)] == kept


def test_a_schedule_may_be_written_as_its_kind():
    for kind, schedule in [("cosine", Cosine()), ("one_cycle", OneCycle())]:
        for written in (f'"{kind}"', f'{{kind = "{kind}"}}'):
            toml = SMALL.replace("epochs = 2", f"epochs = 2\nschedule = {written}")
            assert read(toml).train.schedule == schedule


def test_a_run_is_named_by_what_it_is():
    (run,) = read(SMALL).runs()
    # It names folders of stores that exist: another name would start them anew.
    assert run.run_id == "resnet18-focal-gamma2-seed0-15feeabe"


@pytest.mark.parametrize(
    "change",
    [
        ("epochs = 2", "epochs = 3"),
        ("epochs = 2", "epochs = 2\nlearning_rate = 0.2"),
        ("epochs = 2", 'epochs = 2\nschedule = "one_cycle"'),
        ("gamma = 2", "gamma = 2.0000001"),
        ("gamma = 2", "gamma = 2\ndetached = true"),
        ("gamma = 2", 'gamma = 2\nname = "other"'),
        ('"gratings"', '{kind = "gratings", seed = 1}'),
        ("[train]", "[splits]\nselection = 9\ncalibration = 9\n[train]"),
        ("resnet18", "vgg16"),
        ('name = "small"', 'name = "small"\nseeds = [1]'),
        ('name = "small"', 'name = "small"\nwidth = 4'),
    ],
)
def test_whatever_can_change_the_result_changes_the_run(change):
    (before,), (after,) = read(SMALL).runs(), read(SMALL.replace(*change)).runs()
    assert before.run_id.rpartition("-")[2] != after.run_id.rpartition("-")[2]


@pytest.mark.parametrize(
    "change",
    [
        ('"small"', '"another"'),
        ('name = "small"', 'name = "small"\nkeep = "last"'),
        ('name = "small"', 'name = "small"\nseeds = [0]\nwidth = 64'),
        ("epochs = 2", "momentum = 0.9\nepochs = 2"),
        ("gamma = 2", "gamma = 2.0"),
        ('"gratings"', '{seed = 0, kind = "gratings"}'),
    ],
)
def test_nothing_else_does(change):
    (before,), (after,) = read(SMALL).runs(), read(SMALL.replace(*change)).runs()
    assert before.run_id == after.run_id


def test_a_claim_changes_no_run():
    before, after = read(SMALL + OTHER), read(SMALL + OTHER + CLAIM)
    (claim,) = after.claims
    assert before.claims == ()
    assert (claim.name, claim.models, claim.calibrator) == ("mine", None, "none")
    assert [run.run_id for run in before.runs()] == [run.run_id for run in after.runs()]


def test_a_claim_is_checked_beside_what_else_is_wrong():
    toml = SMALL.replace("gamma = 2", "gamma = -2") + OTHER
    told = problems(toml + CLAIM.replace("top_label_ece", "ece"))
    # What the refused loss would have been called is not known, so not missed.
    assert [line.partition(":")[0] for line in told] == [
        "[[loss]] focal",
        "[[claim]] mine",
    ]


def test_a_study_may_grow_and_keep_its_runs():
    before = {run.run_id for run in read(RICH).runs()}
    grown = RICH.replace("seeds = [7, 3]", "seeds = [7, 3, 5]")
    grown += '[[loss]]\nkind = "entropy"\nalpha = 0.3\n'
    after = [run.run_id for run in read(grown).runs()]
    assert before < set(after)
    assert len(after) == len(set(after)) == 3 * 2 * 4


def test_losses_share_a_seed_and_come_side_by_side():
    runs = read(RICH).runs()
    assert [(run.seed, run.model) for run in runs[::3]] == [
        (7, "vgg16"),
        (7, "resnet18"),
        (3, "vgg16"),
        (3, "resnet18"),
    ]
