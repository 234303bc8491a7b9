"""egs/mboshi from the official layout to the report, on a small corpus of real recordings in it; its checks."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import read_table
from asit.models import model_file

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import mboshi_corpus
from recipe_runs import ROOT, assert_refused, call, copy_recipe, run


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """In one more folder, as the archive has one."""
    return mboshi_corpus.make(tmp_path / "downloaded" / "mboshi-french-parallel-corpus-master").parent


def prepare(corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "egs/mboshi/local/prepare.py"
    return call(corpus, sys.executable, str(script), "--corpus", str(corpus), "--data", "made", *options)


@pytest.mark.slow
def test_from_the_recordings_to_the_report(corpus: Path, tmp_path: Path) -> None:
    """With the recipe's own networks and options; --quick only shortens the trainings."""
    recipe = copy_recipe("mboshi", tmp_path / "recipe", {})
    words = ["--corpus", str(corpus), "--check-counts", "false", "--vocab-size", "24", "--quick", "true"]
    run(recipe, "./run.sh", *words)
    data, exp = recipe / "exp_quick/data", recipe / "exp_quick"
    sizes = {name: len(DataDir(str(data / name)).utts) for name in ("all", "pool", "train", "valid", "test")}
    assert sizes["all"] == 46
    assert sizes["train"] + sizes["valid"] == 40
    assert (sizes["pool"], sizes["test"]) == (sizes["train"], 6)
    table = (exp / "RESULTS.md").read_text(encoding="utf-8")
    tasks = [
        f"## Mboshi, {units}{more}\n" for units in ("characters", "sentencepiece") for more in ("", ", language model")
    ]
    for word in (*tasks, "### wer", "cer in %", "bootstrap", "asit-tiny"):
        assert word in table, word
    scored = sorted(exp.glob("Mboshi*/test*/metrics.json"))
    assert len(scored) == 8
    for path in scored:
        record = json.loads(path.read_text())
        assert record["clips"] == 6
        with path.with_name("per_utterance.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        wrong = sum(int(row[f"words_{kind}"]) for row in rows for kind in ("substitute", "delete", "insert"))
        said = sum(len(words.split()) for words in read_table(data / "test/text").values())
        assert record["metrics"]["wer"] == pytest.approx(wrong / said)
        assert f"{100 * record['metrics']['wer']:.1f}" in table
    units = {len(model_file.load_metadata(path)["labels"]) for path in exp.glob("Mboshi,_sent*/model.safetensors")}
    assert units == {24}
    again = run(recipe, "./run.sh", *words)
    assert again.count("is finished and unchanged") == 9


def test_sentences_are_on_one_side_and_heads_are_repaired(corpus: Path) -> None:
    done = prepare(corpus, "--check-counts", "false")
    assert done.returncode == 0, done.stderr
    sets = {name: DataDir(str(corpus / "made" / name)) for name in ("all", "train", "valid", "test")}
    assert not set(sets["train"].text.values()) & set(sets["valid"].text.values())
    assert not (corpus / "made/pool/text").exists()
    repaired = [path for path in sets["all"].wav_scp.values() if "repaired" in path]
    assert len(repaired) == 1
    (broken,) = (corpus / "mboshi-french-parallel-corpus-master").rglob("*_train_0.wav")
    wave, _ = soundfile.read(corpus / repaired[0])
    assert len(wave) * 2 + 44 == broken.stat().st_size
    assert set(sets["all"].utt2spk.values()) == {"abiayi", "kouarata", "martial"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"\.mb\.cleaned: expected the transcript of .*\.wav: .*No such file.*take the corpus again"),
        (b" \n", r"\.mb\.cleaned: expected the transcript of .*\.wav, found nothing; take the corpus again"),
        (b"\xff\xfe", r"\.mb\.cleaned: expected the transcript of .*utf-8"),
    ],
)
def test_a_transcript_that_is_not_there(corpus: Path, content: bytes | None, says: str) -> None:
    path = next(corpus.rglob("*_dev_3.mb.cleaned"))
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert_refused(prepare(corpus, "--check-counts", "false"), says)
    assert not (corpus / "made/all").exists()


def test_counts_and_folders(corpus: Path, tmp_path: Path) -> None:
    assert_refused(prepare(corpus), r"newsplit/train: expected 4616 recordings, found 40; take the whole corpus")
    (tmp_path / "empty").mkdir()
    assert_refused(prepare(tmp_path / "empty"), r"expected full_corpus_newsplit/train and full_corpus_newsplit/dev")
