import re

import numpy as np

from calibench.cli import main
from calibench.lab.report import write_predictions_page
from calibench.metrics import evaluate
from calibench.predictions import Predictions


def some_predictions():
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(300, 3))
    labels = np.array([generator.choice(3, p=p) for p in _softmax(logits / 2)])
    return Predictions.from_logits(logits, labels)


def _softmax(logits):
    grown = np.exp(logits)
    return grown / grown.sum(axis=1, keepdims=True)


def test_every_number_of_the_evaluation_is_on_the_page(tmp_path):
    some = some_predictions()
    found = evaluate(some, replicates=50)
    write_predictions_page(tmp_path / "page.html", "<mine>", found, some)
    text = (tmp_path / "page.html").read_text()
    assert "&lt;mine&gt;" in text
    assert "<mine>" not in text
    for name, each in found.measurements.items():
        row = re.search(
            rf'<th scope="row">{name}</th>(.*?)</tr>', text, flags=re.DOTALL
        )
        assert f"{each.value:.4f}".replace("-", "−") in row[1], name
        if each.floor is not None:
            assert f"{each.floor.p95:.4f}".replace("-", "−") in row[1], name
    assert text.count("<svg") == 2  # as given, and after its temperature
    assert f"after T = {found.temperature.value:.2f}" in text


def test_evaluate_writes_the_page_of_one_file(tmp_path, capsys):
    some = some_predictions()
    path, out = tmp_path / "some.npz", tmp_path / "some.html"
    np.savez(path, logits=some.logits, labels=some.labels)
    try:
        main(["evaluate", str(path), "--html", str(out)])
    except SystemExit as end:
        assert end.code in {0, None}  # noqa: PT017 - typer ends by raising
    assert "Can the confidence of this model be trusted?" in out.read_text()
    assert "top_label_ece" in capsys.readouterr().out
