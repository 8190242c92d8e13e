"""What `calibench explain` says of a study."""

import pytest

from calibench.lab.study.explain import gradient_factor
from calibench.lab.study.loss_facts import FACTS
from calibench.losses import LOSSES, Brier, CrossEntropy, Focal, LpNorm
from command_line import TINY, calibench, study_file

HEAD = TINY[: TINY.index("[[loss]]")]


def explained(folder, toml, *options):
    done = calibench("explain", study_file(folder, toml), *options)
    assert done.code == 0, done.err
    return done


def test_every_kind_of_loss_is_known():
    assert FACTS.keys() == LOSSES.keys()


@pytest.mark.parametrize("p", [0.3, 0.5, 0.9, 0.999])
def test_gradient_factors_have_their_closed_forms(p):
    assert gradient_factor(CrossEntropy(), p, 4) == pytest.approx(1)
    smoothed = gradient_factor(CrossEntropy(smoothing=0.2), p, 4)
    assert smoothed == pytest.approx((0.85 - p) / (1 - p))
    held = gradient_factor(Focal(gamma=2, detached=True), p, 4)
    assert held == pytest.approx((1 - p) ** 2)
    # 2 (1 - p) p [1 + 1 / (K - 1)], over 1 - p.
    assert gradient_factor(Brier(), p, 4) == pytest.approx(2 * p * (1 - p) * 4 / 3)


def test_a_study_is_told_in_numbers(tmp_path):
    toml = HEAD + (
        '[[loss]]\nkind = "lp_norm"\nalpha = 0.05\n'
        '[[loss]]\nkind = "entropy"\nalpha = 0.02\n'
        '[[loss]]\nkind = "mmce"\nweight = 2.0\n'
    )
    found = explained(tmp_path, toml, "--json").json
    assert found["num_classes"] == 3
    norm, entropy, mmce = found["losses"]
    assert norm["target_confidence"] == pytest.approx(0.95)
    assert norm["gradient_factors"][0] == pytest.approx(
        gradient_factor(LpNorm(alpha=0.05), 0.5, 3)
    )
    assert any("0.075" in told for told in norm["conventions"]), "eps = alpha K / (K-1)"
    assert any(told.endswith(": 0.06") for told in entropy["conventions"]), "alpha K"
    assert "next to nothing" not in " ".join(norm["warnings"])
    assert mmce["gradient_factors"] is None
    assert "the batch, of 50 here" in mmce["warnings"][0]


def test_unequal_strengths_are_named_with_the_parameters_of_equal_ones(tmp_path):
    toml = HEAD + (
        '[[loss]]\nkind = "lp_norm"\nalpha = 0.05\n'
        '[[loss]]\nkind = "label_smoothing"\neps = 0.3\n'
    )
    text = explained(tmp_path, toml).out
    assert "0.9500: lp_norm-alpha0.05; 0.8000: label_smoothing-eps0.3" in text
    assert (
        "For 0.8 of all: lp_norm with alpha 0.2; label_smoothing with eps 0.3" in text
    )
    equal = toml.replace("alpha = 0.05", "alpha = 0.2")
    assert "warning" not in explained(tmp_path, equal).out


def test_equal_strength_keeps_the_form_of_each_loss(tmp_path):
    toml = HEAD + (
        '[[loss]]\nkind = "lp_norm"\nalpha = 0.05\np = 2\n'
        '[[loss]]\nkind = "label_smoothing"\neps = 0.3\nover = "other_classes"\n'
    )
    text = explained(tmp_path, toml).out
    alpha = LpNorm.for_target_confidence(0.7, num_classes=3, p=2).alpha
    assert f"lp_norm with alpha {alpha:.4g}, p 2" in text
    assert "label_smoothing with eps 0.3, over other_classes" in text


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ('kind = "lp_norm"\nalpha = 0.05\np = 2', "examples and classes: 0.15"),
        ('kind = "squentropy"', "summed over them: 0.5"),
        ('kind = "mdca"\nweight = 6.0', "summed over classes: 2"),
        ('kind = "mmce"\nweight = 6.0', "no weight of the root"),
    ],
)
def test_other_codes_coefficients(tmp_path, loss, told):
    assert told in explained(tmp_path, f"{HEAD}[[loss]]\n{loss}\n").out


def test_what_does_not_compare_is_warned_of(tmp_path):
    toml = HEAD.replace(
        "batch_size = 50",
        'batch_size = 50\nreduction = "sum"\nclip_grad_norm = 2.0',
    ) + (
        '[[loss]]\nkind = "focal"\ngamma = 3\n'
        '[[loss]]\nkind = "focal"\ngamma = 3\ndetached = true\n'
        '[[loss]]\nkind = "entropy"\nalpha = 9.0\n'
    )
    text = explained(tmp_path, toml).out
    assert "full and detached: their gammas do not compare" in text
    assert "a learning rate of 2.5 and a weight decay of 1e-05" in text
    assert "norm 2, that of the mean to 0.04" in text
    assert "less than even odds" in text


def test_a_margin_too_weak_for_the_target_is_said(tmp_path):
    toml = HEAD + (
        '[[loss]]\nkind = "margin_smoothing"\n[[loss]]\nkind = "lp_norm"\nalpha = 0.4\n'
    )
    text = explained(tmp_path, toml).out
    assert "margin_smoothing not so (MarginSmoothing: alpha = 0.01 is too small" in text


def test_a_loss_of_your_own_says_what_it_can(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.py").write_text(
        "import torch.nn.functional as f\n"
        "def make(): return lambda logits, labels: f.cross_entropy(logits, labels)\n"
    )
    toml = HEAD + '[[loss]]\nkind = "plain:make"\n'
    found = explained(tmp_path, toml, "--allow-code", "--json").json
    (loss,) = found["losses"]
    assert loss["target_confidence"] is None
    assert "cannot be matched" in loss["warnings"][0]
