"""How the inner loops are compiled.

What is kept on disk does not notice that a function of another module has changed, so
compiled functions call none but those of their own module.
"""

from functools import partial

from numba import njit

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def compiled(function, *, exact=True):
    """Compile it once a machine, or once a process where nothing can be kept.

    Args:
        function: What numba can compile.
        exact: Whether floating-point operations keep their order.
    """
    make = partial(njit, **_OPTIONS, fastmath=False if exact else {"reassoc"})
    try:
        return make(cache=True)(function)
    except (RuntimeError, OSError):
        return make()(function)
