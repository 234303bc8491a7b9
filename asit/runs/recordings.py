"""The recordings that a command is given, one after another: what asit-predict, asit-embed and others share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from asit.config import Options, option
from asit.errors import AsitError, excerpt
from asit.io.any_audio import RESAMPLED, Source, waveform
from asit.io.channels import channel_of
from asit.runs.model import Model

log = logging.getLogger(__name__)
KALDI_TABLES = ("text", "events")  # formats of asit-transcribe and asit-detect

WAV = (
    "audio files of any rate and number of channels; folders, with all audio below them; .txt lists of files; "
    "Kaldi's wav.scp; -: standard input"
)  # what commands say of their recordings


@dataclass(frozen=True)
class RecordingSettings(Options):
    """How recordings are read."""

    channel: str | None = option(
        None, "channel of audio with several, from 0; mix: their mean; none: as the model's recipe took it, else mix"
    )
    allow_pipes: bool = option(False, "run the commands in wav.scp")

    def __post_init__(self) -> None:
        super().__post_init__()
        channel_of(self.channel)


class Heard(NamedTuple):
    """A recording that could be read."""

    source: Source
    feats: np.ndarray  # log-mels (T, F), not normalised
    seconds: float


def heard(
    sources: Sequence[Source], settings: RecordingSettings, model: Model, failed: list[str] | None
) -> Iterator[Heard]:
    """The recordings, as ``model`` hears them.

    Args:
        failed: gets a line for each that cannot be read, and the others go on; None: the first one is raised.

    Raises:
        AsitError: the first one that cannot be read, where ``failed`` is None; the last one, where all cannot.
    """
    channel, some = channel_of(settings.channel), False
    for source in sources:
        try:
            wave = waveform(
                source.path,
                model.sample_rate,
                None,
                model.channel if channel is None else channel,
                settings.allow_pipes,
            )
            feats = model.features_of_wave(wave, source.path)
        except AsitError as error:
            if failed is None:
                raise
            failed.append(str(error))
            continue
        some = True
        yield Heard(source, feats, len(wave) / model.sample_rate)
    if failed and not some:  # what nothing can be made of would hide why there is nothing
        report_failed(failed)


def check_names(sources: Sequence[Source], form: str) -> None:
    """Refuse names that the lines of a format cannot hold: white space in Kaldi's, tabs and line breaks in tsv.

    Raises:
        AsitError: naming the first one.
    """
    for source in sources:
        if form in KALDI_TABLES and len(source.name.split()) != 1:
            raise AsitError(
                f"{excerpt(source.name)}: white space in a name, which Kaldi's {form} cannot hold; rename it, or take "
                "--format tsv"
            )
        if form == "tsv" and ("\t" in source.name or len(source.name.splitlines()) > 1):
            raise AsitError(
                f"{excerpt(source.name)}: a tab or line break in a name, which a line of tsv cannot hold; rename it, "
                "or take --format jsonl"
            )


class _FirstOfEachRate(logging.Filter):
    """Of the notes on conversion, one for each rate."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[object] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        if record.msg != RESAMPLED or not isinstance(record.args, tuple):
            return True
        known = record.args[1] in self._told
        self._told.add(record.args[1])
        return not known


def show_notes() -> None:
    """Notes of a command go to stderr, those on conversion once for each rate; what it finds to stdout."""
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # names that are not UTF-8, as they are
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger().handlers[0].addFilter(_FirstOfEachRate())


def report_failed(failed: Sequence[str]) -> None:
    """At the end of a command that went on after a recording failed.

    Raises:
        AsitError: the last one's line; the others have been shown.
    """
    for problem in failed[:-1]:
        log.error("error: %s", problem)
    if failed:
        raise AsitError(failed[-1] if len(failed) == 1 else f"{failed[-1]} ({len(failed)} recordings failed)")
