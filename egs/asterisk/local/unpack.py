#!/usr/bin/env python3
"""Packages -> <out>/<voice>/<name>.wav: the clips of the manifest, at 8 kHz.

Packages that the folder lacks are fetched there with apt-get, where that is allowed. Two voices come as GSM 06.10 and
are decoded; the others are written as they are.
"""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from corpus import RATE, Clip, Voice, read_clips, read_voices
from tqdm import tqdm

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.io import atomic
from asit.io.debian_package import find_deb, read_deb


@dataclass(frozen=True)
class UnpackSettings(Options):
    """Where the packages are and where the clips go."""

    debs: str = option("downloads/debs", "folder with the .deb files")
    fetch: bool = option(True, "fetch packages that the folder lacks with apt-get download")
    out: str = option("downloads/clips", "folder to write the clips to")


def find(voices: list[Voice], folder: str, fetch: bool) -> dict[str, Path]:
    """Voice name -> its package. Where nothing may be fetched, all that is missing is named at once."""
    missing = [] if fetch else [v for v in voices if not list(Path(folder).glob(f"{v.package}_*.deb"))]
    if missing:
        names = ", ".join(f"{voice.package} {voice.version}" for voice in missing)
        raise AsitError(
            f"{folder}: expected {len(voices)} packages, found {len(voices) - len(missing)}; missing: {names}"
        )
    return {voice.voice: find_deb(folder, voice, fetch) for voice in tqdm(voices, "packages", disable=None)}


def samples_of(content: bytes, name: str, place: str) -> np.ndarray:
    """int16 (samples,) of a clip as the package has it.

    Raises:
        AsitError: it cannot be decoded, is not mono, or has another rate.
    """
    raw = {"format": "RAW", "subtype": "GSM610", "samplerate": RATE, "channels": 1} if name.endswith(".gsm") else {}
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="int16", **raw)
    except soundfile.SoundFileError as error:
        raise AsitError(f"{place}: {name}: cannot decode ({error})") from None
    if rate != RATE or samples.ndim != 1:
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        raise AsitError(f"{place}: {name}: expected mono at {RATE} Hz, found {channels} channel(s) at {rate} Hz")
    return samples


def unpack(voice: Voice, clips: list[Clip], deb: Path, out: Path) -> None:
    """Write the clips of a voice; its folder appears when it is whole."""
    files = read_deb(deb, voice, lambda name: name.startswith(voice.prefix))
    folder = atomic.temporary_name(out / voice.voice)
    try:
        for clip in tqdm(clips, voice.voice, disable=None):
            name = next((n for s in ("wav", "gsm") if (n := f"{voice.prefix}{clip.name}.{s}") in files), None)
            if name is None:
                raise AsitError(
                    f"{deb}: expected {voice.prefix}{clip.name}.wav or .gsm, found neither; see manifest.tsv"
                )
            samples = samples_of(files[name], name, str(deb))
            if len(samples) != clip.samples:
                raise AsitError(f"{deb}: {name}: expected {clip.samples} samples, found {len(samples)}")
            path = Path(folder, f"{clip.name}.wav")
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, samples, RATE, subtype="PCM_16")
        shutil.rmtree(out / voice.voice, ignore_errors=True)
        os.rename(folder, out / voice.voice)
    except OSError as error:
        raise atomic.cannot_write(str(out / voice.voice), error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{out / voice.voice}: {len(clips)} clips, {sum(clip.seconds for clip in clips) / 60:.2f} minutes")


@command
def main() -> None:
    """Find, verify, decode."""
    settings = parse(UnpackSettings)
    voices = read_voices()
    clips = read_clips(voices)
    debs = find(voices, settings.debs, settings.fetch)
    for voice in voices:
        unpack(voice, [clip for clip in clips if clip.voice == voice], debs[voice.voice], Path(settings.out))


if __name__ == "__main__":
    raise SystemExit(main())
