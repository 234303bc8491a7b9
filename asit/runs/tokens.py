"""Training tokens: SentencePiece models of a data directory's ``text``, and ``token_int`` (``utt index index ...``)."""

from __future__ import annotations

import io
from dataclasses import dataclass

import sentencepiece

from asit.config import Options, option
from asit.data.tokens import BLANK, UNKNOWN, Tokens
from asit.errors import AsitError
from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import write_table

LONGEST = 4192  # bytes of a line, SentencePiece's default; it takes neither longer lines nor a limit of a few bytes
QUIET = 2  # SentencePiece's log level: errors only


@dataclass(frozen=True)
class TokenSettings(Options):
    """What tokens there are."""

    token_type: str = option("unigram", "how text is cut into tokens", ("unigram", "bpe", "char", "word"))
    vocab_size: int = option(64, "number of tokens with <blank> and <unk>; char and word take all there are", least=3)
    coverage: float = option(1.0, "share of the characters that get a token, the rest are <unk>", above=0, most=1)


def train(data_dir: str, settings: TokenSettings) -> Tokens:
    """Tokens for the transcripts in ``<data-dir>/text``; the same text gives the same tokens.

    Raises:
        AsitError: no ``text``, nothing in it, or more tokens asked for than the text has.
    """
    data, lines = DataDir(data_dir), transcripts(data_dir)
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
            max_sentence_length=max(LONGEST, *(len(line.encode()) + 1 for line in lines)),
            minloglevel=QUIET,
        )
    except RuntimeError as error:
        reason = " ".join(str(error).rpartition("] ")[2].split())  # after the place in SentencePiece's source
        raise AsitError(
            f"{data.file('text')}: {len(lines)} transcripts do not give {settings.vocab_size} tokens: {reason}; "
            "set --vocab-size"
        ) from None
    return Tokens(written.getvalue(), f"tokens of {data.file('text')}")


def transcripts(data_dir: str) -> list[str]:
    """The texts of ``<data-dir>/text`` that say something.

    Raises:
        AsitError: no ``text``, nothing in it.
    """
    data = DataDir(data_dir)
    lines = [text for text in data.text.values() if text.strip()]
    if not lines:
        raise AsitError(f"{data.file('text')}: expected transcripts, found none")
    return lines


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
