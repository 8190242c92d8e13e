"""Command line: stdout is data, stderr is talk, and exit codes say what went wrong."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from calibench.calibrate_cli import calibrate_app
from calibench.data_cli import DataDir, data_app, data_dir
from calibench.errors import CalibenchError, system_refusal
from calibench.evaluate_cli import definitions, evaluate
from calibench.printing import AsJson, print_content, print_rows, printable
from calibench.report_cli import compare, report, write_page

# Heavy imports wait inside the commands that need them, so that --help is quick.

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data", help="List, fetch and check data sets.")
app.add_typer(calibrate_app, name="calibrate", help="Fit and apply calibrators.")

StudyFile = Annotated[Path, typer.Argument(help="Study to read, in TOML.")]
StoreDir = Annotated[Path, typer.Argument(help="Store that a study was run in.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
AllowCode = Annotated[
    bool,
    typer.Option(help="Import the losses, models and data named by module:name."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Runs at a time (default: one per core; 1 on a GPU)."),
]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors raised on purpose become a message and a code."""
    try:
        app(arguments)
    except CalibenchError as error:
        _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        _fail(
            f"this command needs {error.name}, which is not installed. "
            "Install it with: pip install 'calibench[all]'",
            exit_code=4,
        )
    except OSError as error:
        _fail(system_refusal(error), exit_code=4)
    except MemoryError:
        _fail(
            "out of memory. Use fewer workers, smaller batches or fewer bins.",
            exit_code=4,
        )


@app.callback()
def _root() -> None:
    """Measure how a classifier's calibration depends on its training loss."""


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the store and the report.")
    ] = Path("demo"),
    workers: Workers = None,
) -> None:
    """Run the study in miniature on embedded data, ending with a report."""
    from calibench.lab.study.run import DEMO_STUDY

    store = out / "store"
    code = _run(DEMO_STUDY, store, {"workers": workers}, {"data": data_dir(None)})
    if code:
        raise typer.Exit(code)
    write_page(store, out / "report.html")


@app.command()
def plan(
    study: StudyFile,
    data: DataDir = None,
    *,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """List the runs of a study and what they cost; start nothing."""
    from calibench.lab.study.load import load_study
    from calibench.lab.study.plan import planned

    spec = load_study(study, allow_code=allow_code)
    plan = planned(spec, spec.dataset.shape(data_dir(data)))
    print_content(plan.to_dict() if as_json else plan.table(), as_json=as_json)


@app.command()
def explain(
    study: StudyFile,
    data: DataDir = None,
    *,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Say what each loss of a study asks for, and which do not compare."""
    from calibench.lab.study.explain import explained
    from calibench.lab.study.load import load_study

    spec = load_study(study, allow_code=allow_code)
    found = explained(spec, spec.dataset.shape(data_dir(data)).num_classes)
    print_content(found.to_dict() if as_json else found.text(), as_json=as_json)


@app.command()
def run(
    study: StudyFile,
    store: Annotated[Path, typer.Option(help="Folder to keep everything in.")],
    on: Annotated[
        str, typer.Option(help="Where to run: local, ray or slurm.")
    ] = "local",
    workers: Workers = None,
    ray_address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster that runs.")
    ] = None,
    gpus_per_run: Annotated[
        float | None, typer.Option(help="With --on ray: part of a GPU for each run.")
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(help="An option of sbatch, as KEY=VALUE; may be repeated."),
    ] = None,
    device: Device = "auto",
    step: Annotated[
        str,
        typer.Option(
            help="A training step: auto, eager, compiled, captured, compiled_captured."
        ),
    ] = "auto",
    memory_format: Annotated[
        str, typer.Option(help="Of tensors: auto, channels_last or contiguous.")
    ] = "auto",
    deterministic: Annotated[
        bool | None,
        typer.Option(help="Use only kernels that repeat themselves (default: yes)."),
    ] = None,
    ranks: Annotated[
        int, typer.Option(min=1, help="Processes that share every batch of a run.")
    ] = 1,
    data: DataDir = None,
    allow_drift: Annotated[
        bool, typer.Option(help="Resume under other software, hardware or data.")
    ] = False,
    shard: Annotated[
        str, typer.Option(help="The I-th of N shares of the runs, as I/N: 1/8 to 8/8.")
    ] = "1/1",
    *,
    allow_code: AllowCode = False,
) -> None:
    """Carry out a study. Stopped anywhere, the same command goes on from there."""
    raise typer.Exit(
        _run(
            study,
            store,
            {
                "on": on,
                "workers": workers,
                "ray_address": ray_address,
                "gpus_per_run": gpus_per_run,
                "slurm": tuple(slurm or ()),
            },
            {
                "data": data_dir(data),
                "device": device,
                "step": None if step == "auto" else step,
                "memory_format": None if memory_format == "auto" else memory_format,
                "deterministic": deterministic,
                "ranks": ranks,
                "allow_drift": allow_drift,
                "allow_code": allow_code,
            },
            shard,
        )
    )


@app.command()
def status(store: StoreDir, *, as_json: AsJson = False) -> None:
    """Say how far each run is."""
    from calibench.lab.study.status import status_of

    print_rows(status_of(store), as_json=as_json)


@app.command()
def score(store: StoreDir, *, as_json: AsJson = False) -> None:
    """Recompute the metrics of every epoch from the stored predictions."""
    from calibench.lab.store import Store
    from calibench.lab.study.rescore import rescore

    rows = []
    for folder in Store.existing(store).runs():
        rows.append({"run_id": folder.run_id, "epochs": rescore(folder)})
        _talk(f"{folder.run_id}: scored")
    print_rows(rows, as_json=as_json)


@app.command()
def claims(store: StoreDir, *, as_json: AsJson = False) -> None:
    """Judge what is claimed of the losses: confirmed, refuted or undecided."""
    from calibench.lab.study.claims import judge
    from calibench.lab.study.claims_text import claims_text

    found = judge(store)
    print_content(found.to_dict() if as_json else claims_text(found), as_json=as_json)


@app.command()
def truth(
    store: StoreDir,
    known: Annotated[
        Path, typer.Option("--truth", help="Posterior or counts of the test split.")
    ],
    truth_kind: Annotated[
        str | None, typer.Option(help="posterior or counts, if the file does not say.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Hold every run's test predictions against a second yardstick, such as people."""
    from calibench.lab.data.truth_files import read_truth
    from calibench.lab.study.against_truth import against_truth

    found = against_truth(store, read_truth(known, kind=truth_kind))
    print_content(found.to_dict() if as_json else found.text(), as_json=as_json)


app.command()(report)
app.command()(compare)


@app.command()
def verify(
    store: StoreDir,
    replay: Annotated[int, typer.Option(min=0, help="Epochs to train again.")] = 1,
    seed: Annotated[int, typer.Option(help="Which epochs are drawn.")] = 0,
    device: Device = "auto",
    data: DataDir = None,
    *,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Check every hash; train random epochs again and compare bits."""
    from calibench.lab.store import Store
    from calibench.lab.study.conditions import Conditions
    from calibench.lab.study.verify import exit_code
    from calibench.lab.study.verify import verify as checks

    conditions = Conditions(data=data_dir(data), device=device, allow_code=allow_code)
    done = []
    for check in checks(
        Store.existing(store), conditions, num_replays=replay, seed=seed
    ):
        done.append(check)
        if not as_json:  # one may take minutes: say each at once
            found = "; ".join(check.problems) or "ok"
            typer.echo(f"{check.run_id}: {check.what}: {found}")
    if as_json:
        print_content([asdict(check) for check in done], as_json=True)
    raise typer.Exit(exit_code(done))


app.command()(evaluate)
app.command()(definitions)


@app.command()
def theory(*, as_json: AsJson = False) -> None:
    """Check both theorems numerically and print the margins."""
    from calibench import theory as theorems

    rows = theorems.margins()
    print_content(
        [row.to_dict() for row in rows] if as_json else theorems.table(rows),
        as_json=as_json,
    )
    raise typer.Exit(0 if all(row.holds for row in rows) else 1)


def _run(
    study: Path,
    store: Path,
    placement: dict[str, Any],
    conditions: dict[str, Any],
    shard: str = "1/1",
) -> int:
    from calibench.lab.study.stop_request import StopRequest

    stop = StopRequest()
    # From here on: torch takes seconds to load, and would swallow an interrupt.
    with stop.listening():
        from calibench.lab.study.conditions import Conditions
        from calibench.lab.study.launch import Placement
        from calibench.lab.study.run import StudyRequest, run_study
        from calibench.lab.study.shard import Shard

        request = StudyRequest(study=study, store=store, shard=Shard.parsed(shard))
        with Placement(**placement).opened() as engine:
            return run_study(
                request,
                Conditions(**conditions),
                engine,
                is_stopping=stop,
                talk=_talk,
            )


def _fail(message: str, exit_code: int) -> NoReturn:
    _talk(f"error: {message}")
    sys.exit(exit_code)


def _talk(text: str) -> None:
    sys.stderr.write(printable(text) + "\n")
