import re

import numpy as np

from calibench.lab.report import write_predictions_page
from calibench.metrics import evaluate
from calibench.predictions import Predictions
from command_line import calibench, refused


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


def test_evaluate_writes_the_page_of_one_file(tmp_path):
    path, out = _saved(tmp_path), tmp_path / "some.html"
    done = calibench("evaluate", path, "--html", out)
    assert done.code == 0, done.err
    assert "top_label_ece" in done.out
    assert "Can the confidence of this model be trusted?" in out.read_text()


def test_a_page_is_about_one_file(tmp_path):
    path, page = _saved(tmp_path), tmp_path / "page.html"
    for files in ([path, path], [tmp_path]):
        said = refused(2, "evaluate", *files, "--html", page)
        assert "--html is about one file" in said
    said = refused(2, "evaluate", path, "--against", path, "--html", page)
    assert "neither --against nor --weights" in said
    assert not page.exists()


def _saved(folder):
    some = some_predictions()
    np.savez(folder / "some.npz", logits=some.logits, labels=some.labels)
    return folder / "some.npz"
