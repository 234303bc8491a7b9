"""The page of asit-demo: what it answers, and what a real browser shows of a dropped file and of a recording."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from headless import browser
from small_models import make_classifier, make_detector, make_recogniser, make_square

import asit
from asit.runs import demo
from asit.runs.demo import HOST, MOST_BYTES, Settings, findings, server

SPEECH = Path(__file__).parents[3] / "egs/mini/corpus/allison_en/conf-invalid.flac"  # 3.86 s at 8 kHz


@contextlib.contextmanager
def served(model: str) -> Iterator[str]:
    """The address of a page that runs in this process."""
    page = server(Settings(model=model, port=0))
    thread = threading.Thread(target=page.run, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{page.effective_port}/"
    finally:
        page.trigger.pull_trigger(
            lambda: page.asyncore.close_all(page._map)
        )  # in its loop, which ends when all is closed
        thread.join(10)
        page.task_dispatcher.shutdown()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> str:
    return make_classifier(tmp_path_factory.mktemp("my model") / "model.safetensors")


@pytest.fixture(scope="module")
def address(classifier) -> Iterator[str]:
    with served(classifier) as found:
        yield found


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def hear(address: str, data: bytes, name: str = "a.wav") -> list[tuple[str, Any]]:
    """The findings, (kind, value), in their order."""
    query = urllib.parse.urlencode({"name": name})
    status, headers, body = ask(f"{address}hear?{query}", data)
    assert (status, headers["Content-Type"]) == (200, "application/x-ndjson")
    return [next(iter(json.loads(line).items())) for line in body.decode().splitlines()]


def wav(wave: np.ndarray, rate: int, **how: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, **{"format": "WAV", **how})
    return stream.getvalue()


def test_a_classifier_says_and_shows_what_it_hears(address, classifier) -> None:
    found = hear(address, SPEECH.read_bytes(), "ö <b>.flac")
    assert [kind for kind, _ in found] == ["note", "classes", "picture", "picture"]
    assert found[0][1] == "ö <b>.flac: 3.86 s at 8000 Hz, converted to the model's 16000 Hz"
    expected = asit.load(classifier).classify(SPEECH)
    assert [name for name, _ in found[1][1]] == [name for name, _ in expected]
    np.testing.assert_allclose([p for _, p in found[1][1]], [p for _, p in expected], atol=1e-6)
    assert [value["shows"] for _, value in found[2:]] == ["classes of ö <b>.flac", "attention of ö <b>.flac"]
    for _, value in found[2:]:
        with urllib.request.urlopen(value["address"]) as png, Image.open(png) as image:
            assert (image.format, image.size[0]) == ("PNG", 1200)


def test_a_recogniser_writes_a_detector_says_when_and_a_backbone_reconstructs(tmp_path) -> None:
    recogniser = asit.load(make_recogniser(tmp_path / "r/model.safetensors"))
    with contextlib.closing(findings(recogniser, SPEECH.read_bytes(), "a.flac")) as found:
        next(found)
        assert next(found) == {"transcript": recogniser.transcribe(SPEECH)}
    detector = asit.load(make_detector(tmp_path / "d/model.safetensors"))
    _, events, picture = findings(detector, SPEECH.read_bytes(), "a.flac")
    assert events == {"events": detector.events(SPEECH)}
    assert events["events"]
    assert picture["picture"]["shows"] == "attention of a.flac"
    with contextlib.closing(findings(asit.load("asit-tiny"), SPEECH.read_bytes(), "a.flac")) as found:
        next(found)
        assert next(found)["picture"]["shows"] == "reconstruction of a.flac"
    square = asit.load(make_square(tmp_path / "s/backbone.safetensors"))  # its head of pretraining is not there
    _, lost, picture = findings(square, SPEECH.read_bytes(), "a.flac")
    assert "backbone.heads.safetensors" in lost["error"]
    assert picture["picture"]["shows"] == "attention of a.flac"


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"", "a.wav", "a.wav: the file is empty"),
        (b"no audio at all", "notes.txt", "notes.txt: cannot be decoded"),
        (b"\x1aE\xdf\xa3" + bytes(99), "a.webm", "a.webm: this format takes ffmpeg, which is not installed; install"),
        (SPEECH.read_bytes()[:9000], "a.flac", "a.flac: "),
        (wav(np.zeros(10), 16000), "a.wav", "a.wav: expected at least 400 samples"),
        (wav(np.zeros(301 * 100), 100), "a.wav", "a.wav: expected at most 300 s, found 301 s"),
        (b"x", "../../a\x00|", "../../a\x00|: cannot be decoded"),
    ],
    ids=["empty", "text", "webm", "truncated", "short", "long", "odd name"],
)
def test_a_bad_recording_gives_one_line(address, data, name, expected, monkeypatch) -> None:
    monkeypatch.setattr("asit.io.any_audio.FFMPEG", ("no-ffmpeg",))
    ((kind, text),) = hear(address, data, name)
    assert kind == "error"
    assert text.startswith(expected)
    assert "\n" not in text


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not there: apt-get install ffmpeg")
def test_what_libsndfile_does_not_read_goes_through_ffmpeg(classifier, tmp_path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-i", SPEECH, "-c:a", "aac", tmp_path / "a.m4a"], check=True)
    note, classes, *_ = findings(asit.load(classifier), (tmp_path / "a.m4a").read_bytes(), "a.m4a")
    assert note["note"].startswith("a.m4a: 3.")
    assert len(classes["classes"]) == 3
    (error,) = findings(asit.load(classifier), b"no audio", "a.m4a")
    assert error["error"].startswith("a.m4a: ffmpeg cannot decode it")


def test_samples_out_of_range_and_several_channels_are_told(classifier) -> None:
    loud = 20_000 * np.sin(np.arange(16_000) / 9)
    with contextlib.closing(
        findings(asit.load(classifier), wav(np.stack([loud, loud]).T, 16000, subtype="FLOAT"), "a.wav")
    ) as found:
        assert next(found) == {"note": "a.wav: 1.00 s at 16000 Hz, the mean of 2 channels"}
        assert "20000" in next(found)["error"]


def test_a_page_elsewhere_gets_nothing(address) -> None:
    port = address.rpartition(":")[2].rstrip("/")
    assert ask(address, Host=f"localhost:{port}")[0] == 200
    assert ask(address, Host=f"elsewhere.example:{port}")[0] == 400  # a name whose address was made 127.0.0.1
    for method in (None, b"x"):
        status, headers, body = ask(f"{address}hear" if method else address, method, Origin="https://elsewhere.example")
        assert (status, body) == (403, b"this request comes from another page")
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert ask(f"{address}static/../demo.py")[0] == 404


def test_every_answer_holds_the_browser_to_this_page(address) -> None:
    for place in ("", "static/demo.js", "static/style.css", "nowhere"):
        policy = ask(address + place)[1]["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert not re.search(r"unsafe|http|\*", policy)
    page = ask(address)[2].decode()
    assert not re.findall(r"""(?:src|href)=["'](?!data:,|static/)|<style|\son\w+=|\sstyle=""", page)


def test_a_file_above_the_limit_is_refused_unread(address) -> None:
    request = urllib.request.Request(f"{address}hear", b"x", {"Content-Length": str(MOST_BYTES + 1)})
    with pytest.raises(urllib.error.HTTPError, match="413"):
        urllib.request.urlopen(request, timeout=60)


def test_what_keeps_it_from_starting(monkeypatch, address) -> None:
    port = int(address.rpartition(":")[2].rstrip("/"))
    with pytest.raises(asit.AsitError, match=rf"port {port}: Address already in use; give another --port"):
        server(Settings(model="asit-tiny", port=port))
    monkeypatch.setitem(sys.modules, "waitress", None)
    with pytest.raises(asit.AsitError, match="waitress is not installed; pip install flask waitress"):
        server(Settings(model="asit-tiny", port=0))


def test_the_command_serves_this_machine_alone_until_it_is_interrupted() -> None:
    words = [sys.executable, "-m", "asit.bin.demo", "--model", "asit-tiny", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            said = running.stdout.readline()
            url = re.fullmatch(r"open (http://127\.0\.0\.1:\d+/) in a browser of this machine; Ctrl-C ends it\n", said)[
                1
            ]
            assert b"asit-tiny" in ask(url)[2]
            listening = Path(f"/proc/{running.pid}/net/tcp").read_text().split("\n")
            port = f"{int(url.split(':')[2].rstrip('/')):04X}"
            at = {line.split()[1] for line in listening[1:] if line and line.split()[3] == "0A" and f":{port} " in line}
            assert at == {f"0100007F:{port}"}
            running.send_signal(signal.SIGINT)
            assert running.wait(30) == 0
        finally:
            running.kill()
        assert running.stderr.read() == ""


def watched(chromium: Any, **options: Any) -> tuple[Any, list[str], list[str]]:
    """A page; the addresses that it asks for; what it says on the console."""
    page = chromium.new_page(**options)
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    return page, asked, told


def drop(page: Any, *names: str) -> None:
    """Text files, as from a file manager."""
    add = "n => d.items.add(new File(['no audio'], n))"
    code = f"names => {{ const d = new DataTransfer(); names.forEach({add}); return d }}"
    files = page.evaluate_handle(code, list(names))
    page.dispatch_event("#drop", "drop", {"dataTransfer": files})


def test_a_browser_drops_and_records(address, classifier, tmp_path, monkeypatch) -> None:
    """Findings of a dropped file appear; a recording keeps its pitch; no request leaves, no word on the console."""
    rate, tone = 44_100, 1000.0
    sine = 0.4 * np.sin(2 * np.pi * tone * np.arange(2 * rate) / rate)
    soundfile.write(tmp_path / "tone.wav", sine, rate)
    heard: list[bytes] = []
    read = demo.read_audio
    monkeypatch.setattr(demo, "read_audio", lambda *a, data, **k: heard.append(data) or read(*a, data=data, **k))
    fakes = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with browser(*fakes, f"--use-file-for-fake-audio-capture={tmp_path / 'tone.wav'}") as chromium:
        page, asked, told = watched(chromium, viewport={"width": 1150, "height": 1250})
        page.goto(address)
        page.set_input_files("#file", SPEECH)
        page.wait_for_selector("#findings[aria-busy=false]")
        assert page.locator("#findings th").all_text_contents() == [
            n for n, _ in asit.load(classifier).classify(SPEECH)
        ]
        widths = page.evaluate("Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))")
        assert widths == [1200, 1200]
        assert page.evaluate("document.getElementById('player').duration") == pytest.approx(3.86, abs=0.01)
        page.screenshot(path=str(tmp_path / "demo.png"), full_page=True)

        page.click("#record")
        page.wait_for_selector("#status:text-is('recording: 1 s')")
        page.click("#record")
        page.wait_for_selector("#status:text('recording.wav: 1.')")
        page.wait_for_selector("#findings[aria-busy=false]")
        assert page.locator("#findings img").count() == 2

        drop(page, "notes.txt", "more.txt")
        page.wait_for_selector("#status:text('expected one recording, found 2 files')")
        drop(page, "notes.txt")
        page.wait_for_selector("#findings[aria-busy=false] .wrong")
        assert page.locator("#findings").inner_text().startswith("notes.txt: cannot be decoded")
        assert page.locator("#findings img").count() == 0
        assert told == []
        assert [url for url in asked if not url.startswith((address, "data:", f"blob:{address}"))] == []
    wave, found = soundfile.read(io.BytesIO(heard[1]))
    spectrum = np.abs(np.fft.rfft(wave))
    assert 1.0 <= len(wave) / found < 2.0
    assert spectrum.argmax() * found / len(wave) == pytest.approx(tone, abs=10)
    assert np.abs(wave).max() > 0.1
