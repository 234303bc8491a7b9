from __future__ import annotations

import os
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile

from asit.errors import AsitError
from asit.io import audio
from asit.io.audio import audio_info, read_audio, resampled
from asit.io.channels import MIX

RATE = 8000
WAVE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def save(path, samples=WAVE, rate=RATE, **kwargs):
    soundfile.write(path, samples, rate, **kwargs)
    return path


@pytest.mark.parametrize(("kind", "tolerance"), [("wav", 1e-4), ("flac", 1e-4), ("aiff", 1e-4), ("ogg", 0.05)])
def test_formats(tmp_path, kind, tolerance):
    path = save(tmp_path / f"a clip.{kind}")
    samples, rate = read_audio(path)
    assert (rate, samples.dtype, samples.shape) == (RATE, np.float32, (RATE,))
    assert samples.flags.c_contiguous
    np.testing.assert_allclose(samples, WAVE, atol=tolerance)
    assert audio_info(path) == (RATE, RATE, 1)


def test_integers_are_scaled_to_one(tmp_path):
    save(tmp_path / "a.wav", np.array([-32768, 0, 16384], dtype=np.int16))
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav")[0], [-1.0, 0.0, 0.5])


def test_resampling_keeps_the_tone(tmp_path):
    path = save(tmp_path / "a.wav")
    with pytest.raises(AsitError, match=r"utterance 'u': .*a.wav: expected 16000 Hz, found 8000 Hz.*--resample true"):
        read_audio(path, 16000, "u")
    samples, rate = read_audio(path, 16000, resample=True)
    assert (rate, len(samples), samples.dtype) == (8000, 16000, np.float32)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(samples[1000:-1000], expected[1000:-1000], atol=2e-3)


def test_segments(tmp_path):
    path = save(tmp_path / "a.flac")
    np.testing.assert_allclose(read_audio(path, start=0.25, end=0.5)[0], WAVE[2000:4000], atol=1e-4)
    assert len(read_audio(path, start=0.25)[0]) == len(read_audio(path, start=0.25, end=-1)[0]) == 6000
    assert len(read_audio(path, start=0.5, end=1.4)[0]) == 4000  # less than half a second beyond: cut
    for start, end in ((0.5, 1.6), (1.0, 1.2), (0.5, 0.5), (-0.1, 0.5), (0.6, 0.5), (0.1, 0.10001)):
        with pytest.raises(AsitError, match="segment"):
            read_audio(path, start=start, end=end)


def test_channels(tmp_path):
    path = save(tmp_path / "a.wav", np.stack([WAVE, -WAVE], axis=1))
    with pytest.raises(AsitError, match="expected one channel, found 2; choose one"):
        read_audio(path)
    np.testing.assert_allclose(read_audio(path, channel=1)[0], -WAVE, atol=1e-4)
    with pytest.raises(AsitError, match="channel 2 does not exist: the file has 2"):
        read_audio(path, channel=2)
    assert audio_info(path) == (RATE, RATE, 2)


def bad_file(tmp_path, kind):
    path = tmp_path / "bad.wav"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "no samples":
        save(path, WAVE[:0])
    elif kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("this is no audio\n" * 10)
    elif kind == "nan":
        save(path, np.where(np.arange(RATE) == 5, np.nan, WAVE).astype(np.float32), subtype="FLOAT")
    elif kind == "infinite":
        save(path, np.where(np.arange(RATE) < 3, np.inf, WAVE).astype(np.float32), subtype="FLOAT")
    elif kind in ("cut wav", "cut head"):
        save(path)
        path.write_bytes(path.read_bytes()[: 5000 if kind == "cut wav" else 30])
    elif kind == "cut flac":
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 40000)
        save(tmp_path / "whole.flac", noise)
        path.write_bytes((tmp_path / "whole.flac").read_bytes()[:-9000])
    elif kind in ("stream", "zero length", "too short length"):
        save(path)
        data = bytearray(path.read_bytes())
        at = data.index(b"data") + 4
        data[at : at + 4] = struct.pack("<I", {"stream": 0x7FFFFFFF, "zero length": 0, "too short length": 400}[kind])
        path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("folder", "expected an audio file, found a folder"),
        ("empty", r"the file is empty \(0 bytes\)"),
        ("no samples", "holds no samples"),
        ("text", "cannot be decoded"),
        ("nan", "1 of 8000 samples are NaN or infinite"),
        ("infinite", "3 of 8000 samples are NaN or infinite"),
        ("cut wav", "promises 16000 bytes of samples, 4956 are there"),
        ("cut head", "truncated"),
        ("cut flac", "truncated|cannot be decoded"),
        ("stream", "promises 2147483647 bytes"),
        ("zero length", "promises no samples, 16000 bytes follow"),
        ("too short length", "promises 400 bytes of samples, 15600 more follow"),
    ],
)
def test_each_bad_input_has_its_line(tmp_path, kind, message):
    path = bad_file(tmp_path, kind)
    with pytest.raises(AsitError, match=message) as error:
        read_audio(path, utt="utt-7")
    assert str(error.value).startswith(f"utterance 'utt-7': {path}")
    assert "\n" not in str(error.value)


def test_info_sees_what_the_head_tells(tmp_path):
    for kind in ("missing", "folder", "empty", "no samples", "text", "cut wav", "stream"):
        path = bad_file(tmp_path, kind)
        with pytest.raises(AsitError, match=r"bad.wav"):
            audio_info(path)
        if path.is_file():
            path.unlink()
        elif path.is_dir():
            path.rmdir()


def test_further_chunks_and_tags_are_no_mistake(tmp_path):
    path = save(tmp_path / "a.wav", WAVE[:101])
    plain = path.read_bytes()
    for more in (b"LIST\x04\0\0\0INFO", b"TAG" + bytes(125), b"\0" * 100, b"\0"):
        path.write_bytes(plain + more)
        assert len(read_audio(path)[0]) == 101


def test_commands(tmp_path):
    path = save(tmp_path / "a.wav")
    mark = tmp_path / "ran"
    with pytest.raises(AsitError, match=r"utterance 'u': .* is a command"):
        read_audio(f"touch {mark}; cat {path} |", utt="u")
    assert not os.path.exists(mark)
    np.testing.assert_allclose(read_audio(f"cat '{path}' |", allow_pipes=True)[0], WAVE, atol=1e-4)
    with pytest.raises(AsitError, match="is a command"):
        audio_info(f"cat {path} |")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT", "ULAW"])
def test_samples_are_those_of_libsndfile(tmp_path, subtype):
    wave = np.concatenate([np.random.default_rng(0).uniform(-1, 1, 5000), [-1, 32767 / 32768, -1 / 32768, 0]])
    suffixes = ("wav", "flac") if subtype.startswith("PCM_") and subtype != "PCM_U8" else ("wav",)
    for suffix in suffixes:
        path = tmp_path / f"x.{suffix}"
        soundfile.write(path, wave, 16000, subtype=subtype)
        expected, _ = soundfile.read(path, dtype="float32")
        found, _ = read_audio(path)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(read_audio(path, start=0.1, end=0.2)[0], expected[1600:3200])


def test_a_long_recording_takes_the_memory_of_one_channel_at_the_wanted_rate(tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (44100 * 60, 2))
    soundfile.write(path, noise, 44100, subtype="PCM_16")
    whole = resampled(soundfile.read(path, dtype="float32")[0].mean(axis=1), 44100, 16000)
    monkeypatch.setattr(audio, "_BLOCK", 2**16)
    tracemalloc.start()
    found, rate = read_audio(path, 16000, resample=True, channel=MIX)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rate == 44100
    np.testing.assert_array_equal(found, whole)  # bit by bit what converting it at once gives
    assert peak < 3 * found.nbytes  # two channels at 44.1 kHz are 5.5 times as much
