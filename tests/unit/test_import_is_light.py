import json
import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
HEAVY = {"torch", "matplotlib", "duckdb", "typer", "scipy", "pydantic", "jinja2"}
CODE = """
import json, sys, time
before = time.process_time()
import calibench.metrics, calibench.posthoc
print(json.dumps([time.process_time() - before, sorted(sys.modules)]))
"""


def test_metrics_import_nothing_heavy_and_quickly():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    seconds, modules = json.loads(done.stdout)
    assert not HEAVY & {name.partition(".")[0] for name in modules}
    assert not any(name.startswith("calibench.lab") for name in modules)
    # CPU time, which other processes do not lengthen much. It takes about 0.15 s.
    assert seconds < 0.5
