"""Inverse links of losses against the numerical minimum of the expected loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from calibench.errors import DataError, ParameterError
from calibench.losses import (
    DualFocal,
    EntropyRegularization,
    LabelSmoothing,
    LogitNorm,
    LpNorm,
    Squentropy,
)
from calibench.posthoc import LINKS, LossLink, Temperature, load, save
from calibench.predictions import Predictions
from calibench.theory.links import link_of
from loss_batches import ALL_LOSSES, BATCH_LOSSES

POSTERIORS = [
    [0.8, 0.2],
    [0.55, 0.45],
    [0.6, 0.3, 0.1],
    [0.2, 0.5, 0.3],
    [0.4, 0.3, 0.2, 0.1],
]
LOSSES = {
    "label_smoothing": (lambda s: LabelSmoothing(eps=s), [0.05, 0.4]),
    "entropy": (lambda s: EntropyRegularization(alpha=s), [0.1, 0.5]),
    "lp_norm": (lambda s: LpNorm(alpha=s, p=2), [0.02, 0.05]),
    "squentropy": (lambda s: Squentropy(alpha=s), [0.1, 1.0]),
    "logit_norm": (lambda s: LogitNorm(tau=s), [0.04, 0.3]),
    "dual_focal": (lambda s: DualFocal(gamma=s), [0.5, 1.0, 3.0]),
}


def optimum(loss, posterior):
    """Return logits where the loss, expected over the label, is least."""
    num_classes = len(posterior)
    weights = torch.tensor(posterior, dtype=torch.float64)
    labels = torch.arange(num_classes)

    def expected(logits):
        leaf = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
        value = (weights * loss.per_example(leaf.expand(num_classes, -1), labels)).sum()
        return value.item(), torch.autograd.grad(value, leaf)[0].numpy()

    found = minimize(
        expected,
        np.log(posterior),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-11, "maxiter": 5000},
    )
    assert np.abs(found.jac).max() < 1e-6
    return found.x


@pytest.mark.parametrize("posterior", POSTERIORS, ids=str)
@pytest.mark.parametrize(
    ("kind", "strength"),
    [(kind, each) for kind, (_, strengths) in LOSSES.items() for each in strengths],
)
def test_the_link_leads_from_the_optimum_to_the_posterior(kind, strength, posterior):
    loss = LOSSES[kind][0](strength)
    logits = optimum(loss, posterior)
    link = replace(link_of(loss, len(posterior)), floor=1e-12)
    assert (link.kind, link.strength) == (kind, strength)
    found = np.exp(link(logits[None]))[0]
    np.testing.assert_allclose(found / found.sum(), posterior, atol=1e-5)
    # Otherwise there would be nothing to invert. LogitNorm is, up to its division.
    plain = np.exp(logits - logits.max())
    assert np.abs(plain / plain.sum() - posterior).max() > 1e-4


def test_every_link_is_tested():
    assert LOSSES.keys() == LINKS.keys()


def some(num_examples=400, seed=0, kind="logits"):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(num_examples, 4))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    if kind == "logits":
        return Predictions.from_logits(1.5 * logits, labels)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions.from_probs(probs, labels)


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_keeps_the_predicted_class_and_survives_a_file(kind, tmp_path):
    link = LossLink.fit(some(), kind=kind, strength=0.3)
    others = some(seed=1)
    calibrated = link.apply(others)
    assert (calibrated.predicted == others.predicted).all()
    assert np.isfinite(calibrated.values).all()
    save(link, tmp_path / "link.json")
    assert load(tmp_path / "link.json").to_dict() == link.to_dict()


@pytest.mark.parametrize("kind", [each for each in LINKS if each != "logit_norm"])
def test_a_link_of_strength_zero_is_temperature_scaling(kind):
    link = LossLink.fit(some(), kind=kind, strength=0, floor=1e-300)
    assert link.temperature == pytest.approx(Temperature.fit(some()).value, rel=1e-9)


@pytest.mark.parametrize("kind", ["lp_norm", "squentropy", "logit_norm"])
def test_a_link_of_logits_refuses_probabilities(kind):
    with pytest.raises(DataError, match="needs logits"):
        LossLink.fit(some(kind="probs"), kind=kind, strength=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("entropie", 0.1, 1.0), "Did you mean 'entropy'"),
        (("entropy", -0.1, 1.0), "strength"),
        (("entropy", 0.1, 0.0), "temperature must be above 0"),
        (("entropy", 0.1, 1.0, 0.0), "floor must be in"),
        (("logit_norm", 0.0, 1.0), "tau, which must be above 0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        LossLink(*arguments)


def test_what_a_loss_never_asks_for_gets_the_floor():
    # Smoothing with eps .4 over two classes leaves each at least .2.
    link = LossLink("label_smoothing", 0.4, temperature=1.0, floor=0.01)
    found = np.exp(link(np.log([[0.9, 0.1]])))
    np.testing.assert_allclose(found, [[1.0, 0.01]], atol=1e-9)


def test_the_other_convention_of_smoothing_has_the_link_of_the_first():
    loss = LabelSmoothing(eps=0.18, over="other_classes")
    posterior = [0.5, 0.2, 0.1, 0.1, 0.1]
    link = replace(link_of(loss, 5), floor=1e-12)
    found = np.exp(link(optimum(loss, posterior)[None]))[0]
    np.testing.assert_allclose(found / found.sum(), posterior, atol=1e-5)


def test_what_has_no_link_has_none_and_focal_has_its_own():
    linked = {
        type(loss).__name__: link_of(loss, 10) for loss in ALL_LOSSES + BATCH_LOSSES
    }
    assert {name for name, link in linked.items() if link is None} == {
        "ACLS",
        "AdaFocal",
        "Brier",
        "FLSD",
        "FocalSchedule",
        "LpNorm",  # the last of them has p = inf
        "MDCA",
        "MMCE",
        "MarginSmoothing",
        "SoftBinnedECE",
    }
    assert linked["Focal"].method == "focal_link"
    assert link_of(EntropyRegularization(alpha=0), 10) is None
    assert link_of(LpNorm(alpha=0.1), 10) is None
