"""What the page says about the calibrators on two real networks."""

from pathlib import Path

import numpy as np
import pytest

from calibench import metrics, posthoc
from calibench.lab.data.prediction_files import read_predictions
from calibench.predictions import Predictions

ROOT = Path(__file__).parents[2]
FOLDER = ROOT.parent / "shared" / "data" / "predictions"
FILES = ("cifar10_lenet5_netcal.npz", "cifar10_wrn16-4_netcal.npz")
ROWS = {
    "temperature": ("temperature", {}),
    "vector": ("vector_scaling", {}),
    "matrix, Dirichlet": ("matrix_scaling", {}),
    "binning": ("histogram_binning", {}),
    "binning, top": ("histogram_binning", {"top_label": True}),
    "isotonic": ("isotonic", {}),
    "order-preserving": ("order_preserving_isotonic", {}),
}


def halves(name):
    if not (FOLDER / name).exists():
        pytest.skip(f"{name} is not beside this checkout: see tests/golden")
    some = read_predictions(FOLDER / name)
    # The files hold float32, whose rows sum to 1 only to float32's precision.
    probs, labels = some.probs.astype(np.float32), some.labels
    return (
        Predictions.from_probs(probs[:5000], labels[:5000], split="calibration"),
        Predictions.from_probs(probs[5000:], labels[5000:], split="test"),
    )


def cells(some):
    values = [
        metrics.nll(some),
        metrics.brier(some),
        metrics.top_label_ece(some),
        metrics.accuracy(some),
    ]
    return ["infinite" if v == np.inf else f"{v:.4f}".lstrip("0") for v in values]


@pytest.mark.parametrize("row", ["none", *ROWS])
def test_the_table_of_the_page(row):
    found = []
    for name in FILES:
        held_out, test = halves(name)
        if row != "none":
            test = posthoc.fit(held_out, *ROWS[row]).apply(test)
        found += cells(test)
    page = (ROOT / "docs/posthoc.md").read_text()
    line = next(each for each in page.splitlines() if each.startswith(f"| {row} | "))
    assert [cell.strip() for cell in line.split("|")[2:-1]] == found


def test_matrix_scaling_of_probabilities_is_dirichlet_calibration():
    held_out, test = halves(FILES[0])
    one = posthoc.fit(held_out, "matrix_scaling").apply(test)
    two = posthoc.fit(held_out, "dirichlet").apply(test)
    # Up to the tolerance on the sum of a float32 row.
    assert two.probs == pytest.approx(one.probs, abs=1e-5)
