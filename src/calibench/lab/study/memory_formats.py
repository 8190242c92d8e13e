"""One memory format for all runs of a study that could differ by chance alone.

Formats move last bits. Were it chosen run by run, the noise of measuring would come
between losses that are to be compared; so it is chosen once for each network, data set,
batch size, precision and kind of device, before any run begins, and kept in the store.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from calibench.errors import ParameterError
from calibench.lab.data.sources import DatasetShape
from calibench.lab.store import Store
from calibench.lab.store.canonical import canonical_json, digest
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.spec import RunSpec, StudySpec, plain
from calibench.lab.training.devices import chosen_device
from calibench.lab.training.memory_format import (
    FORMATS,
    USUAL_FORMAT,
    Workload,
    fastest_format,
)
from calibench.lab.training.remembered import machine_facts, remembered
from calibench.models import build_model


def choose_formats(
    study: StudySpec,
    shape: DatasetShape,
    store: Store,
    conditions: Conditions,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Choose for every run that has not begun, unless the format is given.

    Nothing is chosen where this process lacks the device of the runs, as on the head
    of a cluster: they take the usual format.

    Raises:
        DataError: The file of choices is damaged.
        InterruptedRunError: `is_stopping` turned true.
    """
    if conditions.memory_format is not None:
        return
    if conditions.device == "cuda" and not torch.cuda.is_available():
        return
    device = chosen_device(conditions.device)
    known = store.choices.read()
    for spec in study.runs():
        name = _name(spec, device.type)
        if name not in known and not _has_begun(store, spec):
            choose = partial(_chosen, spec, shape, device, is_stopping)
            known[name] = store.choices.decided(name, choose)


def as_chosen(store: Store, spec: RunSpec, conditions: Conditions) -> Conditions:
    """Return the conditions of a new run, with the format that was chosen for it.

    Raises:
        DataError: The file of choices is damaged.
    """
    if conditions.memory_format is not None:
        return conditions
    name = _name(spec, chosen_device(conditions.device).type)
    found = store.choices.read().get(name, USUAL_FORMAT)
    return replace(conditions, memory_format=found if found in FORMATS else None)


def _name(spec: RunSpec, device: str) -> str:
    data = digest(plain(spec.dataset))[:8]
    return (
        f"memory format of {spec.model}, width {spec.width}, data {data}, "
        f"batch {spec.train.batch_size}, {spec.train.precision}, {device}"
    )


def _has_begun(store: Store, spec: RunSpec) -> bool:
    return Path(store.run(spec.run_id).path / "manifest.json").is_file()


def _chosen(
    spec: RunSpec,
    shape: DatasetShape,
    device: torch.device,
    is_stopping: Callable[[], bool],
) -> str:
    own = spec.own_model
    workload = Workload(
        build=partial(
            build_model,
            spec.model_source,
            shape.num_classes,
            width=spec.width,
            in_channels=shape.image_shape[0],
            seed=spec.seed,
        ),
        image_shape=shape.image_shape,
        batch_size=spec.train.batch_size,
        precision=spec.train.precision,
    )
    question = machine_facts(device) | {
        "model": spec.model if own is None else canonical_json(own.to_dict()),
        "width": str(spec.width),
        "images": "x".join(map(str, shape.image_shape)),
        "batch": str(spec.train.batch_size),
        "precision": spec.train.precision,
    }
    try:
        return remembered(
            question,
            FORMATS,
            lambda: fastest_format(workload, device, is_stopping=is_stopping),
        )
    except ParameterError:
        return USUAL_FORMAT  # the run fails, and says what is wrong
