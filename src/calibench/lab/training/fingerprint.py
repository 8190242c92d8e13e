"""What a run's bits depend on beside its spec."""

import platform
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
import torch

from calibench.lab.training.ranks import Ranks

# A change to any of these modules may change what a training run computes.
_CODE = (
    "lab/data/batches.py",
    "lab/data/random_streams.py",
    "lab/data/splits.py",
    "lab/training",
    "losses",
    "models",
)


def fingerprint(
    device: torch.device,
    data_digest: str,
    *,
    memory_format: str = "channels_last",
    way: str = "eager",
    deterministic: bool = True,
) -> dict[str, str]:
    """Return software, hardware and data by name; equal fingerprints, equal bits.

    Args:
        device: That of the run.
        data_digest: Of the data set.
        memory_format: Of weights, inputs and activations.
        way: In which a training step is taken.
        deterministic: Whether only kernels that repeat themselves are used.
    """
    facts = {
        "calibench": version("calibench"),
        "code": _CODE_DIGEST,
        "data": data_digest,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "duckdb": version("duckdb"),  # it writes the predictions' bytes
        "device": device.type,
        "memory_format": memory_format,
        "compile": way,
        "deterministic": "yes" if deterministic else "no",
        "ranks": str(Ranks.here().count),
    }
    if device.type == "cpu":
        facts |= {
            "machine": platform.machine(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": str(torch.get_num_threads()),
        }
    else:
        facts |= {
            "gpu": torch.cuda.get_device_name(device),
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
            "driver": _driver(),
        }
    return facts


def _driver() -> str:
    """Return the first line that the NVIDIA kernel driver says of itself."""
    path = Path("/proc/driver/nvidia/version")
    return path.read_text().splitlines()[0] if path.is_file() else "unknown"


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return what changed, one readable line each; empty where the bits will agree."""
    return [
        f"{name}: {before.get(name, 'absent')} -> {now.get(name, 'absent')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _code_digest() -> str:
    """Return a short hash of the sources that decide what a run computes."""
    root = files("calibench")
    whole = sha256()
    for part in _CODE:
        for name, source in _sources(root.joinpath(*part.split("/")), part):
            whole.update(f"{name}\0{len(source)}\0".encode() + source)
    return whole.hexdigest()[:16]


def _sources(place: Traversable, name: str) -> list[tuple[str, bytes]]:
    if place.is_file():
        return [(name, place.read_bytes())] if name.endswith(".py") else []
    return [
        entry
        for child in sorted(place.iterdir(), key=lambda child: child.name)
        if child.name != "__pycache__"
        for entry in _sources(child, f"{name}/{child.name}")
    ]


# Taken as the modules are imported: a study's workers are forked from one process,
# and do not run what is edited while they train.
_CODE_DIGEST = _code_digest()
