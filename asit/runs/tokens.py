"""Subword tokens of transcripts: SentencePiece models trained on a data directory's ``text``.

Files, as ESPnet keeps them: ``tokens.model`` (SentencePiece), ``tokens.txt`` (one token a line, the line's number from
0 is its index) and in data directories ``token_int`` (``utt index index ...``). Index 0 is <blank>, which no text
contains: CTC needs it; index 1 is <unk>.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

import sentencepiece

from asit.config import Options, option
from asit.errors import AsitError
from asit.io.atomic import atomic_open, write_text
from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import write_table

BLANK, UNKNOWN = 0, 1
QUIET = 2  # SentencePiece's log level: errors only


@dataclass(frozen=True)
class TokenSettings(Options):
    """What tokens there are."""

    token_type: str = option("unigram", "how text is cut into tokens", ("unigram", "bpe", "char", "word"))
    vocab_size: int = option(64, "number of tokens with <blank> and <unk>; char and word take all there are", least=3)
    coverage: float = option(1.0, "share of the characters that get a token, the rest are <unk>", above=0, most=1)


class Tokens:
    """A trained SentencePiece model.

    Args:
        model: the content of ``tokens.model``.
        source: named in messages.

    Raises:
        AsitError: not such a model, or one without <blank> at index 0.
    """

    def __init__(self, model: bytes, source: str = "tokens.model") -> None:
        self.model, self.source = model, source
        self._pieces = sentencepiece.SentencePieceProcessor()
        try:
            self._pieces.LoadFromSerializedProto(model)
        except RuntimeError:
            raise AsitError(f"{source}: expected a SentencePiece model; train it with asit-train-tokens") from None
        if len(self) < 2 or self._pieces.pad_id() != BLANK or self._pieces.unk_id() != UNKNOWN:
            raise AsitError(
                f"{source}: expected <blank> as index {BLANK} and <unk> as {UNKNOWN}; train the model with "
                "asit-train-tokens"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tokens:
        """The model in a ``tokens.model`` file."""
        path = os.fspath(path)
        try:
            with open(path, "rb") as stream:
                return cls(stream.read(), path)
        except OSError as error:
            raise AsitError(f"{path}: cannot read: {error.strerror}; train it with asit-train-tokens") from None

    def __len__(self) -> int:
        """Number of tokens, <blank> and <unk> among them."""
        return self._pieces.get_piece_size()

    @property
    def names(self) -> list[str]:
        """The tokens by index; the mark U+2581 begins a word."""
        return [self._pieces.id_to_piece(i) for i in range(len(self))]

    def encode(self, text: str) -> list[int]:
        """Indices of the tokens of a text; characters without a token are ``UNKNOWN``."""
        return self._pieces.encode(text, out_type=int)

    def decode(self, indices: Sequence[int]) -> str:
        """The text of indices; <blank> has none.

        Raises:
            AsitError: an index that is no token.
        """
        wrong = [i for i in indices if not 0 <= i < len(self)]
        if wrong:
            raise AsitError(f"{self.source}: index {wrong[0]} is no token: there are {len(self)}")
        return self._pieces.decode([int(i) for i in indices if i != BLANK])

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``tokens.model`` and ``tokens.txt``."""
        os.makedirs(folder, exist_ok=True)
        write_text(os.path.join(folder, "tokens.txt"), "".join(f"{name}\n" for name in self.names))
        with atomic_open(os.path.join(folder, "tokens.model"), "wb") as stream:
            stream.write(self.model)


def train(data_dir: str, settings: TokenSettings) -> Tokens:
    """Tokens for the transcripts in ``<data-dir>/text``; the same text gives the same tokens.

    Raises:
        AsitError: no ``text``, nothing in it, or more tokens asked for than the text has.
    """
    data = DataDir(data_dir)
    lines = [text for text in data.text.values() if text.strip()]
    if not lines:
        raise AsitError(f"{data.file('text')}: expected transcripts, found none")
    counted = settings.token_type in ("unigram", "bpe")
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            model_type=settings.token_type,
            vocab_size=settings.vocab_size if counted else 10**6,
            hard_vocab_limit=counted,
            character_coverage=settings.coverage,
            pad_id=BLANK,
            pad_piece="<blank>",
            unk_id=UNKNOWN,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            max_sentence_length=max(len(line.encode()) for line in lines) + 1,
            minloglevel=QUIET,
        )
    except RuntimeError as error:
        reason = " ".join(str(error).rpartition("] ")[2].split())  # after the place in SentencePiece's source
        raise AsitError(
            f"{data.file('text')}: {len(lines)} transcripts do not give {settings.vocab_size} tokens: {reason}; "
            "set --vocab-size"
        ) from None
    return Tokens(written.getvalue(), f"tokens of {data.file('text')}")


def write_token_int(tokens: Tokens, data_dir: str) -> tuple[int, int]:
    """Write ``<data-dir>/token_int`` from its ``text``; how many tokens there are, and how many of them are <unk>.

    Raises:
        AsitError: no ``text``, or a transcript without a token.
    """
    data = DataDir(data_dir)
    found = {utt: tokens.encode(text) for utt, text in data.text.items()}
    for utt, indices in found.items():
        if not indices:
            raise AsitError(f"{data.file('text')}: utterance '{utt}': expected a transcript, found none; remove it")
    write_table(data.file("token_int"), {utt: " ".join(map(str, indices)) for utt, indices in found.items()})
    return sum(map(len, found.values())), sum(indices.count(UNKNOWN) for indices in found.values())
