"""Published numbers of two real models, and what the panel says about them."""

import json
from pathlib import Path

import pytest

from calibench import metrics
from calibench.lab.data.prediction_files import read_predictions
from calibench.posthoc import Temperature
from command_line import calibench
from pages import row_of, sections, text

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/predictions.json").read_text("utf-8"))
FOLDER = ROOT.parent / "shared" / "data" / "predictions"


def real_predictions(name):
    if not (FOLDER / name).exists():
        pytest.skip(f"{name} is not beside this checkout: see the source in the JSON")
    return read_predictions(FOLDER / name)


@pytest.mark.parametrize("name", GOLDEN["files"])
def test_published_numbers(name):
    some = real_predictions(name)
    for metric, expected in GOLDEN["files"][name].items():
        value = getattr(metrics, metric)(some)
        assert round(value, GOLDEN["decimals"]) == expected, metric


@pytest.mark.parametrize("name", GOLDEN["files"])
def test_temperature_lowers_the_loss_and_not_the_accuracy(name):
    some = real_predictions(name)
    fitted = Temperature.fit(some)
    better = fitted.apply(some, in_sample=True)
    assert 1.3 < fitted.value < 2.1
    assert metrics.accuracy(better) == metrics.accuracy(some)
    assert metrics.nll(better) < metrics.nll(some)
    assert metrics.noise_floor(some, replicates=99).p_value == 0.01


@pytest.mark.parametrize("name", GOLDEN["files"])
def test_the_page_shows_what_the_command_prints(name):
    real_predictions(name)
    content = sections("metrics.md")["Two real models"]
    shown = content.partition(f"calibench evaluate {name}\n```\n\n```\n")[2]
    done = calibench("evaluate", FOLDER / name)
    assert done.code == 0
    assert done.out.rstrip() == shown.partition("\n```")[0]


def test_the_page_has_the_values_to_six_decimals():
    content = sections("metrics.md")["Two real models"]
    some = [real_predictions(name) for name in GOLDEN["files"]]
    found = [metrics.evaluate(each, replicates=1).measurements for each in some]
    values = {name: [each[name].value for each in found] for name in found[0]}
    values["optimal_temperature"] = [metrics.optimal_temperature(each) for each in some]
    for name, row in values.items():
        cells = row_of(content, name).split("|")[2:4]
        assert [cell.strip() for cell in cells] == [f"{value:.6f}" for value in row]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("LeNet-5", "cifar10_lenet5_netcal.npz"),
        ("WRN-16-4", "cifar10_wrn16-4_netcal.npz"),
    ],
)
def test_the_printed_class_wise_measurements(model, name):
    found = metrics.classwise_measurements(real_predictions(name)).values()

    def short(number):
        return f"{number:.4f}".removeprefix("0")

    cells = [model]
    for each in found:
        lo, hi = each.interval
        cells += [short(each.value), f"{short(lo)} to {short(hi)}"]
        cells += [short(each.floor.p95)]
    assert f"| {' | '.join(cells)} |" in text("metrics/classwise_ece.md")
