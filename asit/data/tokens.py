"""Units of transcripts: a SentencePiece model, from text to indices and back.

Files, as ESPnet keeps them: ``tokens.model`` (SentencePiece), ``tokens.txt`` (one token a line, the line's number from
0 is its index). Index 0 is <blank>, which no text contains: CTC needs it; index 1 is <unk>.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import sentencepiece

from asit.errors import AsitError
from asit.io.atomic import atomic_open, write_text

BLANK, UNKNOWN = 0, 1
WORD = "\u2581"  # begins a word in a token's name


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

    def unknown(self, text: str) -> str:
        """The first stretch of a text that has no token, or nothing."""
        pieces = self._pieces.encode(text, out_type=str)
        found = (p for p, i in zip(pieces, self._pieces.piece_to_id(pieces), strict=True) if i == UNKNOWN)
        return next(found, "").strip(WORD)

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
