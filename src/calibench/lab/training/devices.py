"""Which device a run uses, and how it is made to repeat itself."""

import os

import torch

from calibench.errors import ParameterError
from calibench.validation import member


def chosen_device(name: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda".

    Raises:
        ParameterError: CUDA was asked for and is not there, or the name is unknown.
    """
    member(name, ("auto", "cpu", "cuda"), "device")
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        msg = "device 'cuda' was asked for, and torch sees none. Use --device cpu."
        raise ParameterError(msg)
    return torch.device("cpu" if name == "cpu" or not has_cuda else "cuda")


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse bfloat16 on a CPU, which computes it slower than float32.

    Raises:
        ParameterError: The device is a CPU and the precision is not float32.
    """
    if device.type == "cpu" and precision != "float32":
        msg = (
            f'[train] precision "{precision}" needs a CUDA device, and this run is on '
            'the CPU. Set precision = "float32" in the study; it is then another run.'
        )
        raise ParameterError(msg)


def make_repeatable(device: torch.device) -> None:
    """Choose deterministic kernels, and one thread on CPU, for this process.

    More threads change the order of additions, and with it the last bits; two
    processes of one thread are also faster than one of two.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cudnn.benchmark = False
    if device.type == "cpu":
        torch.set_num_threads(1)
