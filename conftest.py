"""Test-wide switches: shape checks at every call, and how hard to search."""

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from jaxtyping import install_import_hook

ROOMS = {path.stem for path in Path(__file__).parent.glob("src/calibench/[a-z]*")}
install_import_hook(
    # numba cannot compile a function that checks its arguments.
    [f"calibench.{room}" for room in sorted(ROOMS - {"kernel"})],
    # An int is welcome where a float is expected, as in the static type system.
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

# What is measured once for a machine is not left in the cache of whoever runs tests.
_CACHE = tempfile.TemporaryDirectory(prefix="calibench-cache-")
os.environ["CALIBENCH_CACHE"] = _CACHE.name

# No deadline: the first call compiles kernels and shape checks.
settings.register_profile("quick", deadline=None, max_examples=25, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
