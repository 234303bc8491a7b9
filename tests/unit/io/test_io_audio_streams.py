"""Coded streams whose heads do not tell their length, joined streams, pipes, ranges."""

from __future__ import annotations

import contextlib
import io
import os

import numpy as np
import pytest
import soundfile

from asit.errors import AsitError
from asit.io import streams
from asit.io.audio import audio_info, range_problem, read_audio
from asit.io.audio_files import UNREADABLE_EXTENSIONS

RATE = 44100
QUIET = 1e-4 * np.random.default_rng(0).standard_normal(2 * RATE)
LOUD = 0.4 * np.random.default_rng(1).standard_normal(RATE)


def coded(samples, rate=RATE, **options):
    out = io.BytesIO()
    soundfile.write(out, samples, rate, **options)
    return out.getvalue()


def length(tmp_path, data):
    """Seconds, after reading and after a look at the head, which agree."""
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    samples, rate = read_audio(path)
    assert audio_info(path)[0] == len(samples)
    np.testing.assert_array_equal(read_audio(path, start=0.5)[0], samples[rate // 2 :])
    return len(samples) / rate


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("waves", [(QUIET, LOUD), (LOUD, QUIET)], ids=["quiet first", "loud first"])
@pytest.mark.parametrize("rate", [44100, 22050, 8000])
def test_mp3_without_xing_and_joined(tmp_path, mode, waves, rate):
    samples = np.concatenate(waves)
    whole = coded(samples, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    seconds = len(samples) / rate
    assert length(tmp_path, whole) == pytest.approx(seconds, abs=1e-4)
    head = next(at for at in (whole.find(b"Xing"), whole.find(b"Info")) if at >= 0)
    bare = whole[whole.index(whole[:2], head) :]
    assert length(tmp_path, bare) == pytest.approx(seconds, abs=0.3)
    for joined, times in ((whole + whole, 2), (bare + b"TAG" + bytes(125) + bare, 2), (whole + bare + whole, 3)):
        assert length(tmp_path, joined) == pytest.approx(times * seconds, abs=times * 0.3)
    with pytest.raises(AsitError, match="truncated"):
        length(tmp_path, whole[:-3000])


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg(tmp_path, subtype):
    link = coded(0.1 * LOUD[:16000], 16000, format="OGG", subtype=subtype)
    assert length(tmp_path, link) == 1
    assert length(tmp_path, link * 3) == 3
    with pytest.raises(AsitError, match=r"truncated|malformed"):
        length(tmp_path, link * 2 + link[:-200])
    with pytest.raises(AsitError, match="joined streams of different kinds"):
        length(tmp_path, link + coded(LOUD, 48000, format="OGG", subtype=subtype) if subtype == "OPUS" else
               link + coded(LOUD, 44100, format="OGG"))  # fmt: skip


@pytest.mark.parametrize("stereo_first", [False, True])
def test_chained_ogg_of_one_and_two_channels(tmp_path, stereo_first):
    """As in the Danish letters of KLettres: the stream with one channel is the same on both."""
    links = [
        coded(0.1 * LOUD[:16000], 16000, format="OGG"),
        coded(0.1 * np.stack([LOUD[:16000], 0 * LOUD[:16000]], axis=1), 16000, format="OGG"),
    ]
    path = tmp_path / "a.ogg"
    path.write_bytes(b"".join(reversed(links) if stereo_first else links))
    assert audio_info(path) == (32000, 16000, 2)
    left, right = (read_audio(path, channel=channel)[0] for channel in (0, 1))
    mono = slice(16000, None) if stereo_first else slice(0, 16000)
    np.testing.assert_array_equal(left[mono], right[mono])
    assert np.abs(left[mono]).max() > 0.01
    assert np.abs(left - right).max() > 0.01
    with pytest.raises(AsitError, match="channel"):
        read_audio(path)


def flac(claim=None):
    data = bytearray(coded(0.1 * LOUD, 16000, format="FLAC"))
    if claim is not None:  # 36 bits: the low half of byte 21, bytes 22 to 25
        data[21] = data[21] & 0xF0 | claim >> 32
        data[22:26] = (claim & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)


def test_flac_of_unknown_length(tmp_path):
    assert length(tmp_path, flac(0)) == length(tmp_path, flac()) == RATE / 16000
    assert length(tmp_path, flac() + flac(0)) == 2 * RATE / 16000
    with pytest.raises(AsitError, match=r"cannot be decoded|truncated"):
        length(tmp_path, flac(0)[:-3000])


def test_flac_that_claims_too_much(tmp_path):
    with pytest.raises(AsitError, match=r"truncated: the head promises 68719476735 samples, .* 44100"):
        length(tmp_path, flac(2**36 - 1))


@pytest.mark.parametrize("error", [MemoryError(), ValueError("x"), OSError("x"), RuntimeError("x"), OverflowError("x")])
def test_whatever_soundfile_raises_is_the_clips_error(tmp_path, monkeypatch, error):
    (tmp_path / "a.flac").write_bytes(flac())

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    with pytest.raises(AsitError, match=r"utterance 'u': .*a\.flac"):
        read_audio(tmp_path / "a.flac", utt="u")


@pytest.mark.parametrize("kind", ["AIFF", "AU", "CAF", "W64", "RF64", "NIST", "VOC"])
def test_formats_that_are_read(tmp_path, kind):
    assert length(tmp_path, coded(0.1 * LOUD[:16000], 16000, format=kind, subtype="PCM_16")) == 1


@pytest.mark.parametrize("suffix", sorted(UNREADABLE_EXTENSIONS))
def test_formats_that_are_not(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.raises(AsitError, match=f"does not read {suffix[1:]}; convert .*ffmpeg"):
        read_audio(tmp_path / f"a{suffix}")


def test_fifo_does_not_wait_and_names_need_not_be_utf8(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AsitError, match="expected a regular file, found a pipe"):
        read_audio(tmp_path / "a.wav")
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.flac")
    with open(name, "wb") as stream:
        stream.write(flac())
    assert len(read_audio(name)[0]) == RATE


@pytest.mark.parametrize("promised", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_wav_from_a_pipe(promised):
    data = bytearray(coded(0.1 * LOUD, format="WAV", subtype="PCM_16"))
    at = data.index(b"data") + 4
    data[at : at + 4] = promised.to_bytes(4, "little")
    assert len(read_audio("-", data=bytes(data))[0]) == RATE
    data[at : at + 4] = (3 * RATE).to_bytes(4, "little")
    with pytest.raises(AsitError, match="truncated"):
        read_audio("-", data=bytes(data))


@pytest.mark.parametrize(
    ("factor", "scale", "bits"),
    [(1, 1, 0), (2, 1, 0), (2**15, 1, 16), (2**23, 1, 24), (2**31, 1, 32), (2**15, 2**-15, 0), (1, 2**15, 0)],
)
def test_range(factor, scale, bits):
    for wave in (LOUD / np.abs(LOUD).max(), np.eye(1, 1000)[0]):  # noise, and silence with a spike
        problem = range_problem((factor * wave).astype(np.float32), scale)
        assert (f"{bits}-bit" in problem) if bits else problem is None


def test_damaged_streams_raise_nothing_else():
    rng = np.random.default_rng(0)
    for kind, data in (
        ("MP3", coded(LOUD, format="MP3")),
        ("OGG", coded(LOUD, format="OGG")),
        ("FLAC", flac()),
    ):
        for _ in range(40):
            damaged = bytearray(data[: rng.integers(1, len(data))])
            for at in rng.integers(0, len(damaged), 20):
                damaged[at] = rng.integers(256)
            with contextlib.suppress(AsitError):
                streams.parts(bytes(damaged), kind)
