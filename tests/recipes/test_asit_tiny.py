"""egs/asit_tiny: what each corpus may contribute, the recipe on small corpora, weights that load by their name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asit.kaldi.data_dir import DataDir
from asit.models import model_file

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from recipe_runs import ROOT, assert_refused, call, copy_recipe, run

RECIPE = ROOT / "egs/asit_tiny"
HEARD = {  # a clip of each corpus that may be heard, as (file, utterance)
    "speech_commands": ("speech_commands_v0.01/cat/004ae714_nohash_0.wav", "004ae714-cat_0"),
    "arabic_commands": ("main/dataset/yes/00000001_NO_01.wav", "arabic_00000001-yes_01"),
    "librispeech_excerpts": ("audio_data/19-198-0000.flac", "libri_19-198-0000"),
    "librispeech_samples": ("audio/19/198/19-198-0000.flac", None),  # the other collection has it
    "speech_to_intent": ("data/speech/clean/7925.wav", "intent_7925-command"),
    "free_spoken_digits": ("main/recordings/3_anna_5.wav", "fsdd_anna-3_5"),
    "philharmonia": ("audio/french horn/note.mp3", "philharmonia_french_horn-note"),
}
NOT_HEARD = {  # of the validation or testing part, or not of the corpus
    "speech_commands": "speech_commands_v0.01/happy/0c40e715_nohash_1.wav",
    "arabic_commands": "main/dataset/yes/00000002_NO_01.wav",
    "speech_to_intent": "data/speech/noisy/7925.wav",
    "free_spoken_digits": "main/recordings/3_anna_4.wav",
}
CONFIGS = {
    "fbank.yaml": "sample_rate: 16000\nnum_mel_bins: 16\ncmn_window: 600\n",
    "pretrain.yaml": (
        "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [4, 0]\nglobal_frames: 16\nhead_hidden: 16\n"
        "short_clips: skip\nhead_bottleneck: 8\nprototypes: 12\nsteps: 4\nwarmup: 1\nbatch_size: 4\n"
        "threads: 1\nnum_workers: 0\ntensorboard: false\n"
    ),
}


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """A second of noise in place of each clip."""
    random = np.random.default_rng(0)
    for corpus, name in [*((c, n) for c, (n, _) in HEARD.items()), *NOT_HEARD.items()]:
        path = tmp_path / "corpora" / corpus / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * random.standard_normal(16000), 16000)
    tables = tmp_path / "corpora/arabic_commands/main"
    for table, speaker in (("train", 1), ("val", 2), ("test", 2)):
        (tables / f"{table}.csv").write_text(f"file,class\ndataset/yes/0000000{speaker}_NO_01.wav,yes\n")
    return tmp_path / "corpora"


@pytest.fixture
def neighbours(tmp_path: Path) -> Path:
    """The recipe among copies of those whose rules it takes."""
    recipe = copy_recipe("asit_tiny", tmp_path, CONFIGS)
    for name in ("speechcommands/local", "arabic_commands/local", "asterisk/local", "mini/corpus/splits"):
        shutil.copytree(ROOT / "egs" / name, recipe.parent / name)
    return recipe


def test_from_corpora_to_weights(corpora: Path, neighbours: Path) -> None:
    run(neighbours, "./run.sh", "--corpora", str(corpora), "--partial", "true", "--nj", "1")
    heard = {utterance for _, utterance in HEARD.values() if utterance}
    assert set(DataDir(str(neighbours / "data/pool")).utts) == heard
    tensors, facts = model_file.load(neighbours / "exp/asit-tiny.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert facts["licence"] == "CC-BY-SA-4.0"
    assert {row["name"] for row in facts["corpora"]} == set(HEARD) | {"asterisk"}
    full, _ = model_file.load(neighbours / "exp/pretrain_0/backbone.safetensors")
    heads, _ = model_file.load(neighbours / "exp/asit-tiny.heads.safetensors")
    assert {tensor.dtype for tensor in heads.values()} == {torch.float16}
    assert all(torch.allclose(full[name], tensors[name].float(), rtol=1e-3, atol=1e-6) for name in full)


def test_no_prompt_that_mini_or_asterisk_test_is_heard(tmp_path: Path) -> None:
    code = "import prepare, pathlib; print(*(r.path for r in prepare.asterisk(pathlib.Path('x'))), sep='\\n')"
    path = ":".join(
        str(ROOT / "egs" / name / "local") for name in ("asit_tiny", "speechcommands", "arabic_commands", "asterisk")
    )
    heard = call(tmp_path, "env", f"PYTHONPATH={path}:{ROOT}", sys.executable, "-c", code).stdout.split()
    assert len(heard) > 1000
    tested = {
        "x/" + line.split("\t")[0].replace(".flac", ".wav")
        for part in ("spk_test", "spk_valid")
        for line in (ROOT / f"egs/mini/corpus/splits/{part}.tsv").read_text().splitlines()[1:]
    }
    assert len(tested) > 100
    assert not tested & set(heard)
    assert not any("avatar" in name or "menardi" in name or "ivrvoice" in name for name in heard)


def test_a_missing_corpus_is_named(corpora: Path, neighbours: Path) -> None:
    found = call(neighbours, "./run.sh", "--corpora", str(corpora), "--stage", "data")
    assert_refused(found, "asterisk: no such corpus; conf/corpora.tsv says where it is, or give --partial true")


def test_licences_allow_to_give_weights_away() -> None:
    free = {"CC0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "Apache-2.0"}
    for line in (RECIPE / "conf/corpora.tsv").read_text().splitlines()[1:]:
        assert set(line.split("\t")[1].split(", ")) <= free, line
