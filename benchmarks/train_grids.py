"""What `train_speed.py` trains: networks and shapes of the studies."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibench.lab.data.catalog import default_data_dir
from calibench.lab.data.dataset import Examples
from calibench.lab.data.sources import DatasetShape, Gratings
from calibench.lab.store import Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.load import load_study
from calibench.lab.study.memory_formats import as_chosen, choose_formats
from calibench.lab.study.prepared_run import PreparedRun
from calibench.lab.study.run import DEMO_STUDY
from calibench.lab.study.spec import RunSpec, StudySpec

STUDIES = Path(__file__).parent.parent / "studies"
GRIDS = {
    "demo": DEMO_STUDY,
    "cifar10_small": STUDIES / "cifar10_small.toml",
    "figure1": STUDIES / "figure1.toml",
}


def grid(name: str, *, share: float = 1.0) -> StudySpec:
    """Return a study of the grid, on a share of its images.

    Where its data set is not at hand, gratings of the same shape take its place: what
    the images show changes no time.
    """
    study = load_study(GRIDS[name])
    shape = study.dataset.shape(default_data_dir())
    try:
        num_test = study.dataset.load(default_data_dir()).test.size
    except (OSError, ValueError):
        num_test = 10_000
        dataset = Gratings(
            num_train=math.ceil(share * shape.num_train),
            num_test=math.ceil(share * num_test),
            image_size=shape.image_shape[1],
            num_classes=shape.num_classes,
        )
        study = replace(study, dataset=dataset)
    sizes = study.splits
    kept = replace(
        sizes,
        train=int(share * sizes.num_train_of(shape.num_train)),
        selection=int(share * sizes.selection),
        calibration=int(share * sizes.calibration),
        test=int(share * num_test),
    )
    # A CPU trains in float32, whatever a study for GPUs asks.
    return replace(study, splits=kept, train=replace(study.train, precision="float32"))


def runs(study: StudySpec, models: Sequence[str]) -> dict[str, RunSpec]:
    """Return a run of each network, under the first loss."""
    first = study.losses[0].name
    return {
        run.model: run
        for run in study.runs()
        if run.named_loss.name == first
        and run.seed == study.seeds[0]
        and run.model in models
    }


def prepared(study: StudySpec, run: RunSpec, folder: Path) -> PreparedRun:
    """Return a run as `calibench run` prepares it, its memory format measured."""
    conditions = Conditions(data=default_data_dir(), device="cpu")
    ids = [each.run_id for each in study.runs()]
    content = {"name": study.name, "spec": study.to_dict(), "runs": ids}
    store = Store.prepared(folder, content, "")
    only = replace(study, models=(run.model,))
    shape = DatasetShape.of(study.dataset.load(conditions.data))
    choose_formats(only, shape, store, conditions)
    return PreparedRun.of(study, run, as_chosen(store, run, conditions))


def measured_examples(run: PreparedRun) -> Examples:
    """Return what is held out, as one split."""
    splits = [run.splits.selection, run.splits.calibration, run.splits.test]
    return Examples(
        images=np.concatenate([split.examples.images for split in splits]),
        labels=np.concatenate([split.examples.labels for split in splits]),
    )
