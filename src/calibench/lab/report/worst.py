"""The wrong answers that a model was surest of, with their images."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from calibench.lab.report.judged import Judged
from calibench.lab.report.results import ECE, StudyResults
from calibench.lab.report.wording import model_label, percent

Images = UInt8[np.ndarray, "examples channels height width"]

_SHOWN = 8  # of a model and a loss
_PLACES = ("lowest", "highest")


@dataclass(frozen=True)
class Picture:
    """A test image and what was said of it.

    Attributes:
        uri: The image as PNG, in a data URI.
        label: What it is by its label.
        said: The predicted class and its confidence.
        aside: What else is known of it; empty where nothing is.
    """

    uri: str
    label: str
    said: str
    aside: str


@dataclass(frozen=True)
class WorstAnswers:
    """The surest wrong answers of one network."""

    title: str
    pictures: Sequence[Picture]


def worst_answers(
    results: StudyResults,
    last: Sequence[Judged],
    labels: Mapping[str, str],
    images: Images,
) -> list[WorstAnswers]:
    """Return those of each model under the losses of lowest and of highest ECE.

    Args:
        results: The study.
        last: The predictions of the last epoch; the first seed is shown.
        labels: The name of each loss.
        images: Those of the whole test split, in the order of the data set.
    """
    found = []
    for model in results.models:
        own = [
            each
            for each in last
            if each.run.model == model and results.is_first(each.run)
        ]
        own.sort(key=lambda each: each.run.value(each.epoch, ECE) or 0.0)
        for each, place in zip(own[:1] + own[1:][-1:], _PLACES, strict=False):
            title = f"{model_label(model)}, {labels[each.run.loss]} ({place} ECE)"
            found.append(WorstAnswers(title, _pictures(results, each, images)))
    return found


def _pictures(results: StudyResults, each: Judged, images: Images) -> list[Picture]:
    some, names = each.predictions, results.dataset["class_names"]
    columns = each.run.folder.examples()
    rows = columns["example"][columns["split"] == "test"]
    wrong = np.flatnonzero(~some.correct)
    surest = wrong[np.argsort(-some.confidence[wrong], kind="stable")][:_SHOWN]
    return [
        Picture(
            uri=_png(images[rows[k]]),
            label=str(names[some.labels[k]]),
            said=f"{names[some.predicted[k]]}, {percent(float(some.confidence[k]))}",
            aside=_aside(each, int(k)),
        )
        for k in surest
    ]


def _aside(each: Judged, k: int) -> str:
    told = []
    if each.scaled is not None:
        told.append(f"{percent(float(each.scaled.confidence[k]))} after temperature")
    if each.posterior is not None:
        told.append(f"in truth {percent(float(each.posterior[k]))}")
    return "; ".join(told)


def _png(image: UInt8[np.ndarray, "channels height width"]) -> str:
    pixels = image[0] if image.shape[0] == 1 else image[:3].transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
