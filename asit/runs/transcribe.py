"""Transcripts of recordings, straight from audio."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from asit.config import REQUIRED, Options, group, option
from asit.io.any_audio import sources
from asit.runs.model import Model
from asit.runs.recognition import trn_line
from asit.runs.recordings import WAV, RecordingSettings, check_names, heard
from asit.tasks.decoding import DecodingSettings
from asit.train.distributed import pick_device

FORMATS = ("tsv", "text", "trn", "jsonl")


@dataclass(frozen=True)
class Settings(Options):
    """Transcribe recordings: a line for each."""

    model: str = option(REQUIRED, "model.safetensors of asit-finetune with --task ctc")
    wav: tuple[str, ...] = option(REQUIRED, WAV, positional=True)
    format: str = option(
        "tsv",
        "tsv: name, tab, words; text: Kaldi's table, whose names have no white space; trn: sclite's; jsonl",
        FORMATS,
    )
    ngpu: int | None = option(0, "GPUs to use; 0: CPU")
    recordings: RecordingSettings = group(RecordingSettings)
    decoding: DecodingSettings = group(DecodingSettings)


def transcribe(settings: Settings, failed: list[str] | None = None) -> Iterator[str]:
    """The output's lines, recording by recording.

    Args:
        failed: see :func:`asit.runs.recordings.heard`.

    Raises:
        AsitError: a model that was not trained on transcripts, from a list of recordings, or a recording; a name with
            white space in a format that cannot hold it.
    """
    recordings = sources(settings.wav)
    model = Model(settings.model, pick_device(settings.ngpu))
    decode = model.decoder(settings.decoding)
    check_names(recordings, settings.format)
    for source, feats, seconds in heard(recordings, settings.recordings, model, failed):
        yield _line(settings.format, source.name, model.transcripts([feats], decode)[0], seconds)


def _line(form: str, name: str, text: str, seconds: float) -> str:
    if form == "trn":
        return trn_line(name, text)
    if form == "jsonl":
        return json.dumps({"recording": name, "seconds": round(seconds, 3), "text": text}, ensure_ascii=False)
    return f"{name} {text}".rstrip() if form == "text" else f"{name}\t{text}"
