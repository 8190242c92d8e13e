import csv
import io
import json

import pytest

from calibench.lab.report.columns import shown_columns
from calibench.lab.report.formats import (
    csv_table,
    json_numbers,
    latex_table,
    metrics_csv,
    text_table,
)
from calibench.lab.report.results import ECE, TEMPERATURE, LossEntry, read_results
from calibench.lab.report.summary import (
    NLL_SCALED,
    P_CALIBRATED,
    QUANTITIES,
    Estimate,
    FinalRow,
    final_rows,
)
from calibench.lab.report.wording import decimal, loss_labels, p_number, percent
from report_rows import LABELS, comparison, row
from report_store import CROSS_ENTROPY, FOCAL, LP_NORM, write_store

COLUMNS = shown_columns(knows_posterior=True)


def fields(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_holds_the_numbers_in_full():
    one = row("vgg16", "ce", over=1 / 3)
    (line,) = fields(csv_table([one]))
    assert float(line["top_label_ece"]) == 1 / 3
    assert float(line["top_label_ece_min"]) == 1 / 3
    assert (line["model"], line["loss"], line["epoch"]) == ("vgg16", "ce", "15")
    assert line["brier"] == ""
    keys = [quantity.key for quantity in QUANTITIES]
    assert len(set(keys)) == len(keys)
    assert set(keys) <= line.keys()


def test_metrics_csv_has_every_stored_number(tmp_path):
    write_store(tmp_path / "store", {}, models=("vgg16",))
    results = read_results(tmp_path / "store")
    lines = fields(metrics_csv(results))
    stored = [(run, one) for run in results.runs for one in run.rows.values()]
    assert len(lines) == len(stored) > 0
    for cells, (run, numbers) in zip(lines, stored, strict=True):
        assert (cells["model"], cells["loss"]) == (run.model, run.loss)
        for name, value in numbers.items():
            assert cells[name] == ("" if value is None else str(value))


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
@pytest.mark.parametrize("before", ["", " ", "\t", "\r", "\n"])
def test_csv_text_is_no_formula(before, sign):
    one = row("vgg16", "ce", over=0.1, notes=(f"{before}{sign}cmd|' /C calc'!A0",))
    (line,) = fields(csv_table([one]))
    assert line["notes"] == f"'{sign}cmd|' /C calc'!A0"


def test_a_negative_number_in_csv_stays_a_number():
    (line,) = fields(csv_table([row("vgg16", "ce", under=0.1)]))
    assert float(line["confidence_gap"]) == -0.1


def hostile_row(name):
    entry = LossEntry(name=name, kind=name, parameters={}, target_confidence=None)
    return FinalRow(
        model="a_b&c",
        loss=entry,
        epoch=None,
        is_final=False,
        seeds=(),
        notes=("\x1b[2Jgone\nnext",),
        estimates={},
        absences={TEMPERATURE: "no finite optimum"},
    )


def test_latex_is_escaped():
    name = r"100%_{x}$^2~\input"
    text = latex_table([hostile_row(name)], COLUMNS, {name: name})
    body = text.split(r"\midrule")[1]
    assert r"a\_b\&c" in body
    expected = (
        r"100\%\_\{x\}\$\textasciicircum{}2\textasciitilde{}\textbackslash{}input"
    )
    assert expected in body


def test_latex_has_a_line_a_row_and_as_many_cells_as_columns():
    rows = [row(m, loss, over=0.1) for m in ("resnet18", "vgg16") for loss in LABELS]
    text = latex_table(rows, COLUMNS, LABELS)
    lines = [
        line for line in text.splitlines() if line.startswith((" & ", "Res", "VG"))
    ]
    data = [line for line in lines if "multicolumn" not in line]
    assert len(data) == len(rows)
    assert {line.count("&") for line in data} == {len(COLUMNS) + 1}
    assert text.count(r"\midrule") == 2
    assert r"L1 norm ($\alpha$ = 0.05)" in text
    assert max(map(ord, text)) < 128


def test_the_terminal_gets_no_control_characters():
    name = "evil\x1b[31m"
    text = text_table([hostile_row(name)], COLUMNS, {name: name})
    assert "\x1b" not in text
    assert text.count("\n") == 4  # head, row, two lines of key, note
    assert "gone next" in text


def test_the_terminal_table_is_narrow_enough():
    wide = {TEMPERATURE: 1794.2, NLL_SCALED: 12.345}
    rows = [row("resnet18", loss, over=0.9, values=wide) for loss in LABELS]
    labels = dict.fromkeys(LABELS, "a loss with a very long name indeed")
    text = text_table(rows, COLUMNS, labels)
    assert max(map(len, text.splitlines())) <= 110


def test_the_terminal_shows_percent_and_the_mark_of_chance():
    inside = row("vgg16", "ce", over=0.0123, values={P_CALIBRATED: 0.3})
    beyond = row("vgg16", "l1", over=0.0456)
    text = text_table([inside, beyond], COLUMNS, LABELS).splitlines()
    assert " 1.23° " in text[1]
    assert " 4.56 " in text[2]


def test_a_missing_value_is_a_dash_and_never_0():
    one = row("vgg16", "ce", over=0.1, values={TEMPERATURE: None})
    column = next(c for c in COLUMNS if c.quantity == TEMPERATURE)
    assert column.cell(one) == "–"


def test_seeds_show_half_their_range():
    one = row("vgg16", "ce")
    estimates = {**one.estimates, ECE: Estimate(0.05, 0.04, 0.06, 2)}
    two = FinalRow(**{**vars(one), "estimates": estimates})
    column = next(c for c in COLUMNS if c.quantity == ECE)
    assert column.cell(two) == "5.00 ± 1.00"
    assert column.cell(two, with_range=False) == "5.00"


def test_of_several_seeds_the_largest_p_value_is_shown():
    one = row("vgg16", "ce", over=0.1)
    estimates = {**one.estimates, P_CALIBRATED: Estimate(0.1, 0.001, 0.2, 2)}
    two = FinalRow(**{**vars(one), "estimates": estimates})
    column = next(c for c in COLUMNS if c.quantity == P_CALIBRATED)
    assert column.cell(two) == "0.20"
    assert two.is_inside_noise


def test_columns_of_the_truth_need_the_truth():
    without = shown_columns(knows_posterior=False)
    assert len(COLUMNS) - len(without) == 2
    assert not any("true" in column.heading for column in without)


def test_json_has_every_number(tmp_path):
    write_store(tmp_path / "store", {}, models=("vgg16",))
    results = read_results(tmp_path / "store")
    rows = final_rows(results)
    compared = [comparison("vgg16", "ce", "l1", apart=True)]
    content = json.loads(json_numbers(results, rows, compared, "Said."))
    stored = results.runs[0].value(2, ECE)
    assert content["final"][0]["values"]["top_label_ece"]["mean"] == stored
    assert content["headline"] == "Said."
    assert content["num_test_examples"] == 400
    assert content["comparisons"][0]["is_told_apart"] is True


def test_labels_are_readable_and_never_equal():
    def entry(loss):
        parameters = {k: v for k, v in loss.items() if k not in {"kind", "name"}}
        return LossEntry(
            name=loss["name"],
            kind=loss["kind"],
            parameters=parameters,
            target_confidence=None,
        )

    smooth = {"kind": "cross_entropy", "name": "cross_entropy-smoothing0.05"}
    smooth["smoothing"] = 0.05
    infinite = {"kind": "lp_norm", "name": "lp_norm-p", "alpha": 0.1, "p": "inf"}
    mine = {"kind": "focal", "name": "mine", "gamma": 2.0}
    twin = FOCAL | {"name": "focal-again"}
    foreign = {"kind": "my_module:MyLoss", "name": "my_module"}
    losses = [CROSS_ENTROPY, LP_NORM, smooth, infinite, mine, FOCAL, twin, foreign]
    assert list(loss_labels([entry(loss) for loss in losses]).values()) == [
        "cross-entropy",
        "L1 norm (α = 0.05)",
        "label smoothing (ε = 0.05)",
        "L∞ norm (α = 0.1)",
        "mine",
        "focal (γ = 3) [focal-gamma3]",
        "focal (γ = 3) [focal-again]",
        "my_module",
    ]


def test_numbers_read_well():
    assert decimal(-0.04, 1) == "0.0"
    assert decimal(-0.06, 1) == "−0.1"
    assert percent(0.12345, 2) == "12.35%"
    assert p_number(0.05) == "0.05"
    assert p_number(0.0499) == "0.050"
