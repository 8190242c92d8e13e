"""Answers that were measured before on this machine, kept in the user's cache."""

import json
import os
import platform
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import torch

from calibench.lab.data.catalog import user_cache
from calibench.lab.durable import replacing


def machine_facts(device: torch.device) -> dict[str, str]:
    """Return what decides how fast a device computes."""
    facts = {"torch": torch.__version__, "device": device.type}
    if device.type == "cuda":
        return facts | {
            "gpu": torch.cuda.get_device_name(device),
            "cuda": str(torch.version.cuda),
        }
    return facts | {
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def remembered(
    question: Mapping[str, str], menu: Collection[str], measure: Callable[[], str]
) -> str:
    """Return the answer that was measured before, or measure it and keep it.

    A cache that cannot be read or written only costs the time to measure.

    Args:
        question: Everything that the answer depends on.
        menu: What can be an answer.
        measure: Finds it.
    """
    content = json.dumps(dict(question), sort_keys=True)
    name = sha256(content.encode()).hexdigest()[:16]
    path = _cache_folder() / "measured" / f"{name}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(path.read_bytes())
        if known["question"] == dict(question) and known["answer"] in menu:
            return str(known["answer"])
    answer = measure()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            kept = {"question": dict(question), "answer": answer}
            file.write((json.dumps(kept, indent=1) + "\n").encode())
    return answer


def _cache_folder() -> Path:
    given = os.environ.get("CALIBENCH_CACHE")
    return Path(given) if given else user_cache()


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown"
