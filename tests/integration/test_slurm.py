"""A real SLURM preempts, requeues and cancels; the store ends in the same bytes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import TINY, calibench, results, study_file
from one_node_slurm import hindrance, one_node_slurm
from pages import blocks, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(hindrance()), reason=hindrance()),
]

# Some seconds a run, so that there is time to interrupt one.
STUDY = TINY.replace("epochs = 3", "epochs = 8").replace("260", "1200")
DEADLINE = 240


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_file(tmp_path_factory.mktemp("study"), STUDY)


@pytest.fixture(scope="module")
def serial(study, tmp_path_factory):
    """The results of one process after the other, without SLURM."""
    store = tmp_path_factory.mktemp("serial") / "store"
    done = calibench("run", study, "--store", store, "--workers", 1)
    assert done.code == 0, done.err
    return results(store)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A shell in whose environment SLURM's commands and calibench are at hand."""
    with one_node_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        environment["PATH"] = os.pathsep.join(
            [str(Path(sys.executable).parent), environment["PATH"]]
        )
        environment["OMP_NUM_THREADS"] = "1"

        def shell(*words, **options):
            done = subprocess.run(
                [str(word) for word in words],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=DEADLINE,
                **options,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        yield shell


@pytest.fixture
def array(study, slurm, tmp_path):
    """The job array of docs/scale.md, submitted, with one share for each run."""
    (script,) = blocks(text("scale.md"), "bash")
    named = {
        "studies/figure1.toml": str(study),
        "runs/figure1": str(tmp_path / "store"),
        "--array=1-8": "--array=1-2",
    }
    for word, meant in named.items():
        assert word in script
        script = script.replace(word, meant)
    (tmp_path / "script").write_text(script)

    def submit():
        command = ["sbatch", "--parsable", tmp_path / "script"]
        return slurm(*command, cwd=tmp_path)

    return submit


def states(slurm, job):
    """Return the state of every task of a job that SLURM still knows."""
    lines = slurm("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%i %T")
    return dict(line.split() for line in lines.splitlines())


def epochs_of(store):
    return {
        path.parent.name: path.read_text().count('"event":"epoch"')
        for path in store.glob("runs/*/journal.jsonl")
    }


def wait_until(is_so, *, said=lambda: ""):
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline, said()
        time.sleep(0.1)


def wait_for_epochs(store, number, *, runs=2):
    wait_until(lambda: sum(n >= number for n in epochs_of(store).values()) >= runs)


def wait_for_end(slurm, job, log):
    wait_until(
        lambda: set(states(slurm, job).values()) == {"COMPLETED"},
        said=lambda: (states(slurm, job), [p.read_text() for p in log.glob("*.out")]),
    )


def start_again(slurm, task):
    """Start what was put back now; SLURM itself waits for two minutes."""
    wait_until(lambda: states(slurm, task)[task] == "PENDING")
    slurm("scontrol", "update", f"jobid={task}", "StartTime=now")


def restarts(slurm, task):
    shown = slurm("scontrol", "show", "job", task)
    return int(shown.partition("Restarts=")[2].split()[0])


def test_a_preempted_array_goes_on_and_ends_in_the_same_bytes(
    array, slurm, serial, tmp_path
):
    job = array()
    wait_for_epochs(tmp_path / "store", 2)
    slurm("sbatch", "--partition=urgent", "-n2", "-o/dev/null", "--wrap=sleep 1")
    wait_until(lambda: restarts(slurm, f"{job}_1") == restarts(slurm, f"{job}_2") == 1)
    assert max(epochs_of(tmp_path / "store").values()) < 8, "they were cut short"
    for task in (1, 2):
        start_again(slurm, f"{job}_{task}")
    wait_for_end(slurm, job, tmp_path)
    assert results(tmp_path / "store") == serial


def test_an_array_at_its_time_limit_puts_itself_back(array, slurm, serial, tmp_path):
    job = array()
    wait_for_epochs(tmp_path / "store", 1)
    # What --signal sends when the end is near.
    slurm("scancel", "--batch", "--signal=USR1", f"{job}_1")
    wait_until(lambda: restarts(slurm, f"{job}_1") == 1)
    start_again(slurm, f"{job}_1")
    wait_for_end(slurm, job, tmp_path)
    assert restarts(slurm, f"{job}_2") == 0
    assert results(tmp_path / "store") == serial


def test_a_cancelled_array_stays_away_until_it_is_submitted_again(
    array, slurm, serial, tmp_path
):
    job = array()
    wait_for_epochs(tmp_path / "store", 1)
    slurm("scancel", job)
    wait_until(lambda: set(states(slurm, job).values()) == {"CANCELLED"})
    assert max(epochs_of(tmp_path / "store").values()) < 8, "they were cut short"
    wait_for_end(slurm, array(), tmp_path)
    assert results(tmp_path / "store") == serial
