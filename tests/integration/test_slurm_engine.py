"""`--on slurm` with processes of this machine in place of a cluster's jobs."""

import os

import pytest

from calibench.errors import LockedError, ParameterError, ResourceError
from calibench.lab.data.sources import DatasetShape
from calibench.lab.store import Store
from calibench.lab.study import slurm_runs, slurm_task
from calibench.lab.study.conditions import Conditions
from calibench.lab.study.load import load_study
from calibench.lab.study.plan import planned
from calibench.lab.study.slurm_notes import Notes, Submission
from calibench.lab.study.slurm_queue import sbatch_options
from calibench.lab.study.slurm_runs import SlurmRuns
from calibench.lab.study.slurm_task import SlurmTask
from command_line import refused, results, study_file, unfinish

submitit = pytest.importorskip("submitit")


class LocalQueue:
    """submitit's local executor: real pickles, processes, results and logs."""

    def __init__(self):
        self.jobs, self.bases = {}, {}

    def submit(self, folder, name, tasks, _workers):
        executor = submitit.LocalExecutor(folder=folder)
        jobs = [executor.submit(task) for task in tasks]
        base = jobs[0].job_id
        self.bases[name] = base
        for place, job in enumerate(jobs):
            self.jobs[base if len(jobs) == 1 else f"{base}_{place}"] = job
        return base

    def found(self, name):
        return self.bases.get(name)

    def states(self):
        return {
            task_id: "RUNNING" if not job.done() else "COMPLETED"
            for task_id, job in self.jobs.items()
        }

    def codes(self, _folder, task_id):
        path = self.jobs[task_id].paths.result_pickle
        return self.jobs[task_id].result() if path.exists() else {}

    def wait(self):
        for job in self.jobs.values():
            job.wait()


class ScriptedQueue:
    """Jobs that do what a test says at once, in this process."""

    def __init__(self, *acts):
        self.acts, self.tasks, self.done = list(acts), {}, {}
        self.fails = False

    def submit(self, _folder, _name, tasks, _workers):
        base = str(len(self.tasks))
        for place, task in enumerate(tasks):
            task_id = base if len(tasks) == 1 else f"{base}_{place}"
            self.tasks[task_id] = task
            self.done[task_id] = self.acts.pop(0)(task)
        return base

    def found(self, _name):
        return None

    def states(self):
        if self.fails:
            message = "SLURM does not answer"
            raise ResourceError(message)
        return {task_id: state for task_id, (state, _) in self.done.items()}

    def codes(self, _folder, task_id):
        return self.done[task_id][1]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(slurm_runs, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(slurm_runs, "_ASK_SECONDS", 0.02)


@pytest.fixture
def conditions(tmp_path):
    return Conditions(data=tmp_path, device="cpu")


@pytest.fixture
def empty(tmp_path):
    """The store of a study of two runs, none of which has begun."""
    path = study_file(tmp_path / "study")
    study = load_study(path, allow_code=False)
    runs = planned(study, DatasetShape.of(study.dataset.load(tmp_path))).runs
    content = {
        "name": study.name,
        "spec": study.to_dict(),
        "runs": [run.run_id for run in runs],
    }
    return Store.prepared(tmp_path / "new", content, path.read_text())


def launched(queue, store, conditions, *, is_stopping=lambda: False, workers=None):
    engine = SlurmRuns(queue, workers)
    run_ids = [folder.run_id for folder in store.runs()]
    left = [r for r in run_ids if not store.run(r).history().is_over]
    return list(engine.launch(store, left, conditions, is_stopping=is_stopping))


def kinds(events):
    return [(event.kind, event.epoch or event.outcome) for event in events]


def runs_of(path):
    return {k: v for k, v in results(path).items() if k.startswith("runs/")}


def test_jobs_end_in_the_bytes_of_local_runs(empty, conditions, tiny_store):
    queue = LocalQueue()
    events = launched(queue, empty, conditions)
    for folder in empty.runs():
        mine = [event for event in events if event.run_id == folder.run_id]
        assert kinds(mine) == [
            ("started", ""),
            *(("epoch", epoch) for epoch in (1, 2, 3)),
            ("ended", "finished"),
        ]
    assert runs_of(empty.path) == runs_of(tiny_store)
    (noted,) = Notes(empty.path / "slurm" / "jobs.json").read()
    assert [len(runs) for runs in noted.tasks] == [1, 1]
    assert launched(queue, empty, conditions) == [], "nothing is left to do"


def test_a_driver_leaves_its_jobs_and_the_next_follows_them(
    empty, conditions, tiny_store
):
    queue = LocalQueue()
    stopping = []
    engine = SlurmRuns(queue)
    run_ids = [folder.run_id for folder in empty.runs()]
    events = engine.launch(
        empty, run_ids, conditions, is_stopping=lambda: bool(stopping)
    )
    assert next(events).kind == "started"
    # Another driver, meanwhile, would submit the same runs.
    with pytest.raises(LockedError):
        launched(queue, empty, conditions)
    stopping.append(1)
    left = [event for event in events if event.kind == "ended"]
    assert {event.outcome for event in left} == {"interrupted"}
    assert all("goes on" in event.reason for event in left)
    launched(queue, empty, conditions)
    queue.wait()
    assert len(queue.jobs) == 2, "no run was submitted twice"
    assert runs_of(empty.path) == runs_of(tiny_store)


def test_a_driver_that_dies_before_it_has_the_id_finds_its_jobs_by_name(
    empty, conditions, monkeypatch
):
    queue = LocalQueue()

    def dies(notes, submission, job):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Notes, "set_job", dies)
        with pytest.raises(KeyboardInterrupt):
            launched(queue, empty, conditions)
    launched(queue, empty, conditions)
    queue.wait()
    assert len(queue.jobs) == 2, "no run was submitted twice"
    assert all(folder.history().outcome == "finished" for folder in empty.runs())


def test_a_driver_that_dies_before_it_submits_submits_later(empty, conditions):
    run_ids = [folder.run_id for folder in empty.runs()]
    notes = Notes(empty.path / "slurm" / "jobs.json")
    notes.add(Submission.planned([(run_id,) for run_id in run_ids]))
    events = launched(ScriptedQueue(finishes, finishes), empty, conditions)
    assert [event.outcome for event in events if event.kind == "ended"] == [
        "finished",
        "finished",
    ]


def finishes(task):
    return "COMPLETED", task()


def one_epoch(task, state="PREEMPTED"):
    """Be a job that is taken away after its first epoch."""
    (run_id,) = task.run_ids
    task()
    unfinish(Store(task.store).run(run_id), 1)
    return state, {}


def nothing(task, state="NODE_FAIL"):
    return state, {}


def test_a_job_that_came_further_is_submitted_again(empty, conditions, tiny_store):
    queue = ScriptedQueue(one_epoch, finishes, finishes)
    events = launched(queue, empty, conditions)
    assert len(queue.tasks) == 3
    assert runs_of(empty.path) == runs_of(tiny_store)
    first = empty.runs()[0].run_id
    assert kinds(e for e in events if e.run_id == first) == [
        ("started", ""),
        *(("epoch", epoch) for epoch in (1, 2, 3)),
        ("ended", "finished"),
    ]


def test_a_job_that_came_no_further_fails_and_names_its_log(empty, conditions):
    events = launched(ScriptedQueue(nothing, finishes), empty, conditions)
    (failed,) = [event for event in events if event.outcome == "failed"]
    assert failed.exit_code == 1
    assert "node_fail" in failed.reason
    assert "slurm/0_0_0_log.err" in failed.reason


def test_a_cancelled_job_is_not_submitted_again(empty, conditions):
    def cancelled(task):
        return one_epoch(task, "CANCELLED")

    events = launched(ScriptedQueue(cancelled, cancelled), empty, conditions)
    ended = [event for event in events if event.kind == "ended"]
    assert [event.exit_code for event in ended] == [75, 75]


def test_the_exit_code_of_a_job_is_that_of_its_run(empty, conditions):
    def locked(task):
        return "COMPLETED", dict.fromkeys(task.run_ids, 6)

    events = launched(ScriptedQueue(locked, finishes), empty, conditions)
    assert {event.exit_code for event in events} == {0, 6}


def test_a_controller_that_does_not_answer_loses_no_job(empty, conditions):
    queue = ScriptedQueue(finishes, finishes)
    engine = SlurmRuns(queue)
    run_ids = [folder.run_id for folder in empty.runs()]
    events = []
    for event in engine.launch(
        empty, run_ids, conditions, is_stopping=lambda: len(events) > 30
    ):
        events.append(event)
        queue.fails = True
    assert [e.outcome for e in events if e.kind == "ended"] == ["finished"] * 2
    with pytest.raises(ResourceError, match="does not answer"):
        next(engine.launch(empty, run_ids, conditions, is_stopping=lambda: False))


def test_beyond_the_largest_array_runs_share_jobs(empty, conditions, monkeypatch):
    monkeypatch.setattr(slurm_runs, "_MOST_TASKS", 1)
    queue = ScriptedQueue(finishes)
    events = launched(queue, empty, conditions)
    assert len(queue.tasks) == 1
    assert [e.outcome for e in events if e.kind == "ended"] == ["finished"] * 2


def task_of(store, conditions):
    return SlurmTask(store.path, (store.runs()[0].run_id,), conditions)


def near_its_end(monkeypatch, epochs):
    """Let the signal of the coming time limit arrive after some epochs."""
    real = slurm_task.work

    def work(path, run_id, conditions, *, is_stopping):
        def asked():
            if len(Store(path).run(run_id).history().epochs) >= epochs:
                os.kill(os.getpid(), slurm_task._END_IS_NEAR)
            return is_stopping()

        return real(path, run_id, conditions, is_stopping=asked)

    monkeypatch.setattr(slurm_task, "work", work)


@pytest.fixture
def put_back(monkeypatch):
    asked = []
    monkeypatch.setattr(slurm_task, "put_back", asked.append)
    return asked


def test_near_its_time_limit_a_job_puts_itself_back(
    empty, conditions, monkeypatch, put_back
):
    near_its_end(monkeypatch, epochs=2)
    with pytest.raises(SystemExit) as ended:
        task_of(empty, conditions)()
    assert ended.value.code == 75
    assert len(put_back) == 1
    assert empty.runs()[0].history().last_epoch == 2


def test_a_job_whose_time_does_not_do_for_an_epoch_gives_up(
    empty, conditions, monkeypatch, put_back
):
    near_its_end(monkeypatch, epochs=0)
    run = empty.runs()[0]
    assert task_of(empty, conditions)() == {run.run_id: 1}
    assert put_back == []
    assert "time limit" in run.failure()


def test_options_of_sbatch_are_read():
    given = ["partition=gpu", "gpus-per-task=1", "exclusive", "comment=a=b"]
    assert sbatch_options(given) == {
        "partition": "gpu",
        "gpus-per-task": "1",
        "exclusive": True,
        "comment": "a=b",
    }


@pytest.mark.parametrize("text", ["", "--time=3", "Time=3", "a b=3", "x=1\n#SBATCH y"])
def test_what_is_no_option_of_sbatch_is_refused(text):
    with pytest.raises(ParameterError, match="KEY=VALUE"):
        sbatch_options([text])


@pytest.mark.parametrize("key", ["array", "job-name", "output"])
def test_options_that_calibench_sets_are_refused(key):
    with pytest.raises(ParameterError, match="sets this itself"):
        sbatch_options([f"{key}=1"])


def test_where_there_is_no_slurm_it_is_said_before_anything_begins(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    study = study_file(tmp_path / "study")
    said = refused(4, "run", study, "--store", tmp_path / "s", "--on", "slurm")
    assert "sbatch and squeue" in said
    assert not (tmp_path / "s").exists()


def test_options_of_sbatch_need_slurm(tmp_path):
    study = study_file(tmp_path / "study")
    said = refused(2, "run", study, "--store", tmp_path / "s", "--slurm", "time=3")
    assert "--on slurm" in said


def test_the_device_is_that_of_the_node():
    engine = SlurmRuns(ScriptedQueue(), has_gpu=True)
    assert engine.device("auto").type == "cuda"
    assert engine.device("cpu").type == "cpu"
    assert SlurmRuns(ScriptedQueue()).device("auto").type == "cpu"
    with pytest.raises(ParameterError):
        engine.device("tpu")


def test_notes_that_are_damaged_say_what_to_do(tmp_path):
    notes = Notes(tmp_path / "jobs.json")
    assert notes.read() == []
    notes.path.write_text("[{}]")
    with pytest.raises(Exception, match="delete this one file"):
        notes.read()
