import subprocess
import sys

import pytest

HEAVY = {"torch", "PIL", "pydantic", "duckdb", "matplotlib", "rich"}


@pytest.mark.parametrize(
    "code",
    [
        "import calibench.lab.data.catalog",
        "from calibench.lab.data.sources import Gratings; "
        "Gratings(num_train=1, num_test=1).load(None)",
    ],
)
def test_data_needs_nothing_heavy(code):
    loaded = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not HEAVY & {name.split(".")[0] for name in loaded}
