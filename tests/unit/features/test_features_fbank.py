from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fbank_reference import reference, tolerance
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.config import load
from asit.errors import AsitError
from asit.features.fbank import WINDOWS, Fbank, FbankSettings, empty_filters
from asit.features.mel import BandedProduct, mel_filters

FLOOR = np.log(np.finfo(np.float32).eps)  # under every logarithm


def noise(samples, seed=0, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def tones(rate, seconds, seed=0):
    """Loud tones over faint noise: a large dynamic range within each frame."""
    t = np.arange(int(rate * seconds)) / rate
    wave = 0.3 * np.sin(2 * np.pi * 0.11 * rate * t) + 0.1 * np.sin(2 * np.pi * 440 * t)
    return (wave + noise(len(t), seed, 1e-3)).astype(np.float32)


def agrees(wave, chosen):
    exact, ours = reference(wave, chosen), Fbank(chosen)(wave)
    assert ours.shape == exact.shape == (chosen.num_frames(len(wave)), chosen.dim)
    assert ours.dtype == np.float32
    if chosen.use_log_fbank:
        assert np.all(np.abs(ours - exact) <= tolerance(exact if chosen.use_power else 2 * exact))
    else:
        assert np.all(np.abs(ours - exact) <= 1e-5 * exact.max())


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_float64_reference_windows_and_rates(window, rate):
    chosen = FbankSettings(sample_rate=rate, num_mel_bins=64, window=window)
    agrees(noise(rate // 2), chosen)
    agrees(tones(rate, 0.5), chosen)


@pytest.mark.parametrize(
    "change",
    [
        {"use_energy": True},
        {"use_energy": True, "htk_compat": False, "raw_energy": False},
        {"use_energy": True, "energy_floor": 1.0},
        {"use_energy": True, "remove_dc_offset": False},
        {"preemphasis": 0.0},
        {"preemphasis": 0.0, "remove_dc_offset": False, "subtract_mean": False, "window": "hamming"},
        {"remove_dc_offset": False, "window": "rectangular"},
        {"subtract_mean": False, "window": "blackman"},
        {"use_power": False},
        {"use_log_fbank": False},
        {"round_to_power_of_two": False, "num_mel_bins": 40},
        {"snip_edges": False},
        {"low_freq": 300.0, "high_freq": -400.0},
        {"high_freq": 7600.0},
        {"frame_length": 32.0, "frame_shift": 12.5},
        {"frame_length": 5.0, "frame_shift": 10.0, "num_mel_bins": 30, "snip_edges": False},
        {"waveform_scale": 32768.0, "use_energy": True},
    ],
    ids=str,
)
def test_float64_reference_options(change):
    chosen = dataclasses.replace(FbankSettings(num_mel_bins=80), **change)
    agrees(noise(9000) + np.float32(0.05), chosen)
    agrees(tones(16000, 0.4), chosen)


@pytest.mark.parametrize("snip_edges", [True, False])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize(
    ("htk_compat", "energy", "raw", "scale"),
    [(True, False, True, 1.0), (True, True, True, 32768.0), (False, True, False, 1.0)],
)
def test_kaldi_native_fbank(snip_edges, window, rate, htk_compat, energy, raw, scale):
    knf = pytest.importorskip("kaldi_native_fbank", reason="pip install -e '.[test]'")
    wave = noise(rate // 4, seed=rate)
    chosen = FbankSettings(
        sample_rate=rate,
        num_mel_bins=80,
        snip_edges=snip_edges,
        window=window,
        htk_compat=htk_compat,
        use_energy=energy,
        raw_energy=raw,
        waveform_scale=scale,
        subtract_mean=False,
    )
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = rate
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = window
    options.frame_opts.snip_edges = snip_edges
    options.mel_opts.num_bins = 80
    options.htk_compat, options.use_energy, options.raw_energy = htk_compat, energy, raw
    peer = knf.OnlineFbank(options)
    peer.accept_waveform(rate, (wave * np.float32(scale)).tolist())
    peer.input_finished()
    theirs = np.stack([peer.get_frame(i) for i in range(peer.num_frames_ready)])
    ours = Fbank(chosen)(wave)
    assert ours.shape == theirs.shape
    assert np.all(np.abs(ours - theirs) <= 2 * tolerance(reference(wave, chosen)))


@given(hops=st.integers(1, 5), rate=st.sampled_from([8000, 16000]), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_shift_by_hops_shifts_frames(hops, rate, seed):
    """What makes crops of stored features equal to features of crops."""
    chosen = FbankSettings(sample_rate=rate, num_mel_bins=40)
    wave, fbank = noise(rate // 2, seed), Fbank(chosen)
    np.testing.assert_allclose(fbank(wave)[hops:], fbank(wave[hops * chosen.window_shift :]), atol=2e-5)


@given(factor=st.floats(0.05, 20.0), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_scale_adds_twice_its_log(factor, seed):
    """Down to Kaldi's floor: a quiet enough copy has bins that cannot fall any further. Bins far below the loudest of
    their frame carry the rounding of the whole frame, see ``tolerance``."""
    fbank, wave = Fbank(FbankSettings(num_mel_bins=80)), noise(4000, seed)
    once, scaled = fbank(wave), fbank(wave * np.float32(factor))
    expected = np.maximum(once + 2 * np.log(factor), FLOOR)
    allowed = 2 * tolerance(reference(wave, fbank.settings))  # both round
    above = once > FLOOR
    assert above.mean() > 0.99
    assert np.all(np.abs(scaled - expected)[above] <= allowed[above])
    assert np.all(scaled >= FLOOR)


@given(offset=st.floats(-0.5, 0.5), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_constant_offset_does_not_matter(offset, seed):
    wave = noise(4000, seed)
    for chosen in (
        FbankSettings(num_mel_bins=80),
        FbankSettings(num_mel_bins=80, remove_dc_offset=False, subtract_mean=True),
    ):
        np.testing.assert_allclose(Fbank(chosen)(wave + np.float32(offset)), Fbank(chosen)(wave), atol=5e-3)


@given(
    samples=st.integers(1, 5000),
    snip=st.booleans(),
    rate=st.sampled_from([8000, 11025, 16000]),
    shift=st.sampled_from([5.0, 10.0, 12.5, 30.0]),
)
@settings(max_examples=150, deadline=None)
def test_frame_counts_follow_kaldi(samples, snip, rate, shift):
    chosen = FbankSettings(sample_rate=rate, num_mel_bins=20, snip_edges=snip, frame_shift=shift)
    size, hop = int(rate * 0.001 * 25), int(rate * 0.001 * shift)
    whole = 0 if samples < size else 1 + (samples - size) // hop
    expected = whole if snip else (samples + hop // 2) // hop
    assert chosen.num_frames(samples) == expected
    if expected:
        feats = Fbank(chosen)(noise(samples))
        assert feats.shape == (expected, 20)
        assert np.isfinite(feats).all()


def test_silence_is_the_log_of_epsilon():
    feats = Fbank(FbankSettings(num_mel_bins=80))(np.zeros(4000, np.float32))
    np.testing.assert_allclose(feats, np.log(np.finfo(np.float32).eps), rtol=1e-6)


def test_dither_depends_on_seed_and_utterance_only():
    fbank = Fbank(FbankSettings(num_mel_bins=80, dither=1e-3))
    wave = np.zeros(4000, np.float32)
    assert np.array_equal(fbank(wave, "a"), fbank(wave, "a"))
    assert not np.array_equal(fbank(wave, "a"), fbank(wave, "b"))
    other = Fbank(FbankSettings(num_mel_bins=80, dither=1e-3, dither_seed=1))
    assert not np.array_equal(fbank(wave, "a"), other(wave, "a"))
    own = [fbank(wave, generator=np.random.default_rng(5)) for _ in range(2)]
    assert np.array_equal(*own)
    assert not np.array_equal(own[0], fbank(wave, "a"))
    loud, louder = (Fbank(FbankSettings(num_mel_bins=80, dither=d))(wave, "a") for d in (1.0, 10.0))
    np.testing.assert_allclose(louder - loud, 2 * np.log(10), atol=1e-3)


def test_input_is_not_changed_and_views_are_accepted():
    wave = noise(8000)
    kept = wave.copy()
    fbank = Fbank(FbankSettings(num_mel_bins=80, remove_dc_offset=False, dither=0.1))
    fbank(wave, "a")
    assert np.array_equal(wave, kept)
    plain = Fbank(FbankSettings(num_mel_bins=80))
    assert np.array_equal(plain(wave[::2]), plain(wave[::2].copy()))
    assert np.array_equal(plain(wave.astype(np.float64)), plain(wave))


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("bins", [40, 80, 128])
def test_banded_product_is_the_dense_one(rate, bins):
    chosen = FbankSettings(sample_rate=rate, num_mel_bins=bins)
    filters = mel_filters(bins, chosen.fft_size, rate, 20.0, rate / 2)
    power = np.abs(noise((130, chosen.fft_size // 2 + 1)))
    out = np.full((130, bins), np.nan, np.float32)
    BandedProduct(filters)(power, out)
    np.testing.assert_allclose(out, power.astype(np.float64) @ filters.astype(np.float64), rtol=2e-6, atol=1e-9)


def test_empty_filters_are_named_and_the_template_has_none(caplog):
    with caplog.at_level(logging.WARNING):
        feats = Fbank(FbankSettings())(noise(4000))
    assert not caplog.records  # who makes features asks for it
    assert empty_filters(FbankSettings()).startswith(
        "128 mel bins at 16000 Hz with an FFT of 512 points: no spectrum bin falls into filters 3 (counted from 0)"
    )
    assert np.ptp(feats[:, 3]) == 0
    assert np.ptp(feats[:, [0, 1, 2, 4]], axis=0).min() > 0
    template = load(FbankSettings, str(Path(__file__).parents[3] / "egs/TEMPLATE/conf/fbank.yaml"))
    for rate, bins in ((8000, 64), (11025, 64), (12000, 64), (16000, 128), (22050, 128), (32000, 128), (48000, 128)):
        chosen = dataclasses.replace(template, sample_rate=rate, num_mel_bins=bins)
        assert empty_filters(chosen) is None, rate


@pytest.mark.parametrize(("dtype", "words"), [("int16", "by 32768"), ("int32", "by 2147483648"), ("uint8", "by 128")])
def test_integers_are_refused(dtype, words):
    with pytest.raises(AsitError, match=f"utterance u: .*found {dtype}; divide the samples {words}"):
        Fbank(FbankSettings(num_mel_bins=80))(np.zeros(4000, dtype), "u")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"high_freq": 9000.0}, "option 'high_freq'.*Nyquist frequency 8000 Hz.*found 9000"),
        ({"high_freq": -7990.0}, "option 'high_freq'.*found -7990 .edge 10 Hz"),
        ({"low_freq": 8000.0}, "option 'low_freq'"),
        ({"num_mel_bins": 300}, "option 'num_mel_bins': expected 3 to 256 .*found 300"),
        ({"num_mel_bins": 2}, "option 'num_mel_bins'"),
        ({"frame_shift": 0.01}, "option 'frame_shift'"),
        ({"frame_length": 0.1}, "option 'frame_length'"),
        ({"frame_length": 25.1, "round_to_power_of_two": False}, "option 'frame_length': expected an even number.*401"),
        ({"window": "kaiser"}, "option 'window': expected one of hanning"),
        ({"preemphasis": 1.5}, "option 'preemphasis'"),
        ({"dither": -1.0}, "option 'dither'"),
        ({"sample_rate": 0}, "option 'sample_rate'"),
        ({"waveform_scale": 0.0}, "option 'waveform_scale'"),
    ],
)
def test_settings_that_cannot_work(change, message):
    with pytest.raises(AsitError, match=message):
        dataclasses.replace(FbankSettings(), **change)


def test_bad_waveforms():
    fbank = Fbank(FbankSettings(num_mel_bins=80))
    with pytest.raises(AsitError, match=r"utterance u1: expected at least 400 samples \(25 ms\).*found 399"):
        fbank(noise(399), "u1")
    with pytest.raises(AsitError, match=r"utterance u1: expected one channel.*\(2, 400\)"):
        fbank(noise((2, 400)), "u1")
    with pytest.raises(AsitError, match=r"expected at least 80 samples .* found 79; remove"):
        Fbank(FbankSettings(num_mel_bins=80, snip_edges=False))(noise(79))
    assert Fbank(FbankSettings(num_mel_bins=80, snip_edges=False))(noise(80)).shape == (1, 80)


def test_bytes_do_not_depend_on_the_number_of_threads():
    program = (
        "import hashlib, numpy as np; from asit.features.fbank import *; d = hashlib.sha256()\n"
        "for rate in (16000, 44100):\n"
        "    wave = np.random.default_rng(0).standard_normal(5 * rate).astype(np.float32)\n"
        "    d.update(Fbank(FbankSettings(sample_rate=rate))(wave).tobytes())\n"
        "print(d.hexdigest())"
    )
    found = set()
    for threads in "13":
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        found.add(subprocess.check_output([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL))
    assert len(found) == 1
