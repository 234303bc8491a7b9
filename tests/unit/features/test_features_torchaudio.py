"""torchaudio as an optional back end: the same features, and a clear message when it cannot be loaded."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile
from fbank_reference import reference, tolerance

from asit.errors import AsitError
from asit.features import torchaudio_fbank
from asit.features.extract import ExtractSettings, extract
from asit.features.fbank import Fbank, FbankSettings
from asit.features.torchaudio_fbank import TorchaudioFbank
from asit.kaldi.data_dir import write_data_dir

OPTION = torchaudio_fbank.CHOSEN_BY


@functools.cache
def loads() -> bool:
    """Whether torchaudio can be imported; asked of another process, a failed import leaves traces."""
    return subprocess.run([sys.executable, "-c", "import torchaudio"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def torchaudio(monkeypatch):
    """torchaudio, or where only its compiled part does not load the part that is Python: that is all we use."""
    spec = importlib.util.find_spec("torchaudio")
    if spec is None:
        pytest.skip("torchaudio is not installed (pip install torchaudio)")
    before = set(sys.modules)
    if not loads():
        package = types.ModuleType("torchaudio")
        package.__path__ = list(spec.submodule_search_locations)
        extension = types.ModuleType("torchaudio._extension")
        extension._IS_TORCHAUDIO_EXT_AVAILABLE = extension._IS_ALIGN_AVAILABLE = False
        extension.fail_if_no_align = lambda function: function
        monkeypatch.setitem(sys.modules, "torchaudio", package)
        monkeypatch.setitem(sys.modules, "torchaudio._extension", extension)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("torchaudio"):
            del sys.modules[name]


@pytest.fixture
def data_dir(tmp_path):
    wav = tmp_path / "a.wav"
    soundfile.write(wav, 0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    return write_data_dir(tmp_path / "data", {"wav.scp": {"a": str(wav)}, "utt2spk": {"a": "a"}})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_rate": 8000, "num_mel_bins": 64, "window": "povey"},
        {"use_energy": True, "energy_floor": 1.0, "waveform_scale": 32768.0},
        {"use_energy": True, "htk_compat": False, "raw_energy": False},
        {"window": "blackman", "blackman_coeff": 0.4, "use_power": False, "preemphasis": 0.9},
        {"snip_edges": False, "remove_dc_offset": False, "low_freq": 60.0, "high_freq": -400.0},
        {"dither": 1e-3, "dither_seed": 3, "use_log_fbank": False},
    ],
    ids=lambda o: "-".join(o) or "defaults",
)
def test_same_features(torchaudio, options) -> None:
    settings = FbankSettings(**{"num_mel_bins": 40, **options})
    wave = (0.1 * np.random.default_rng(1).standard_normal(6000) + 0.02).astype(np.float32)
    ours, theirs = Fbank(settings)(wave, "a"), TorchaudioFbank(settings)(wave, "a")
    assert theirs.dtype == np.float32
    assert theirs.shape == ours.shape
    if settings.dither or not settings.use_log_fbank:
        np.testing.assert_allclose(theirs, ours, rtol=2e-4, atol=1e-7)
    else:
        assert np.all(np.abs(theirs - ours) <= 2 * tolerance(reference(wave, settings)))


def test_a_clip_too_short_is_the_same_error(torchaudio) -> None:
    with pytest.raises(AsitError, match="utterance a: expected at least 400 samples"):
        TorchaudioFbank()(np.zeros(399, np.float32), "a")


def test_extraction_with_it(torchaudio, data_dir, tmp_path) -> None:
    out = tmp_path / "out"
    chosen = {"backend": "torchaudio"}
    assert extract(ExtractSettings(data_dir=data_dir.path, out_dir=str(out), name="raw", **chosen)) == (1, 1)
    assert "backend" not in (out / "raw.fbank.yaml").read_text(), "equal features: models and data sets still fit"


def test_not_installed(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(AsitError) as error:
        torchaudio_fbank.load()
    assert str(error.value) == (
        f"{OPTION}: torchaudio is not installed; leave the option at its default, which does not need it, or pip "
        "install torchaudio"
    )


@pytest.mark.parametrize(
    "error",
    [OSError("Could not load this library:\n libtorchaudio.so"), ImportError("libcudart.so.13: no such file")],
)
def test_installed_for_another_torch(monkeypatch, error) -> None:
    def fail(name):
        raise error

    real = torchaudio_fbank.importlib.import_module
    monkeypatch.setattr(torchaudio_fbank.importlib, "import_module", lambda n: fail(n) if "audio" in n else real(n))
    expected = r"does not load beside torch [^ ]+ \((Could not load|libcudart).*linked against CUDA"
    with pytest.raises(AsitError, match=expected) as found:
        torchaudio_fbank.load()
    assert "\n" not in str(found.value)


def test_a_fault_elsewhere_is_not_blamed_on_it(monkeypatch) -> None:
    def fail(name):
        raise ModuleNotFoundError("No module named 'zlib'", name="zlib")

    monkeypatch.setattr(torchaudio_fbank.importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="zlib"):
        torchaudio_fbank.load()


def test_the_command_says_so_before_it_touches_anything(data_dir, tmp_path) -> None:
    """In a process where torchaudio cannot be found, as on most machines."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "raw.ark").write_bytes(b"of an earlier run")
    words = ["--data-dir", data_dir.path, "--out-dir", str(out), "--name", "raw", "--num-mel-bins", "40"]
    code = "import sys; sys.modules['torchaudio'] = None; from asit.bin.make_fbank import main; sys.exit(main())"
    shown = subprocess.run(
        [sys.executable, "-c", code, *words, "--backend", "torchaudio"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1
    assert shown.stderr.count("\n") == 1
    assert "error: --backend torchaudio" in shown.stderr
    assert os.listdir(out) == ["raw.ark"]
