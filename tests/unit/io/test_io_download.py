from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from asit.bin.download import main as download_command
from asit.errors import AsitError
from asit.io.download import download, hash_of

DATA = os.urandom(300_000)
HASH = hashlib.sha256(DATA).hexdigest()
NO_PROXY = {"http_proxy": "", "HTTP_PROXY": "", "no_proxy": "*"}


class Handler(BaseHTTPRequestHandler):
    """Serves DATA: /file with ranges, /plain without, /cut stops after 100 kB of each answer, /flaky fails first,
    /chunks says no length and stops within a chunk."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        kind = self.path.split("/")[1]
        if kind == "missing" or (kind == "flaky" and len(server.requests) == 1):
            self.send_error(404 if kind == "missing" else 503)
            return
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/file/x")
            self.end_headers()
            return
        if kind == "chunks":
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"186a0\r\n" + DATA[:100_000] + b"\r\n186a0\r\n" + DATA[:10])
            self.close_connection = True
            return
        body, wanted, first = (b"other" if kind == "other" else DATA), self.headers.get("Range"), 0
        if wanted and kind != "plain":
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            if first >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - first))
        self.end_headers()
        self.wfile.write(body[first : first + 100_000] if kind == "cut" else body[first:])


@pytest.fixture
def server(monkeypatch):
    for name, value in NO_PROXY.items():
        monkeypatch.setenv(name, value)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetch_then_nothing_to_do(server, tmp_path):
    path = tmp_path / "downloads" / "a file"
    assert download(f"{server.url}/file/x", path, HASH.upper()) == str(path)
    assert path.read_bytes() == DATA
    download(f"{server.url}/file/x", path, HASH)
    assert len(server.requests) == 1
    assert os.listdir(path.parent) == ["a file"]


def test_resume_of_a_part(server, tmp_path):
    (tmp_path / "f.part").write_bytes(DATA[:123_456])
    download(f"{server.url}/file/x", tmp_path / "f", HASH)
    assert server.requests == [("/file/x", "bytes=123456-")]
    assert hash_of(tmp_path / "f") == HASH


def test_resume_within_one_call_when_the_connection_is_cut(server, tmp_path):
    download(f"{server.url}/cut/x", tmp_path / "f", HASH, wait=0)
    assert [r for _, r in server.requests] == [None, "bytes=100000-", "bytes=200000-"]
    assert (tmp_path / "f").read_bytes() == DATA


def test_cut_for_good_keeps_the_part_for_the_next_run(server, tmp_path):
    with pytest.raises(AsitError, match="connection ended after 200000 of 300000 bytes"):
        download(f"{server.url}/cut/x", tmp_path / "f", HASH, tries=2, wait=0)
    assert os.listdir(tmp_path) == ["f.part"]
    download(f"{server.url}/cut/x", tmp_path / "f", HASH, tries=1)
    assert os.listdir(tmp_path) == ["f"]


def test_server_without_ranges_and_whole_part(server, tmp_path):
    (tmp_path / "f.part").write_bytes(DATA[:1000])
    download(f"{server.url}/plain/x", tmp_path / "f", HASH)
    (tmp_path / "g.part").write_bytes(DATA)
    download(f"{server.url}/file/x", tmp_path / "g", HASH)
    assert (tmp_path / "f").read_bytes() == (tmp_path / "g").read_bytes() == DATA


def test_part_of_another_version_is_thrown_away(server, tmp_path):
    for junk in (b"x" * 1000, b"x" * 400_000):
        (tmp_path / "f.part").write_bytes(junk)
        download(f"{server.url}/file/x", tmp_path / "f", HASH, wait=0)
        assert (tmp_path / "f").read_bytes() == DATA
        (tmp_path / "f").unlink()


def test_wrong_hash_keeps_nothing_and_the_next_mirror_is_tried(server, tmp_path):
    with pytest.raises(AsitError, match=f"expected {HASH}; nothing was kept"):
        download(f"{server.url}/other/x", tmp_path / "f", HASH)
    assert os.listdir(tmp_path) == []
    mirrors = [f"{server.url}/missing/x", f"{server.url}/other/x", str(tmp_path / "none"), f"{server.url}/moved/x"]
    download(mirrors, tmp_path / "f", HASH)
    assert (tmp_path / "f").read_bytes() == DATA


def test_busy_server_is_asked_again(server, tmp_path):
    download(f"{server.url}/flaky/x", tmp_path / "f", HASH, wait=0)
    assert len(server.requests) == 2


def test_all_reasons_are_told_without_secrets(server, tmp_path):
    host = server.url.removeprefix("http://")
    with pytest.raises(AsitError, match=r"none of 2 sources.*HTTP 404.*none: cannot read") as error:
        download([f"http://{host}/missing/x?token=geheim", str(tmp_path / "none")], tmp_path / "f", HASH, wait=0)
    assert "geheim" not in str(error.value)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_local_sources(tmp_path):
    folder = tmp_path / "my mirror"
    folder.mkdir()
    (folder / "f").write_bytes(DATA)
    for source in (str(folder), str(folder / "f"), (folder / "f").as_uri()):
        download(source, tmp_path / "f", HASH)
        assert (tmp_path / "f").read_bytes() == DATA
        (tmp_path / "f").unlink()


@pytest.mark.parametrize(
    ("source", "message"),
    [("ftp://host/f", "expected http, https, file"), ("file://host/f", "host name 'host'")],
)
def test_other_addresses(tmp_path, source, message):
    with pytest.raises(AsitError, match=message):
        download(source, tmp_path / "f", HASH)


def test_hash_is_mandatory_and_an_other_file_is_not_replaced(tmp_path):
    with pytest.raises(AsitError, match="64 hexadecimal digits"):
        download("x", tmp_path / "f", "")
    (tmp_path / "f").write_text("mine")
    with pytest.raises(AsitError, match="remove the file"):
        download("x", tmp_path / "f", HASH)
    assert (tmp_path / "f").read_text() == "mine"


def test_two_processes_at_once(server, tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="only Python on Linux and macOS has fcntl: run the tests there")
    with open(tmp_path / "f.part", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(AsitError, match="another process is fetching"):
            download(f"{server.url}/file/x", tmp_path / "f", HASH)


def test_a_file_without_a_published_hash(server, tmp_path):
    """Nothing is joined to a part of unknown origin; a whole file is left alone; a cut connection is still noticed."""
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    download([f"{server.url}/missing/x", f"{server.url}/cut/x"], tmp_path / "f", None, wait=0)
    assert (tmp_path / "f").read_bytes() == DATA
    before = len(server.requests)
    download(f"{server.url}/file/x", tmp_path / "f", None)
    assert len(server.requests) == before


def test_a_cut_answer_of_unknown_length_is_no_whole_file(server, tmp_path):
    with pytest.raises(AsitError, match="connection ended within the file"):
        download(f"{server.url}/chunks/x", tmp_path / "f", None, tries=1)
    assert os.listdir(tmp_path) == ["f.part"]


@pytest.mark.usefixtures("tar_archives")
def test_command(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with tarfile.open("a.tar.gz", "w:gz") as tar:
        tar.add(__file__, "folder/a.py")
    words = ["--sources", "gone", "a.tar.gz", "--out", "d/b.tar.gz", "--extract-to", "d/b", "--sha256"]
    for sha256, says in ((hash_of("a.tar.gz"), ""), ("unpublished", "not compared")):
        monkeypatch.setattr(sys, "argv", ["asit-download", *words, sha256])
        assert not download_command()
        assert says in capsys.readouterr().out
        assert (tmp_path / "d/b/folder/a.py").is_file()
    monkeypatch.setattr(sys, "argv", ["asit-download", *words, HASH])
    assert download_command() == 1
    assert f"expected {HASH}" in capsys.readouterr().err
