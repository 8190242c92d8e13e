"""Numbers that torchmetrics printed before its version 1.0, kept as they were."""

import json
from pathlib import Path

import pytest

from calibench.metrics.presets import PRESETS
from calibench.predictions import Predictions
from reference.generated_predictions import generated

FILE = Path(__file__).parents[1] / "golden" / "torchmetrics_0.11.4.json"
CASES = json.loads(FILE.read_text("utf-8"))["cases"]
DATA = ("seed", "num_examples", "num_classes")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"seed {case['seed']}")
def test_numbers_of_torchmetrics_0_11(case):
    probs, labels = generated(
        *(case[key] for key in DATA), grid=case["grid"], certain=case["certain"]
    )
    some = Predictions.from_probs(probs, labels)
    names = [key for key in case if "torchmetrics" in key]
    assert len(names) >= 3
    for key in names:
        *wide, name = key.split()
        found = PRESETS[name](
            some, num_bins=case["num_bins"], dtype="float64" if wide else "float32"
        )
        # Sums over examples are the same bits; those over bins are added in an order
        # that depends on the processor.
        rounding = 2**-52 if wide else 2**-24
        assert found == pytest.approx(case[key], rel=case["num_bins"] * rounding), key
