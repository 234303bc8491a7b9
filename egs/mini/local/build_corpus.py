#!/usr/bin/env python3
"""Build corpus/ from Debian packages: the spelling alphabet, the digits and further telephone prompts, as FLAC.

    local/build_corpus.py --packages downloads/debs                 # writes corpus/ and its manifest
    local/build_corpus.py --packages downloads/debs --check true    # compare the packages with corpus/

Run from the recipe directory. A package that the folder lacks is fetched with `apt-get download`. Only FLAC encoding
needs a tool that the recipe itself does not: `flac` (apt-get install flac), which stores 8 kHz speech 4 % smaller than
libsndfile because the block size can be chosen. The samples are those of the packages: nothing is trimmed or scaled.
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile
from manifest import Entry, digest, read_flac, read_manifest, write_manifest
from selection import RATE, Clip, choose, same_recordings, usable

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.io.debian_package import Package, find_deb, read_deb, read_packages

HERE = Path(__file__).resolve().parent
BLOCK_SIZES = (432, 576, 960)
FLAC_OPTIONS = (
    "--silent --best --exhaustive-model-search --qlp-coeff-precision-search --no-padding --no-seektable "
    f"--force-raw-format --endian=little --sign=signed --channels=1 --bps=16 --sample-rate={RATE} --force"
).split()


@dataclass(frozen=True)
class Voice(Package):
    """A row of packages.tsv: a voice and the package that carries it."""

    voice: str
    speaker: str
    lang: str
    licence: str
    author: str
    prefix: str  # folder of the voice in the package


@dataclass(frozen=True)
class BuildSettings(Options):
    """Where the packages are and where the corpus goes."""

    packages: str = option("downloads/debs", "folder with the .deb files; absent ones are fetched there with apt-get")
    out: str = option("corpus", "folder to write")
    flac: str = option("flac", "the flac command")
    check: bool = option(False, "write nothing; fail unless the packages give exactly the committed corpus")


def clips_of(package: Voice, files: dict[str, bytes]) -> list[Clip]:
    """Every .wav of the voice, decoded."""
    clips = []
    for source, content in sorted(files.items()):
        if source.startswith(package.prefix) and source.endswith(".wav"):
            samples, rate = soundfile.read(io.BytesIO(content), dtype="int16")
            if rate != RATE or samples.ndim != 1:
                raise AsitError(
                    f"{package.package}: {source}: expected mono at {RATE} Hz, found {samples.ndim=} {rate}"
                )
            name = source.removeprefix(package.prefix).removesuffix(".wav")
            clips.append(Clip(package.voice, name, source, samples))
    return clips


def encode(clip: Clip, path: Path, flac: str) -> None:
    """Write `path`, the smallest of the encodings with the block sizes above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw")
        raw.write_bytes(clip.samples.astype("<i2").tobytes())
        for size in BLOCK_SIZES:
            out = Path(folder, f"{size}.flac")
            try:
                subprocess.run([flac, *FLAC_OPTIONS, f"--blocksize={size}", f"--output-name={out}", raw], check=True)
            except OSError as error:
                raise AsitError(
                    f"{flac}: cannot run ({error.strerror}); apt-get install flac, or --flac PATH"
                ) from error
            except subprocess.CalledProcessError as error:
                raise AsitError(f"{path}: {flac} failed with status {error.returncode}") from error
        smallest = min((Path(folder, f"{size}.flac") for size in BLOCK_SIZES), key=lambda p: p.stat().st_size)
        temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
        temporary.write_bytes(smallest.read_bytes())
        os.replace(temporary, path)


def compare(out: Path, entries: list[Entry]) -> None:
    """Raise unless manifest and decoded samples in `out` are those of `entries`."""
    old, new = {e.path: e for e in read_manifest(out)}, {e.path: e for e in entries}
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            raise AsitError(f"{out}: {path}: the manifest has {old.get(path)}, the packages give {new.get(path)}")
        if digest(read_flac(out / path)) != new[path].sha256:
            raise AsitError(f"{out}: {path}: other samples than in the package; restore the file from git")
    print(f"{out}: {len(new)} clips, all as the packages have them")


@command
def main() -> None:
    """Choose, check, encode, write the manifest."""
    settings = parse(BuildSettings)
    packages = {p.voice: p for p in read_packages(HERE / "packages.tsv", Voice)}
    clips: list[Clip] = []
    for package in packages.values():
        clips += clips_of(package, read_deb(find_deb(Path(settings.packages), package), package))
    good, bad = usable(clips)
    print(f"{len(clips)} prompts in {len(packages)} packages, {len(bad)} left out before choosing:")
    for clip, why in bad:
        print(f"  {clip.voice} {clip.name}: {why}")
    chosen = choose(good)
    entries = [
        Entry.of(clip, role, packages[clip.voice].speaker, packages[clip.voice].lang, packages[clip.voice].package)
        for role, clip in chosen
    ]
    out = Path(settings.out)
    if settings.check:
        compare(out, entries)
        return
    pairs = same_recordings([clip for _, clip in chosen])
    if pairs:
        raise AsitError(f"the same recording twice: {[(a.voice, a.name, b.name) for a, b in pairs]}; see CONTAINED")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(clip, out / entry.path, settings.flac) for (_, clip), entry in zip(chosen, entries, strict=True)]
        list(pool.map(lambda job: encode(*job), jobs))
    write_manifest(out, entries)
    megabytes = sum((out / e.path).stat().st_size for e in entries) / 1e6
    minutes = sum(e.seconds for e in entries) / 60
    print(f"{out}: {len(entries)} clips, {minutes:.2f} minutes, {megabytes:.3f} MB of FLAC")


if __name__ == "__main__":
    raise SystemExit(main())
