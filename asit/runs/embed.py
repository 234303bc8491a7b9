"""Embeddings of clips, frames or patches, of a data directory or of any audio."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asit.config import REQUIRED, Options, group, option
from asit.errors import AsitError, excerpt
from asit.io.any_audio import Source, sources
from asit.io.atomic import atomic_open, write_text
from asit.kaldi.ark import ArkWriter
from asit.kaldi.table import write_table
from asit.recipes.recording import distinct, identifier
from asit.runs.embedder import Embedder, EmbedderSettings
from asit.runs.model import LEVELS, Model
from asit.runs.recordings import RecordingSettings, heard

FORMATS = ("ark", "npy", "parquet")


@dataclass(frozen=True)
class Settings(Options):
    """Write embeddings of a data directory or of audio: embeddings.ark and .scp, .npy files, or embeddings.parquet."""

    model: str = option(
        REQUIRED, "model.safetensors of asit-finetune, backbone.safetensors of asit-pretrain, asit-tiny"
    )
    wav: tuple[str, ...] = option((), "audio, as for asit-predict, in place of --data-dir", positional=True)
    data_dir: str = option("", "data directory with feats.scp and conf/fbank.yaml")
    out_dir: str = option(REQUIRED, "folder of what is written")
    level: str = option(
        "clip",
        "clip: a vector each; frame: a matrix each, a row for each patch in time; patch: its bands side by side",
        LEVELS,
    )
    layer: int | None = option(None, "take the tokens after this many blocks; -1 or none: after all")
    format: str = option(
        "ark",
        "ark: Kaldi's, with utt2num_frames and frame_shift of matrices; npy: a file each; parquet: a table, a row for "
        "each vector",
        FORMATS,
    )
    recordings: RecordingSettings = group(RecordingSettings)
    embedder: EmbedderSettings = group(EmbedderSettings)


def embed(settings: Settings, failed: list[str] | None = None) -> int:
    """Write the embeddings; returns their number.

    Args:
        failed: see :func:`asit.runs.recordings.heard`.

    Raises:
        AsitError: neither or both of audio and data directory, another front end than the model's, or features that
            cannot be read.
    """
    if bool(settings.wav) == bool(settings.data_dir):
        raise AsitError("expected either audio or --data-dir, found " + ("both" if settings.wav else "neither"))
    embedder = Embedder(settings.model, settings.embedder)
    model = Model.of(embedder)
    clips = _of_data_dir(embedder, settings.data_dir) if settings.data_dir else _of_audio(model, settings, failed)
    names: list[str] = []

    def feats() -> Iterator[np.ndarray]:
        for name, matrix in clips:
            names.append(name)
            yield matrix

    found = model.embeddings(feats(), settings.level, settings.layer)
    out, rows = Path(settings.out_dir), _named(found, names)
    if settings.format == "ark":
        _ark(out, rows, 0.0 if settings.level == "clip" else model.hop)
    else:
        {"npy": _npy, "parquet": _parquet}[settings.format](out, rows)
    return len(names)


def _of_data_dir(embedder: Embedder, data_dir: str) -> Iterator[tuple[str, np.ndarray]]:
    data = embedder.open(data_dir)
    return ((utt, data.read(number)) for number, utt in enumerate(data.utts))


def _of_audio(model: Model, settings: Settings, failed: list[str] | None) -> Iterator[tuple[str, np.ndarray]]:
    """Ids and features."""
    found = sources(settings.wav)
    named = dict(zip(found, _ids(found), strict=True))
    for source, feats, _ in heard(found, settings.recordings, model, failed):
        yield named[source], feats


def _ids(found: Sequence[Source]) -> list[str]:
    """A file's id is made of its name; where two are alike, of their folders' and endings too.

    Raises:
        AsitError: a recording that is named twice.
    """
    files = [os.path.dirname(os.path.abspath(path)) for name, path in found if name == path]
    base = os.path.commonpath(files) if files else ""
    texts = [os.path.relpath(os.path.abspath(path), base) if name == path else name for name, path in found]
    stems = [
        os.path.splitext(text)[0] if name == path else text for text, (name, path) in zip(texts, found, strict=True)
    ]
    alike = Counter(stems)
    texts = [stem if alike[stem] == 1 else text for stem, text in zip(stems, texts, strict=True)]
    count = Counter(texts)
    for source, text in zip(found, texts, strict=True):
        if count[text] > 1:
            raise AsitError(
                f"recording '{excerpt(source.name)}' is named {count[text]} times; name it once, or rename it"
            )
    ids = distinct(texts, identifier)
    return [ids[text] for text in texts]


Rows = Iterator[tuple[str, np.ndarray, np.ndarray | None]]


def _named(found: Iterable[Any], names: list[str]) -> Rows:
    """Name, embedding, and the seconds of its rows; None of a clip's vector."""
    for number, one in enumerate(found):
        values, times = one if isinstance(one, tuple) else (one, None)
        yield names[number], values, times


def _ark(out: Path, rows: Rows, frame_shift: float) -> None:
    """Vectors, or with a frame shift in seconds matrices."""
    lengths = {}
    with ArkWriter(out / "embeddings.ark", out / "embeddings.scp") as writer:
        for name, values, _ in rows:
            writer.write(name, values.reshape(len(values), -1) if frame_shift else values)
            lengths[name] = str(len(values))
    if frame_shift:
        write_table(out / "utt2num_frames", lengths)
        write_text(out / "frame_shift", f"{frame_shift:g}\n")


def _npy(out: Path, rows: Rows) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, values, _ in rows:
        with atomic_open(out / f"{name}.npy", "wb") as stream:
            np.save(stream, values)


def _parquet(out: Path, rows: Rows) -> None:
    """embeddings.parquet: name, of frames and patches their middle in seconds, embedding; a row group a recording."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise AsitError("--format parquet: the package pyarrow is not installed; pip install pyarrow") from None
    with contextlib.ExitStack() as opened:
        stream = opened.enter_context(atomic_open(out / "embeddings.parquet", "wb"))
        writer: Any = None
        for name, values, times in rows:
            matrix = values[None] if times is None else values.reshape(len(values), -1)
            flat = pa.array(np.ascontiguousarray(matrix, np.float32).ravel())
            columns = {"name": pa.array([name] * len(matrix))}
            if times is not None:
                columns["seconds"] = pa.array(times.astype(np.float32))
            columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
            table = pa.table(columns)
            writer = writer or opened.enter_context(pq.ParquetWriter(stream, table.schema))
            writer.write_table(table)
