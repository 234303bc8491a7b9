"""Small packages in the layout of egs/drums, for tests. Not one drum is in them: the recordings are pieces of the
telephone prompts of egs/mini, called by the names of drum classes, in formats and rates of the real packages.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from debian_packages import build_deb

PROMPTS = Path(__file__).parents[2] / "egs/mini/corpus"
LABELS = ("clap", "hat_open", "kick", "snare", "tom")
KITS = {"acoustic": "train", "hydro_kit": "train", "loops": "valid", "circus_v4": "test"}
PACKAGES = {"kits": ("acoustic", "circus_v4"), "more-kits": ("hydro_kit", "loops")}
TAKES = 3  # recordings of each class in each kit
FORMATS = (  # suffix, format, encoding, rate, channels
    ("wav", "WAV", "PCM_16", 44100, 2),
    ("wav", "WAV", "PCM_24", 48000, 2),
    ("flac", "FLAC", "PCM_16", 44100, 1),
    ("aiff", "AIFF", "PCM_16", 44100, 2),
    ("ogg", "OGG", "VORBIS", 22050, 1),
    ("wav", "WAV", "PCM_U8", 11025, 1),
)


def hits() -> Iterator[np.ndarray]:
    """Pieces of prompts, 0.2 to 2.2 s at 8 kHz, each of them once."""
    random = np.random.default_rng(0)
    for voice in ("allison_en", "june_fr"):
        for path in sorted((PROMPTS / voice).rglob("*.flac")):
            wave, rate = soundfile.read(path, dtype="float32")
            yield wave[: int(random.uniform(0.2, 2.2) * rate)]


def encoded(wave: np.ndarray, kind: str, subtype: str, rate: int, channels: int) -> bytes:
    """A file of this format; the second channel is half as loud."""
    wave = soxr.resample(wave, 8000, rate)
    stream = io.BytesIO()
    soundfile.write(stream, np.stack([wave, 0.5 * wave][:channels], axis=1), rate, format=kind, subtype=subtype)
    return stream.getvalue()


def ogg_in_wav(ogg: bytes) -> bytes:
    """An Ogg stream as the data of a wav file (format 0x674F), which libsndfile does not open."""
    format_chunk = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 0x674F, 1, 44100, 11000, 1, 16, 0)
    chunks = b"WAVE" + format_chunk + struct.pack("<4sI", b"data", len(ogg)) + ogg
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def make(folder: Path) -> tuple[Path, Path]:
    """Write folder/tables/{packages,kits,recordings}.tsv and the packages; returns the folders of both."""
    tables, debs = folder / "tables", folder / "the packages"
    tables.mkdir(parents=True)
    debs.mkdir()
    formats, waves = itertools.cycle(FORMATS), hits()
    recordings = ["package\tpath\tlabel\tkit"]
    packages = ["package\tversion\tsha256"]
    for package, kits in PACKAGES.items():
        files: dict[str, bytes] = {f"usr/share/doc/{package}/copyright": b"see egs/mini/corpus/ATTRIBUTION.md\n"}
        for kit, label, take in itertools.product(kits, LABELS, range(TAKES)):
            suffix, *how = next(formats)
            path = f"usr/share/{kit.replace('_', ' ')}/{label} {take}.{suffix}"
            content = encoded(next(waves), *how)
            files[path] = ogg_in_wav(content) if (kit, label, suffix) == ("loops", "kick", "ogg") else content
            recordings.append(f"{package}\t{path}\t{label}\t{kit}")
        write_deb(debs, package, files)
        deb = debs / f"{package}_1.0_all.deb"
        packages.append(f"{package}\t1.0\t{hashlib.sha256(deb.read_bytes()).hexdigest()}")
    kits = [f"{kit}\t{name}\tas egs/mini\tCC-BY-SA-3.0" for kit, name in KITS.items()]
    for name, lines in (
        ("packages", packages),
        ("recordings", recordings),
        ("kits", ["kit\tset\tauthor\tlicence", *kits]),
    ):
        (tables / f"{name}.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return tables, debs


def write_deb(debs: Path, package: str, files: dict[str, bytes]) -> None:
    """A package of these files."""
    (debs / f"{package}_1.0_all.deb").write_bytes(build_deb("1.0", files, package))


def replace_deb(tables: Path, debs: Path, package: str, files: dict[str, bytes]) -> None:
    """Another package in the place of one, with its hash in packages.tsv."""
    write_deb(debs, package, files)
    found = hashlib.sha256((debs / f"{package}_1.0_all.deb").read_bytes()).hexdigest()
    lines = (tables / "packages.tsv").read_text().splitlines()
    lines = [f"{package}\t1.0\t{found}" if line.startswith(f"{package}\t") else line for line in lines]
    (tables / "packages.tsv").write_text("".join(f"{line}\n" for line in lines))
