"""Engines apply a function to every item in order, or refuse before they begin."""

import copy
import io
import sys
import threading
import time

import pytest
from rich.console import Console

from calibench.errors import DataError, ParameterError, ResourceError, RowError
from calibench.lab import pass_display
from calibench.lab.engines import Engine
from calibench.lab.file_states import PassProgress
from calibench.lab.pass_display import show_pass


def test_threads_keep_the_order_and_take_few_items_ahead():
    taken = []

    def items():
        for item in range(20):
            taken.append(item)
            yield item

    def slow_at_first(item):
        time.sleep(0.02 if item == 0 else 0)
        return item, threading.get_ident()

    found = Engine(workers=2).mapped(slow_at_first, items())
    assert next(found)[0] == 0
    assert len(taken) <= 6
    rest = list(found)
    assert [item for item, _ in rest] == list(range(1, 20))
    assert threading.get_ident() not in {thread for _, thread in rest}


def test_an_error_in_a_thread_ends_the_map():
    def refuse(item):
        if item == 3:
            msg = "bad"
            raise DataError(msg)
        return item

    found = Engine(workers=2).mapped(refuse, range(100))
    with pytest.raises(DataError, match="bad"):
        list(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "rays"}, r"unknown engine 'rays'\. Did you mean 'ray'"),
        ({"address": "auto"}, "--ray-address needs --on ray"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
    ],
)
def test_engines_that_cannot_run(options, message):
    with pytest.raises(ParameterError, match=message):
        Engine(**options)


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ResourceError, match=r"pip install 'calibench\[ray\]'"):
        Engine("ray")


def test_an_error_of_a_row_can_be_rebuilt_elsewhere():
    error = copy.copy(RowError("nan in ", 3, ".").moved(4))
    assert (str(error), error.row) == ("nan in row 7.", 7)


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def shown(console, seconds, monkeypatch):
    now = iter([0.0, seconds])
    monkeypatch.setattr(pass_display.time, "monotonic", lambda: next(now))
    with show_pass(console) as watch:
        watch(PassProgress(rows=4_000_000, size=10**8, total=4 * 10**8))
    return console.file.getvalue()


def test_a_long_pass_shows_rows_bytes_and_rate(terminal, monkeypatch):
    text = shown(terminal, 2.0, monkeypatch)
    for part in ("4,000,000 rows", "100.0/400.0 MB", "2,000,000 rows/s"):
        assert part in text


def test_a_short_pass_and_one_without_a_terminal_show_nothing(terminal, monkeypatch):
    assert shown(terminal, 1.0, monkeypatch) == ""
    plain = Console(file=io.StringIO(), force_terminal=False)
    assert shown(plain, 60.0, monkeypatch) == ""
