"""A real SLURM preempts, requeues and cancels; the store ends in the same bytes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calibench.lab.study.slurm_notes import Notes
from command_line import TINY, calibench, results, study_file
from one_node_slurm import hindrance, one_node_slurm
from pages import blocks, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(hindrance()), reason=hindrance()),
]

# Some seconds a run, so that there is time to interrupt one.
STUDY = TINY.replace("epochs = 3", "epochs = 12").replace("260", "2500")
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

        shell.environment = environment
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


@pytest.fixture
def drive(study, slurm, tmp_path):
    """Start `calibench run --on slurm`, the driver, in a process of its own."""
    pytest.importorskip("submitit")
    drivers = []

    def start():
        command = [sys.executable, "-m", "calibench", "run", study, "--on", "slurm"]
        command += ["--store", tmp_path / "store", "--slurm", "partition=free"]
        driver = subprocess.Popen(
            command, env=slurm.environment, stderr=subprocess.PIPE, text=True
        )
        drivers.append(driver)
        return driver

    yield start
    for driver in drivers:
        driver.kill()
        driver.communicate()


def job_of(store):
    """Return the one array that was ever submitted for a store."""
    (submission,) = Notes(store / "slurm" / "jobs.json").read()
    assert len(submission.tasks) == 2
    return submission.job


def runs_of(files):
    return {name: content for name, content in files.items() if name[:5] == "runs/"}


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
    assert max(epochs_of(tmp_path / "store").values()) < 12, "they were cut short"
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
    assert max(epochs_of(tmp_path / "store").values()) < 12, "they were cut short"
    wait_for_end(slurm, array(), tmp_path)
    assert results(tmp_path / "store") == serial


def test_preempted_while_their_driver_is_dead_jobs_end_in_the_same_bytes(
    drive, slurm, serial, tmp_path
):
    store = tmp_path / "store"
    driver = drive()
    wait_for_epochs(store, 1)
    driver.kill()
    job = job_of(store)
    slurm("sbatch", "--partition=urgent", "-n2", "-o/dev/null", "--wrap=sleep 1")
    wait_until(lambda: restarts(slurm, f"{job}_0") == restarts(slurm, f"{job}_1") == 1)
    assert max(epochs_of(store).values()) < 12, "they were cut short"
    again = drive()
    for task in (0, 1):
        start_again(slurm, f"{job}_{task}")
    assert again.wait(timeout=DEADLINE) == 0, again.stderr.read()
    assert job_of(store) == job, "no run was submitted twice"
    assert runs_of(results(store)) == runs_of(serial)


def test_a_job_near_its_time_limit_puts_itself_back_and_outlives_its_driver(
    drive, slurm, serial, tmp_path
):
    store = tmp_path / "store"
    driver = drive()
    wait_for_epochs(store, 1)
    job = job_of(store)
    # What --signal sends when the end is near.
    slurm("scancel", "--signal=USR2", f"{job}_0")
    wait_until(lambda: restarts(slurm, f"{job}_0") == 1)
    driver.terminate()
    assert driver.wait(timeout=DEADLINE) == 75
    assert f"scancel {job}_0 ends it" in driver.stderr.read()
    start_again(slurm, f"{job}_0")
    again = drive()
    assert again.wait(timeout=DEADLINE) == 0, again.stderr.read()
    assert job_of(store) == job, "no run was submitted twice"
    assert runs_of(results(store)) == runs_of(serial)


def test_cancelled_jobs_end_their_driver_and_the_next_submits_anew(
    drive, slurm, serial, tmp_path
):
    store = tmp_path / "store"
    driver = drive()
    wait_for_epochs(store, 1)
    job = job_of(store)
    slurm("scancel", job)
    assert driver.wait(timeout=DEADLINE) == 75, driver.stderr.read()
    assert max(epochs_of(store).values()) < 12, "they were cut short"
    again = drive()
    assert again.wait(timeout=DEADLINE) == 0, again.stderr.read()
    assert job_of(store) != job
    assert runs_of(results(store)) == runs_of(serial)
