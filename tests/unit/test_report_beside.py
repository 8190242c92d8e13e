"""What a report shows that is not in the store: images and a second yardstick."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from calibench.lab.report.judged import judged
from calibench.lab.report.people import yardstick_lines
from calibench.lab.report.results import read_results
from calibench.lab.report.worst import worst_answers
from calibench.lab.study.against_truth import against_truth
from calibench.metrics import Truth
from report_store import Course, posteriors, write_store

LABELS = {"cross_entropy": "cross-entropy", "focal-gamma3": "focal"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("beside") / "store"
    courses = {("vgg16", "cross_entropy", 0): Course(sharpness=(1.0, 3.0))}
    return write_store(path, courses, models=("vgg16",))


def numbered(count):
    """Images of one channel whose every pixel says which image it is."""
    pixels = np.zeros((count, 3, 2, 2), dtype=np.uint8)
    pixels[:, 0] = (np.arange(count) // 256)[:, None, None]
    pixels[:, 1] = (np.arange(count) % 256)[:, None, None]
    return pixels


def number_of(picture):
    data = base64.b64decode(picture.uri.removeprefix("data:image/png;base64,"))
    high, low, _ = Image.open(io.BytesIO(data)).getpixel((0, 0))
    return 256 * high + low


def test_the_surest_wrong_answers_come_first_with_their_images(store):
    results = read_results(store.path)
    last = [judged(run, 2) for run in results.runs]
    found = worst_answers(results, last, LABELS, numbered(400))
    assert [each.title for each in found] == [
        "VGG16, focal (lowest ECE)",
        "VGG16, cross-entropy (highest ECE)",
    ]
    some = last[0].predictions
    wrong = np.flatnonzero(~some.correct)
    surest = sorted(wrong, key=lambda k: (-some.confidence[k], k))[:8]
    pictures = found[1].pictures
    assert [number_of(picture) for picture in pictures] == surest
    first = pictures[0]
    assert first.label == f"class {some.labels[surest[0]]}"
    predicted, confidence = some.predicted[surest[0]], some.confidence[surest[0]]
    assert first.said == f"class {predicted}, {100 * confidence:.1f}%"
    posterior = posteriors()["test"][surest[0], predicted]
    assert first.aside.endswith(f"in truth {100 * posterior:.1f}%")


def test_the_second_yardstick_is_told_in_numbers(store):
    counts = np.random.default_rng(0).multinomial(50, posteriors()["test"])
    table = against_truth(store.path, Truth.from_counts(counts)).to_dict()
    lines = yardstick_lines(table, LABELS)
    assert lines.about.startswith("400 test examples, at least 50 answers each; ")
    assert len(lines.rows) == 4
    run = table["runs"][0]
    model, loss, stage, ece, *_ = lines.rows[0]
    assert (model, loss, stage) == ("VGG16", "cross-entropy", "as trained")
    assert ece == f"{100 * run['top_label_ece']:.2f}"
    true_error = run["truth"]["metrics"]["true_calibration_error"]["value"]
    assert lines.rows[0][5] == f"{100 * true_error:.2f}"
    assert {row[2] for row in lines.differences} == {"cross-entropy"}
