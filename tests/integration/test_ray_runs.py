"""A study on a Ray cluster whose workers, nodes and drivers die: the same bytes."""

import os
import signal
import threading
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

import calibench
from calibench import cli
from calibench.errors import ResourceError
from calibench.lab import ray_engine, ray_tasks
from calibench.lab.ray_tasks import Tasks
from calibench.lab.store import Store
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.launch import Placement
from calibench.lab.study.run import StudyRequest, run_study
from calibench.lab.study.run_process import process_context
from command_line import TINY, results, seconds_here, study_file
from command_line import calibench as command

# Not imported here: a driver imports this module before it knows of the cluster.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]

# Their timing is that of a cluster with a machine to itself.
with_a_cluster_alone = pytest.mark.skipif(
    os.environ.get("CALIBENCH_TEST_RAY") != "1",
    reason="CALIBENCH_TEST_RAY=1 kills workers, nodes and drivers; run it by itself",
)

EPOCHS = 8
STUDY = TINY.replace("epochs = 3", f"epochs = {EPOCHS}").replace("260", "700")
DEADLINE = 240
MEMORY = 80 * 2**20  # of a node's object store, the least there can be

DEADLY = """
import os, signal
import torch

class Deadly:
    def __call__(self, logits, labels):
        if labels.device.type == "cpu" and len(labels) > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.nn.functional.cross_entropy(logits, labels)
"""


def add_node(cluster, **options):
    """Add one; Ray waits half a minute for it, which is short on a busy machine."""
    for patience in (True, True, False):
        try:
            return cluster.add_node(object_store_memory=MEMORY, **options)
        except Exception as error:
            if not patience or "timed out during startup" not in str(error):
                raise
    return None


@pytest.fixture(scope="module")
def cluster():
    """A head without a core, for drivers, and two nodes with one each.

    The first says that it has a GPU, which nothing looks for.
    """
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(Path(calibench.__file__).parents[1]))
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - it may not be there

        cluster = Cluster()
        add_node(cluster, num_cpus=0, include_dashboard=False)
        add_node(cluster, num_cpus=1, num_gpus=1)
        add_node(cluster, num_cpus=1)
        try:
            # Connected for all tests: each connection has workers of its own.
            with ray_engine.cluster(address=cluster.address):
                yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_file(tmp_path_factory.mktemp("study"), STUDY)


@pytest.fixture(scope="module")
def serial(study, tmp_path_factory):
    store = tmp_path_factory.mktemp("serial") / "store"
    done = command("run", study, "--store", store, "--workers", 1)
    assert done.code == 0, done.err
    return results(store)


class Observed:
    """An engine, and what is done at each of its events."""

    def __init__(self, engine, act):
        self.engine, self.act, self.events = engine, act, []

    def device(self, name):
        return self.engine.device(name)

    def launch(self, *arguments, **options):
        for event in self.engine.launch(*arguments, **options):
            self.events.append(event)
            self.act(event)
            yield event


def on_ray(study, store, act=lambda event: None, **conditions):
    """Be the driver; return the exit code and the events."""
    with Placement(on="ray").opened() as engine:
        observed = Observed(engine, act)
        code = run_study(
            StudyRequest(study=study, store=store),
            Conditions(data=store.parent, device="cpu", **conditions),
            observed,
            is_stopping=lambda: False,
            talk=print,
        )
    return code, observed.events


def process_of(store, run_id):
    """The process that owns a run, by the mark that it left."""
    return int(Store(store).run(run_id).last_owner().split()[2])


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_tasks_share_a_gpu_and_their_worker_serves_again(cluster):
    def device(key, shared):
        return os.environ["CUDA_VISIBLE_DEVICES"], os.getpid()

    tasks = Tasks(device, None, cpus=0, gpus=0.5)
    found = []
    for key in ("a", "b"):
        tasks.begin(key)
        while len(tasks):
            found += [each.result for each in tasks.ended(timeout=1)]
    assert [each for each, _ in found] == ["0", "0"]
    assert found[0] == found[1], "a worker of its own for each task would load torch"
    assert ray_tasks.most_at_once(1, 0.5) == 1, "one core, however many parts of a GPU"


@with_a_cluster_alone
def test_killed_workers_and_a_killed_node_change_no_byte(
    cluster, study, serial, tmp_path
):
    store = tmp_path / "store"
    done = []

    def kill(event):
        if event.kind != "epoch" or len(done) == 3 or event.epoch > EPOCHS - 3:
            return
        done.append(event)
        run = process_of(store, event.run_id)
        if len(done) == 1:  # what trains
            os.kill(run, signal.SIGKILL)
        elif len(done) == 2:  # the fork server is the parent, its Ray worker above it
            os.kill(parent_of(parent_of(run)), signal.SIGKILL)
        else:
            raylet = {node.unique_id: node for node in cluster.worker_nodes}
            cluster.remove_node(raylet[min(raylet)], allow_graceful=False)

    code, events = on_ray(study, store, kill)
    add_node(cluster, num_cpus=1)
    assert code == 0
    assert len(done) == 3, events
    lost = [event.reason for event in events if event.kind == "lost"]
    assert any("its process was killed by signal 9" in each for each in lost), lost
    assert len(lost) >= 2, events
    assert {e.outcome for e in events if e.kind == "ended"} == {"finished"}
    assert results(store) == serial


def driver(study, store, address, log, environment):
    """Be `calibench run --on ray`, in a process of its own."""
    os.setsid()
    # The server may be older than the cluster, whose token stands in a variable.
    os.environ.update(environment)
    words = ["--on", "ray", "--ray-address", address, "--device", "cpu"]
    with Path(log).open("a") as sys_stderr:
        os.dup2(sys_stderr.fileno(), 2)
        cli.main(["run", str(study), "--store", str(store), *words])


def started(study, store, address):
    """Start a driver from a server that has imported torch, and wait for an epoch."""
    process = process_context().Process(
        target=driver,
        args=(study, store, address, store.with_name("log"), dict(os.environ)),
    )
    process.start()
    before, deadline = count_epochs(store), time.monotonic() + DEADLINE
    while count_epochs(store) == before:
        assert process.is_alive(), store.with_name("log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def count_epochs(store):
    return sum(
        path.read_text().count('"event":"epoch"')
        for path in store.glob("runs/*/journal.jsonl")
    )


@with_a_cluster_alone
def test_a_driver_that_is_stopped_or_killed_is_started_again(
    cluster, study, serial, tmp_path
):
    store = tmp_path / "store"
    process = started(study, store, cluster.address)
    process.terminate()
    asked = time.monotonic()
    process.join()
    talk = (tmp_path / "log").read_text()
    assert process.exitcode == 75, talk
    assert time.monotonic() - asked < seconds_here(5)
    assert "Run the same command again" in talk
    assert "Traceback" not in talk
    assert all(row["state"] != "failed" for row in command_status(store))

    process = started(study, store, cluster.address)
    process.kill()
    process.join()
    assert count_epochs(store) < 2 * EPOCHS, "it was killed, not finished"
    # At once: what still works for the dead driver holds its runs, and then lets go.
    code, events = on_ray(study, store)
    assert code == 0, events
    assert results(store) == serial
    assert Store(store).runs()[0].verify() == []


def command_status(store):
    return command("status", store, "--json").json


def test_a_run_that_kills_its_workers_fails_and_the_others_go_on(
    cluster, tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("deadly_loss.py").write_text(DEADLY)
    toml = f'{TINY}[[loss]]\nkind = "deadly_loss:Deadly"\nname = "deadly"\n'
    study = study_file(tmp_path / "here", toml)
    code, events = on_ray(study, tmp_path / "store", allow_code=True)
    assert code == 1
    ended = {e.run_id.split("-")[1]: e for e in events if e.kind == "ended"}
    assert ended["deadly"].outcome == "failed"
    told = "its worker was lost 4 times without finishing an epoch; the last time: its"
    assert ended["deadly"].reason.startswith(told)
    assert {e.outcome for e in ended.values()} == {"failed", "finished"}
    assert sum(e.kind == "lost" for e in events) == 3
    rows = {row["state"] for row in command_status(tmp_path / "store")}
    assert rows == {"failed", "finished"}


def test_a_node_that_does_not_see_the_store_is_named(
    cluster, study, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    # Leads to another folder in every process: as if each had a disk of its own.
    elsewhere = Path("/proc/self/cwd/store")
    told = rf"Ray: node {os.uname().nodename} does not see the store {elsewhere} \("
    with pytest.raises(ResourceError, match=told):
        on_ray(study, elsewhere)
    assert not (tmp_path / "store" / "runs").exists()


def test_a_measurement_goes_on_without_a_node(cluster, tmp_path):
    def slow(number):
        (tmp_path / f"begun-{number}").touch()
        time.sleep(0.5)
        return number * 10

    def kill():
        deadline = time.monotonic() + DEADLINE
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        cluster.remove_node(node, allow_graceful=False)

    node = min(cluster.worker_nodes, key=lambda each: each.unique_id)
    killer = threading.Thread(target=kill)
    killer.start()
    found = list(ray_engine.mapped(slow, range(6)))
    killer.join()
    assert found == [0, 10, 20, 30, 40, 50]
