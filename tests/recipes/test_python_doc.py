"""docs/python.md: every block, in one process."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from small_models import make_classifier, make_detector, make_recogniser

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/python.md"


def test_every_block_runs(tmp_path, monkeypatch, capsys) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 8
    random = np.random.default_rng(0)
    soundfile.write(tmp_path / "dog.wav", 0.1 * random.normal(size=22050), 22050)
    soundfile.write(tmp_path / "stereo.wav", 0.1 * random.normal(size=(24000, 2)), 16000)
    make_classifier(tmp_path / "exp/task/model.safetensors")
    make_recogniser(tmp_path / "exp/asr/model.safetensors")
    make_detector(tmp_path / "exp/sed/model.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(DOCUMENT), "exec"), names)
    np.testing.assert_allclose(names["same"], names["vector"], atol=1e-5)
    assert names["vector"].shape == (192,)
    assert names["weights"].shape[2] == 3
    assert len(names["best"]) == 3
    assert set(names["text"]) & set("abcdefgh")
    assert "a backbone, which has no classes" in capsys.readouterr().out
