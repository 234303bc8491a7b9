"""Subword tokens of the mini corpus' transcripts."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asit.bin.train_tokens import main
from asit.data.tokens import BLANK, UNKNOWN, Tokens
from asit.errors import AsitError
from asit.kaldi.data_dir import write_data_dir
from asit.kaldi.table import read_table
from asit.runs.tokens import TokenSettings, train

MINI = Path(__file__).parents[3] / "egs/mini/corpus"
SENTENCES = [
    "please enter your password",
    "your password is not correct",
    "please call again",
    "press one to enter a number",
    "the number is not in service",
    "press two to call again",
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    text = {f"s-{i:02d}": line for i, line in enumerate(SENTENCES)}
    path = tmp_path_factory.mktemp("a corpus") / "data"
    write_data_dir(path, {"text": text, "utt2spk": dict.fromkeys(text, "s")})
    return str(path)


@pytest.fixture(scope="module", params=["unigram", "bpe", "char", "word"])
def tokens(request, data_dir):
    return train(data_dir, TokenSettings(token_type=request.param, vocab_size=32))


def test_round_trip(tokens) -> None:
    for line in SENTENCES:
        indices = tokens.encode(line)
        assert indices
        assert not {BLANK, UNKNOWN} & set(indices)
        assert tokens.decode(indices) == line


def test_kinds(data_dir) -> None:
    sizes = {t: len(train(data_dir, TokenSettings(token_type=t, vocab_size=32))) for t in ("unigram", "bpe", "char")}
    letters = set("".join(SENTENCES)) - {" "}
    assert sizes == {"unigram": 32, "bpe": 32, "char": len(letters) + 3}  # and <blank>, <unk>, the mark of a word
    words = train(data_dir, TokenSettings(token_type="word"))
    assert [len(words.encode(line)) for line in SENTENCES] == [len(line.split()) for line in SENTENCES]


def test_blank_is_first_and_says_nothing(tokens) -> None:
    assert tokens.names[:2] == ["<blank>", "<unk>"]
    indices = tokens.encode(SENTENCES[0])
    spread = [i for index in indices for i in (BLANK, index, BLANK)]
    assert tokens.decode(spread) == SENTENCES[0]


@functools.cache
def few_tokens(data_dir) -> Tokens:
    return train(data_dir, TokenSettings(vocab_size=32))


@given(text=st.text())
def test_any_text_has_tokens_without_blank(data_dir, text) -> None:
    indices = few_tokens(data_dir).encode(text)
    assert BLANK not in indices
    assert all(0 <= i < 32 for i in indices)


def test_same_text_same_model(data_dir) -> None:
    one, two = (train(data_dir, TokenSettings(vocab_size=32)) for _ in range(2))
    assert one.model == two.model


def test_saved_and_loaded(tokens, tmp_path) -> None:
    folder = tmp_path / "my tokens"
    tokens.save(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["tokens.model", "tokens.txt"]
    again = Tokens.load(folder / "tokens.model")
    assert again.names == tokens.names == (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
    assert again.encode(SENTENCES[1]) == tokens.encode(SENTENCES[1])


class TestCommand:
    def call(self, monkeypatch, *words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["asit-train-tokens", *words])
        return main()

    def test_the_mini_corpus(self, monkeypatch, tmp_path, capsys) -> None:
        """The names of its prompts, which are all it has of transcripts: encoded and decoded they are themselves."""
        rows = (MINI / "manifest.tsv").read_text(encoding="utf-8").splitlines()
        column = rows[0].split("\t").index("prompt")
        texts = sorted({row.split("\t")[column].replace("-", " ") for row in rows[1:]})
        table = {f"m-{i:04d}": text for i, text in enumerate(texts)}
        data = tmp_path / "data"
        write_data_dir(data, {"text": table, "utt2spk": dict.fromkeys(table, "m")})
        out = tmp_path / "tokens"
        words = ["--data-dir", str(data), "--out-dir", str(out), "--vocab-size", "100", "--encode-dirs", str(data)]
        assert self.call(monkeypatch, *words) == 0
        assert "100 tokens" in capsys.readouterr().out
        tokens, coded = Tokens.load(out / "tokens.model"), read_table(data / "token_int")
        assert list(coded) == list(table)
        for utt, indices in coded.items():
            assert tokens.decode([int(i) for i in indices.split()]) == " ".join(table[utt].split())

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--vocab-size", "5000"], r"text: 6 transcripts do not give 5000 tokens: .*Vocabulary size too high"),
            (["--vocab-size", "5"], r"text: 6 transcripts do not give 5 tokens: "),
            (["--encode-dirs", "data/none"], "data/none"),
            (["--data-dir", "data/none"], "data/none"),
        ],
    )
    def test_mistakes(self, monkeypatch, data_dir, tmp_path, capfd, words, message) -> None:
        out = str(tmp_path / "out")
        assert self.call(monkeypatch, "--data-dir", data_dir, "--out-dir", out, "--vocab-size", "32", *words) == 1
        err = capfd.readouterr().err
        assert err.count("\n") == 1
        assert re.search(message, err)


def test_wrong_models(tmp_path) -> None:
    for content in (b"", b"nonsense", b"\x80\x04K\x01."):
        (tmp_path / "tokens.model").write_bytes(content)
        with pytest.raises(AsitError, match=r"tokens\.model: expected a SentencePiece model|expected <blank>"):
            Tokens.load(tmp_path / "tokens.model")
    with pytest.raises(AsitError, match=r"gone\.model: cannot read: No such file"):
        Tokens.load(tmp_path / "gone.model")


def test_wrong_text_and_indices(tokens, tmp_path) -> None:
    with pytest.raises(AsitError, match="index 5000 is no token"):
        tokens.decode([5000])
    write_data_dir(tmp_path / "data", {"utt2spk": {"a": "a"}})
    with pytest.raises(AsitError, match="text"):
        train(str(tmp_path / "data"), TokenSettings())


def test_transcripts_of_a_letter_or_a_page(tmp_path) -> None:
    texts = {"u-1": "a", "u-2": "b", "u-3": "ab " * 3000}
    write_data_dir(tmp_path / "data", {"text": texts, "utt2spk": dict.fromkeys(texts, "u")})
    tokens = train(str(tmp_path / "data"), TokenSettings(token_type="char"))
    assert sorted(tokens.names) == ["<blank>", "<unk>", "a", "b", "\u2581"]
