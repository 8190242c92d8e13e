"""An evaluation as lines of text for a terminal."""

import math
from typing import Any

from calibench.lab.text_table import text_table
from calibench.metrics import Evaluation, TruthEvaluation
from calibench.metrics.measurement import Measurement


def evaluation_text(evaluation: Evaluation) -> str:
    """Return the verdict and a line for each metric, fractions as they are."""
    percent = f"{evaluation.level:.0%}"
    rows = [_row(name, each, percent) for name, each in evaluation.measurements.items()]
    diagnosis = evaluation.temperature
    if diagnosis.value is None:
        temperature = f"no temperature: {diagnosis.reason}"
    else:
        temperature = (
            f"temperature {diagnosis.value:.4f} has the lowest NLL on these very "
            f"predictions, {diagnosis.nll:.4f}; fit it on others to use it"
        )
    head = f"{evaluation.n} predictions of {evaluation.num_classes} classes"
    if evaluation.total_weight is not None:
        head = f"{head}, of total weight {evaluation.total_weight:.12g}"
    return "\n".join([evaluation.verdict, "", head, text_table(rows), "", temperature])


def truth_text(found: TruthEvaluation, beside: Evaluation) -> str:
    """Return a line for each number against the truth, and ECE beside them."""
    percent = f"{found.level:.0%}"
    ece = beside.measurements["top_label_ece"]
    rows = [_row("top_label_ece", ece, percent)]
    rows += [_row(name, each, percent) for name, each in found.measurements.items()]
    head = "against the posterior"
    if found.kind == "counts":
        head = f"against counts, of at least {found.fewest_counts} judges an example"
    agreement = (
        f"the likeliest class of the truth is the label of {found.label_agreement:.2%} "
        f"of the examples ({found.agreement_by_chance:.2%} if its rows were shuffled)"
    )
    if found.may_be_misaligned:
        agreement += ". Are its rows those of the predictions, in the same order?"
    return "\n".join([head, text_table(rows), "", agreement])


def _row(name: str, each: Measurement, percent: str) -> dict[str, Any]:
    low, high = each.interval or (None, None)
    floor = each.floor
    return {
        "metric": name,
        "value": None if math.isnan(each.value) else each.value,
        f"{percent} from": low,
        "to": high,
        "calibrated: mean": floor.mean if floor else None,
        "95th": floor.p95 if floor else None,
        "p": floor.p_value if floor else None,
    }
