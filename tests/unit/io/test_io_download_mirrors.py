"""A mirror that misbehaves, in whatever way, is one line of the log: the next source is tried."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import threading

import pytest

from asit.errors import AsitError
from asit.io.download import download

DATA = bytes(range(256)) * 40
HASH = hashlib.sha256(DATA).hexdigest()
SIZE = len(DATA)


def answer(status="200 OK", body=DATA, length=SIZE, **headers):
    lines = [f"HTTP/1.1 {status}", "Connection: close"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


# Name -> bytes of every answer. {port} is the server's own.
BAD = {
    "length is no ascii digit and the body wrong": answer(length="²", body=b"x"),
    "length of 5000 digits": answer(length="9" * 5000),
    "longer than it says": answer(length=SIZE // 2),
    "shorter than it says": answer(length=SIZE * 2),
    "206 unasked": answer(
        "206 Partial Content", body=DATA[5:], length=SIZE - 5, Content_Range=f"bytes 5-{SIZE - 1}/{SIZE}"
    ),
    "204": answer("204 No Content", body=b"", length=None),
    "416 of nothing": answer("416 Range Not Satisfiable", body=b"", length=0, Content_Range="bytes */0"),
    "416 odd": answer("416 Range Not Satisfiable", body=b"", length=0, Content_Range="bytes */³"),
    "redirect to nowhere": answer("302 Found", body=b"", length=0),
    "redirect to a bad address": answer("302 Found", body=b"", length=0, Location="http://[bad/x"),
    "redirect to a bad port": answer("302 Found", body=b"", length=0, Location="http://host:x/"),
    "redirect to a file": answer("302 Found", body=b"", length=0, Location="file:///etc/hostname"),
    "redirect to itself": answer("302 Found", body=b"", length=0, Location="/again"),
    "redirect to odd characters": answer("302 Found", body=b"", length=0, Location="http://a..b\xe9/ x"),
    "garbage": b"\xff\xfe garbage\r\n\r\n",
    "status of letters": b"HTTP/1.1 abc\r\n\r\n",
    "endless line": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
    "two hundred headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    "chunks of nonsense": answer(body=b"zz\r\nabc", length=None, Transfer_Encoding="chunked"),
    "nothing": b"",
    "reset": None,
    "silence": "wait",
}


class Mirror:
    """Answers each connection with the same bytes."""

    def __init__(self, content):
        self.content, self.requests = content, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/f"
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.done.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                self.requests.append(connection.recv(65536))
                if self.content == "wait":
                    self.done.wait(2)
                elif self.content is None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    connection.sendall(self.content)

    def close(self):
        self.done.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    made = []

    def make(content):
        made.append(Mirror(content))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("part", [0, 100], ids=["fresh", "resumed"])
@pytest.mark.parametrize("name", BAD)
def test_the_next_source_is_tried(mirror, tmp_path, caplog, name, part):
    (tmp_path / "good").write_bytes(DATA)
    bad = mirror(BAD[name])
    if part:
        (tmp_path / "f.part").write_bytes(DATA[:part])
    download([bad.url, str(tmp_path / "good")], tmp_path / "f", HASH, tries=2, wait=0, timeout=0.2)
    assert (tmp_path / "f").read_bytes() == DATA
    assert bad.requests
    warnings = [r.getMessage() for r in caplog.records if r.name == "asit.io.download"]
    # Of a length that is no number a whole body may still be read.
    assert [w.partition(": ")[0] for w in warnings] == [bad.url] or name == "length of 5000 digits"
    assert all("\n" not in w and len(w) < 400 for w in warnings)
    assert sorted(os.listdir(tmp_path)) == ["f", "good"]


def test_when_all_fail_each_is_named_and_no_file_is_made(mirror, tmp_path):
    names = ["204", "416 of nothing", "206 unasked", "redirect to a bad address", "reset", "shorter than it says"]
    mirrors = [mirror(BAD[name]) for name in names]
    for sha256 in (HASH, None):
        with pytest.raises(AsitError, match="none of 7 sources") as error:
            download([*(m.url for m in mirrors), "http://[x/"], tmp_path / "f", sha256, tries=1, wait=0, timeout=0.5)
        assert all(m.url in str(error.value) for m in mirrors)
        assert not (tmp_path / "f").exists()


def test_a_range_that_ends_before_the_file_is_no_whole_file(mirror, tmp_path):
    part = answer("206 Partial Content", body=DATA[100:200], length=100, Content_Range=f"bytes 100-199/{SIZE}")
    (tmp_path / "f.part").write_bytes(DATA[:100])
    with pytest.raises(AsitError, match=f"ended after 200 of {SIZE} bytes"):
        download(mirror(part).url, tmp_path / "f", HASH, tries=1)
