import re
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from calibench.lab.report.curves import (
    Curve,
    Panel,
    View,
    curves_figure,
    panels,
    shared_limits,
)
from calibench.lab.report.reliability import draw_reliability, reliability
from calibench.lab.report.results import ECE, LossEntry, read_results
from calibench.lab.report.style import drawing, loss_styles
from calibench.lab.report.summary import Estimate
from calibench.lab.report.svg import INLINE_SETTINGS, inline_svg, pdf_bytes, svg_bytes
from calibench.predictions import Predictions
from report_store import CROSS_ENTROPY, FOCAL, LP_NORM, Course, write_store

VIEW = View(label="test ECE (%)")


def entry(kind, name):
    return LossEntry(name=name, kind=kind, parameters={}, target_confidence=None)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("figures") / "store"
    courses = {
        ("vgg16", "focal-gamma3", 1): Course(
            sharpness=(1.0,), outcome="diverged", reason="nan"
        )
    }
    losses = (CROSS_ENTROPY, LP_NORM, FOCAL)
    write_store(path, courses, losses=losses, seeds=(0, 1))
    return read_results(path)


@pytest.fixture(scope="module")
def figure1(results):
    of = panels(results, ECE, with_floor=True)
    limits, _ = shared_limits(of, VIEW)
    labels = {loss.name: loss.name for loss in results.losses}
    styles = loss_styles(results.losses)
    with drawing():
        return curves_figure(of, replace(VIEW, limits=limits), styles, labels)


def curves_of(axes):
    lines = axes.get_lines()
    return {x.get_label(): x for x in lines if not x.get_label().startswith("_")}


def test_figure_1_has_a_panel_a_model_and_a_curve_a_loss(figure1, results):
    shown = [axes for axes in figure1.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown] == ["ResNet18", "VGG16"]
    for axes in shown:
        assert list(curves_of(axes)) == [loss.name for loss in results.losses]
    assert shown[0].get_ylim() == shown[1].get_ylim()


def test_figure_1_draws_the_stored_numbers(figure1, results):
    runs = results.cell("resnet18", "focal-gamma3")
    drawn = curves_of(figure1.axes[0])["focal-gamma3"].get_ydata()
    for epoch in (1, 2):
        stored = [run.value(epoch, ECE) for run in runs]
        assert drawn[epoch - 1] == pytest.approx(100 * sum(stored) / 2, rel=1e-12)


def test_figure_1_has_a_band_a_loss_and_the_floor(figure1):
    # Three losses with two seeds each, and the noise floor behind them.
    assert len(figure1.axes[0].collections) == 4


def test_a_diverged_run_ends_in_a_cross_and_leaves_the_mean_alone(figure1, results):
    lines = figure1.axes[1].get_lines()
    (cross,) = [line for line in lines if line.get_label() == "_diverged"]
    assert cross.get_marker() == "x"
    assert list(cross.get_xdata()) == [1]
    sound = results.cell("vgg16", "focal-gamma3")[0]
    drawn = curves_of(figure1.axes[1])["focal-gamma3"].get_ydata()
    assert drawn[0] == pytest.approx(100 * sound.value(1, ECE))


def test_the_floor_is_the_highest_over_losses(results):
    panel = panels(results, ECE, with_floor=True)[0]
    stored = [
        run.rows[2, "test", "none"]["floor_p95"]
        for run in results.runs
        if run.model == "resnet18"
    ]
    assert panel.floor_p95[2] == max(stored)


def one_panel(heights):
    values = {k: Estimate(v, v, v, 1) for k, v in enumerate(heights, start=1)}
    return [Panel(model="vgg16", curves=(Curve("a", values),))]


def test_early_epochs_do_not_set_the_axis_and_are_told():
    # The first sixth of 12 epochs is 2.
    limits, beyond = shared_limits(one_panel([0.9, 0.8] + [0.1] * 10), VIEW)
    assert limits[0] == 0
    assert 10 < limits[1] < 12
    assert beyond == pytest.approx(90)


def test_a_late_epoch_is_never_cut_off():
    limits, beyond = shared_limits(one_panel([0.1] * 11 + [0.9]), VIEW)
    assert limits[1] > 90
    assert beyond is None


def test_a_zero_does_not_upset_a_logarithmic_axis():
    view = replace(VIEW, is_log=True)
    of = one_panel([0.5, 0.0, 0.1])
    limits, _ = shared_limits(of, view)
    assert limits == pytest.approx((10 / 1.3, 50 * 1.15))
    assert shared_limits(one_panel([0.0]), view)[0][0] > 0
    with drawing():
        made = curves_figure(
            of,
            replace(view, limits=limits),
            loss_styles([entry("focal", "a")]),
            {"a": "a"},
        )
        assert svg_bytes(made)


def test_an_axis_of_signed_numbers_reaches_below_0():
    limits, _ = shared_limits(one_panel([0.0, -0.1, 0.2]), VIEW)
    assert limits[0] < -10


def test_a_kind_of_loss_looks_the_same_in_every_study():
    focal = entry("focal", "focal-gamma3")
    alone = loss_styles([focal])["focal-gamma3"]
    others = [entry("lp_norm", "a"), entry("mine:Loss", "b"), focal]
    assert loss_styles(others)["focal-gamma3"] == alone


def test_losses_are_told_apart_without_color():
    losses = [entry("focal", f"focal-gamma{g}") for g in range(4)]
    losses += [entry(k, k) for k in ("cross_entropy", "lp_norm", "entropy", "mine:A")]
    styles = loss_styles(losses).values()
    assert len({(s.marker, s.is_hollow, str(s.dash)) for s in styles}) == len(losses)
    assert len({s.color for s in list(styles)[:4]}) == 1


def test_drawing_leaves_no_trace(monkeypatch):
    monkeypatch.setitem(mpl.rcParams, "lines.linewidth", 9.0)
    monkeypatch.setitem(mpl.rcParams, "axes.xmargin", 0.4)
    before = dict(mpl.rcParams)
    with drawing():
        assert mpl.rcParams["lines.linewidth"] == 1.8
        assert mpl.rcParams["axes.xmargin"] == 0.05
    assert dict(mpl.rcParams) == before


def figure():
    with drawing(**INLINE_SETTINGS):
        made = Figure(figsize=(2, 2))
        axes = made.subplots()
        axes.plot([0, 1], [0, 2], marker="o", color="#0072b2")
        axes.set_title("<script>alert(1)</script> $x$")
        return made, inline_svg(made, "some", 'a "label" & more')


def test_an_inline_figure_brings_nothing_that_could_clash_or_load():
    _, svg = figure()
    ids = re.findall(r' id="([^"]*)"', svg)
    assert ids
    assert all(name.startswith("some-") for name in ids)
    referred = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)
    assert {a or b for a, b in referred} == set(ids)
    for banned in ("http", "<style", "<!DOCTYPE", "<?xml", "<metadata", "<script"):
        assert banned not in svg
    assert 'aria-label="a &#34;label&#34; &amp; more"' in svg
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $x$" in svg


def test_an_inline_figure_follows_light_and_dark():
    _, svg = figure()
    assert "var(--ink)" in svg
    assert "var(--blue)" in svg
    assert "#1b1f24" not in svg


def test_the_same_numbers_give_the_same_files():
    def both():
        made, _ = figure()
        with drawing(**INLINE_SETTINGS):
            return svg_bytes(made), pdf_bytes(made)

    assert both() == both()
    assert b"Date" not in both()[0]


def test_reliability_by_hand():
    # Confidence .9 four times, three of them right; .6 once, right.
    probs = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]])
    diagram = reliability(Predictions.from_probs(probs, [0, 0, 0, 1, 0]))
    assert diagram.weight.tolist() == [0.2, 0.8]
    assert diagram.accuracy.tolist() == [1.0, 0.75]
    assert diagram.confidence == pytest.approx([0.6, 0.9])
    # One example of confidence .6 can be right or wrong; neither is surprising.
    assert (diagram.chance_lo[0], diagram.chance_hi[0]) == (0, 1)
    assert not diagram.is_outside.any()


def test_reliability_sees_what_chance_does_not_explain():
    # 400 answers of confidence .9, 300 of them right: sd of chance is 1.5 points.
    labels = [0] * 300 + [1] * 100
    diagram = reliability(Predictions.from_probs([[0.9, 0.1]] * 400, labels))
    assert diagram.is_outside.tolist() == [True]
    assert 0.86 < diagram.chance_lo[0] < 0.88
    assert 0.92 < diagram.chance_hi[0] < 0.94


def test_a_reliability_diagram_draws_each_bin():
    probs = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]])
    diagram = reliability(Predictions.from_probs(probs, [0, 0, 0, 1, 0]))
    with drawing():
        made = Figure()
        draw_reliability(made, diagram, loss_styles([entry("focal", "f")])["f"])
    above, below = made.axes
    dots = np.concatenate(
        [
            collection.get_offsets()
            for collection in above.collections
            if collection.get_label() in {"beyond chance", "within chance"}
        ]
    )
    assert sorted(map(tuple, dots)) == [
        pytest.approx((0.6, 1.0)),
        pytest.approx((0.9, 0.75)),
    ]
    assert [bar.get_height() for bar in below.patches] == [0.2, 0.8]
