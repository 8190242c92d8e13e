import errno
import fcntl
import os
import re
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from calibench.errors import LockedError, ParameterError, ResourceError
from calibench.lab.data import download as module
from calibench.lab.data.download import Patience, download
from tiny_cifar import remote_of

CONTENT = np.random.default_rng(0).bytes(300_000)
HASTE = Patience(rounds=2, stall=0.3, pause=0.0)


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, well or badly as the path says."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        behavior, *rest = self.path.strip("/").split("/", 1)
        getattr(self, behavior.replace("-", "_"))(*rest)

    def answer(self, body, *, status=200, headers=(), length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def rest(self, *, cut=None):
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked:
            start = int(asked[1])
        end = len(CONTENT) if cut is None else min(start + cut, len(CONTENT))
        headers = []
        if asked:
            last = len(CONTENT) - 1
            headers = [("Content-Range", f"bytes {start}-{last}/{len(CONTENT)}")]
        self.answer(
            CONTENT[start:end],
            status=206 if asked else 200,
            headers=headers,
            length=len(CONTENT) - start,
        )

    def good(self):
        self.rest()

    def cut(self):
        self.rest(cut=100_000)

    def cut_once(self, place):
        """End the first answer after so many bytes; go on properly afterwards."""
        is_first = len(self.server.requests) == 1
        self.rest(cut=int(place) if is_first else None)

    def to(self, target):
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def no_resume(self):
        self.answer(CONTENT)

    def wrong_part(self):
        # As long as what was asked for, so that its length does not give it away.
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        part = CONTENT[: len(CONTENT) - start]
        shown = f"bytes 0-{len(part) - 1}/{len(CONTENT)}"
        self.answer(part, status=206, headers=[("Content-Range", shown)])

    def wrong_bytes(self):
        self.answer(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))

    def page(self):
        body = b"<html>log in first</html>"
        self.answer(body, headers=[("Content-Type", "text/html; charset=utf-8")])

    def short(self):
        self.answer(CONTENT[:-10])

    def too_much(self):
        # No Content-Length, and ten times what was asked for.
        self.send_response(200)
        self.end_headers()
        for _ in range(10):
            self.wfile.write(CONTENT)

    def absent(self):
        self.send_error(404)

    def busy(self):
        self.send_error(503)

    def silent(self):
        self.server.released.wait(5)

    def stall(self):
        self.answer(CONTENT[:5000], length=len(CONTENT))
        self.server.released.wait(5)

    def drip(self):
        self.answer(b"", length=len(CONTENT))
        for byte in CONTENT[:40]:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.handle_error = lambda *_: None
        running.requests = []
        running.released = threading.Event()
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


def remote(server, *behaviors):
    address = f"http://127.0.0.1:{server.server_port}"
    return remote_of(CONTENT, [f"{address}/{behavior}" for behavior in behaviors])


def paths(server):
    return [path for path, _ in server.requests]


def test_a_file_is_fetched_and_progress_told(server, tmp_path):
    told = []
    path = download(remote(server, "good"), tmp_path / "new", progress=told.append)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    done = [each.done for each in told]
    assert done == sorted(done)
    assert done[-1] == told[-1].total == len(CONTENT)


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    for _ in range(2):
        path = download(remote(server, "good"), tmp_path)
    assert len(server.requests) == 1
    path.write_bytes(CONTENT[:-1] + b"?")
    download(remote(server, "good"), tmp_path)
    assert path.read_bytes() == CONTENT


def test_a_cut_line_is_resumed_where_it_broke(server, tmp_path):
    patience = replace(HASTE, rounds=3)
    path = download(remote(server, "cut"), tmp_path, patience=patience)
    assert path.read_bytes() == CONTENT
    starts = [asked for _, asked in server.requests]
    assert starts == [None, "bytes=100000-", "bytes=200000-"]


OFFSETS = [0, 1, 2, *range(3, len(CONTENT), len(CONTENT) // 95), len(CONTENT) - 1]


def test_a_line_cut_at_any_of_a_hundred_places_costs_only_the_rest(server, tmp_path):
    assert len(OFFSETS) == 100
    for place in OFFSETS:
        server.requests.clear()
        path = download(
            remote(server, f"cut-once/{place}"), tmp_path / str(place), patience=HASTE
        )
        assert path.read_bytes() == CONTENT
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        asked = f"bytes={place}-" if place else None
        assert [start for _, start in server.requests] == [None, asked]
        path.unlink()


def test_a_redirection_is_followed_to_a_file_and_nowhere_else(server, tmp_path):
    path = download(remote(server, "to//good"), tmp_path / "a", patience=HASTE)
    assert path.read_bytes() == CONTENT
    once = replace(HASTE, rounds=1)
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/x", "//page", "to//to"):
        with pytest.raises(ResourceError, match=r"no server sent it") as caught:
            download(remote(server, f"to/{target}"), tmp_path / "b", patience=once)
        assert "root:" not in str(caught.value)
        assert not (tmp_path / "b" / "tiny.tar.gz").exists()


def test_what_arrived_is_kept_for_the_next_attempt(server, tmp_path):
    once = replace(HASTE, rounds=1)
    with pytest.raises(ResourceError, match="ended after 100,000 of 300,000 bytes"):
        download(remote(server, "cut"), tmp_path, patience=once)
    assert [each.name for each in tmp_path.iterdir()] == ["tiny.tar.gz.part"]
    path = download(remote(server, "good"), tmp_path, patience=once)
    assert server.requests[-1] == ("/good", "bytes=100000-")
    assert path.read_bytes() == CONTENT


def test_a_complete_part_needs_no_request(server, tmp_path):
    (tmp_path / "tiny.tar.gz.part").write_bytes(CONTENT)
    path = download(remote(server, "good"), tmp_path, patience=HASTE)
    assert path.read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("behavior", ["no-resume", "good"])
def test_a_part_of_other_bytes_is_thrown_away(server, tmp_path, behavior):
    (tmp_path / "tiny.tar.gz.part").write_bytes(b"\0" * 1000)
    path = download(remote(server, behavior), tmp_path, patience=HASTE)
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    (tmp_path / "tiny.tar.gz.part").write_bytes(CONTENT + b"more")
    once = replace(HASTE, rounds=1)
    path = download(remote(server, "good"), tmp_path, patience=once)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        ("wrong-bytes", "SHA-256 differs"),
        ("page", "HTML page instead of the file"),
        ("short", "offers 299990 bytes; expected 300000"),
        ("too-much", "sent more than the 300,000 bytes"),
        ("absent", "answered 404"),
        ("busy", "answered 503"),
        ("silent", "timed out"),
        ("stall", "timed out"),
        ("drip", "stalled"),
        ("cut", "ended after"),
    ],
)
def test_bad_servers_are_named_and_the_next_one_is_asked(
    server, tmp_path, behavior, reason
):
    once = replace(HASTE, rounds=1)
    with pytest.raises(ResourceError) as caught:
        download(remote(server, behavior), tmp_path, patience=once)
    assert f"/{behavior}: " in str(caught.value)
    assert reason in str(caught.value)
    assert not (tmp_path / "tiny.tar.gz").exists()
    told = []
    path = download(
        remote(server, behavior, "good"), tmp_path, patience=once, progress=told.append
    )
    assert path.read_bytes() == CONTENT
    assert any(each.trouble and behavior in each.url for each in told)


def test_a_server_that_resumes_at_the_wrong_place_is_refused(server, tmp_path):
    (tmp_path / "tiny.tar.gz.part").write_bytes(CONTENT[:7])
    path = download(remote(server, "wrong-part", "good"), tmp_path, patience=HASTE)
    assert path.read_bytes() == CONTENT
    assert server.requests[-1] == ("/good", "bytes=7-")


def test_only_passing_troubles_are_tried_again(server, tmp_path):
    with pytest.raises(ResourceError):
        download(
            remote(server, "page", "busy", "absent", "wrong-bytes"),
            tmp_path,
            patience=HASTE,
        )
    assert paths(server) == ["/page", "/busy", "/absent", "/wrong-bytes", "/busy"]


def test_a_server_that_is_down_is_a_trouble_like_another(server, tmp_path):
    running = remote(server, "good")
    down = replace(running, urls=("http://127.0.0.1:9/", *running.urls))
    assert download(down, tmp_path, patience=HASTE).read_bytes() == CONTENT


def test_a_local_file_is_no_address(tmp_path):
    with pytest.raises(ParameterError, match="must begin with https"):
        download(remote_of(CONTENT, ["file:///etc/passwd"]), tmp_path)


def test_one_process_at_a_time(server, tmp_path):
    with (tmp_path / "tiny.tar.gz.part").open("ab") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="another process"):
            download(remote(server, "good"), tmp_path)
    assert server.requests == []


def test_a_full_disk_is_not_blamed_on_the_network(server, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(ResourceError, match=r"No space left on device.*Free the disk"):
        download(remote(server, "good"), tmp_path)
    assert len(server.requests) == 1
    assert not (tmp_path / "tiny.tar.gz").exists()
