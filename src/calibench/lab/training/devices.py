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
    """Refuse lower precision on a CPU, which computes bfloat16 slower than float32.

    Raises:
        ParameterError: The device is a CPU and the precision is not float32.
    """
    if device.type == "cpu" and precision != "float32":
        msg = (
            f'[train] precision "{precision}" needs a CUDA device, and this run is on '
            'the CPU. Set precision = "float32" in the study; it is then another run.'
        )
        raise ParameterError(msg)


def set_precision(precision: str) -> None:
    """Choose what convolutions of float32 compute in; matrix products keep float32.

    torch's own default is TF32 for the first and float32 for the second.
    """
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = False


def make_repeatable(device: torch.device, *, deterministic: bool = True) -> None:
    """Choose deterministic kernels, and one thread on CPU, for this process.

    More threads change the order of additions, and with it the last bits; two
    processes of one thread are also faster than one of two. Where it need not be
    deterministic, a GPU may add in any order, and tries which kernels are quickest.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=deterministic)
    # It would write over all memory before it is used; nothing reads it before that.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not deterministic
    if device.type == "cpu":
        torch.set_num_threads(1)
