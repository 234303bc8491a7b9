"""Time of random crops from archives against other ways to store features: python benchmarks/crops.py

Every candidate reads the same random rows of the same features, from the page cache; all take turns within each round.
Peers that cannot be imported are left out.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from measure import Result, picture, ratio, take_turns
from speech import log_mels

from asit.config import Options, option, parse, to_dict
from asit.data.crops import Crops, CropSettings
from asit.data.features import Features
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.kaldi import ark
from asit.kaldi.ark import ArkWriter, read_matrix, read_rows
from asit.kaldi.ark_files import OpenFiles
from asit.kaldi.ark_kaldiio import BACKENDS
from asit.kaldi.table import read_table, write_table

Read = Callable[[int, int], object]  # (utterance, first row) -> rows
FORMATS = {"float32": 0, "one byte (2)": 2, "two bytes (3)": 3, "one byte (5)": 5}
WHOLE = ("kaldiio, float32", "kaldi-native-io, one byte (2)")  # peers shown for long recordings
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings(Options):
    """Time random crops, interleaved with other libraries where they can be imported."""

    rounds: int = option(30, "rounds; each candidate runs once in each", least=3)
    crops: int = option(40, "crops in a run", least=1)
    clips: int = option(60, "clips of 10 s", least=2)
    frames: int = option(592, "frames of a crop", least=1)
    mels: int = option(128, "mel bins", least=1)
    minutes: tuple[float, ...] = option((1.0, 10.0, 60.0), "lengths of recordings besides 10 s")


class Store:
    """Features in the archives' formats, `frames` each."""

    def __init__(self, folder: Path, feats: np.ndarray, clips: int, frames: int) -> None:
        self.folder, self.frames, self.clips = folder, frames, clips
        folder.mkdir()
        self.array = np.resize(feats, (clips, frames, feats.shape[1]))
        self.specs: dict[str, list[str]] = {}
        for name, method in FORMATS.items():
            stem = folder / str(method)
            with ArkWriter(f"{stem}.ark", f"{stem}.scp", method) as writer:
                for i, matrix in enumerate(self.array):
                    writer.write(f"u{i:05d}", matrix)
            self.specs[name] = list(read_table(f"{stem}.scp").values())

    def asit(self, name: str, frames: int) -> Read:
        """Our reading of a format."""
        specs = self.specs[name]
        return lambda i, first: read_rows(specs[i], first, first + frames)


def optional(module: str) -> object | None:
    """A module, or None."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError):
        return None


def peers(store: Store, frames: int) -> dict[str, Read]:
    """Other libraries that read these archives."""
    found: dict[str, Read] = {}
    plain, small = store.specs["float32"], store.specs["one byte (2)"]
    kaldiio = optional("kaldiio")
    if kaldiio:
        found["kaldiio, float32"] = lambda i, a: np.array(kaldiio.load_mat(plain[i])[a : a + frames])
        found["kaldiio, one byte (2)"] = lambda i, a: np.array(kaldiio.load_mat(small[i])[a : a + frames])
    native = optional("kaldi_native_io")
    if native:
        found["kaldi-native-io, float32"] = lambda i, a: (
            native.FloatMatrix.read(plain[i]).numpy()[a : a + frames].copy()
        )
        found["kaldi-native-io, one byte (2)"] = lambda i, a: (
            native.FloatMatrix.read(small[i]).numpy()[a : a + frames].copy()
        )
    return found


def other_stores(store: Store, frames: int) -> dict[str, Read]:
    """Other ways to store features."""
    found: dict[str, Read] = {}
    np.save(store.folder / "all.npy", store.array)
    mapped = np.load(store.folder / "all.npy", mmap_mode="r")
    found["np.memmap of one array"] = lambda i, a: np.array(mapped[i, a : a + frames])
    lhotse = optional("lhotse.features.io")
    if lhotse:
        numpy_keys = []
        with lhotse.NumpyFilesWriter(str(store.folder / "npy")) as writer:
            numpy_keys = [writer.write(f"u{i}", matrix) for i, matrix in enumerate(store.array)]
        numpy_reader = lhotse.NumpyFilesReader(str(store.folder / "npy"))
        found["lhotse, float32 .npy"] = lambda i, a: numpy_reader.read(numpy_keys[i], a, a + frames)
        if optional("lilcom"):
            with lhotse.LilcomChunkyWriter(str(store.folder / "lilcom.llc")) as writer:
                keys = [writer.write(f"u{i}", matrix) for i, matrix in enumerate(store.array)]
            reader = lhotse.LilcomChunkyReader(writer.storage_path)
            found["lhotse, lilcom in chunks"] = lambda i, a: reader.read(keys[i], a, a + frames)
    return found


def datasets(store: Store, frames: int) -> dict[str, Read]:
    """What training asks for: checked and normalised rows, and items of two crops (counted as two)."""
    found: dict[str, Read] = {}
    for name, method in FORMATS.items():
        if name not in ("float32", "one byte (2)", "one byte (5)"):
            continue
        folder = store.folder / f"data {method}"
        (folder / "conf").mkdir(parents=True)
        write_table(folder / "feats.scp", {f"u{i:05d}": spec for i, spec in enumerate(store.specs[name])})
        write_table(folder / "utt2num_frames", {f"u{i:05d}": str(store.frames) for i in range(store.clips)})
        settings = FbankSettings(num_mel_bins=store.array.shape[2])
        (folder / "conf/fbank.yaml").write_text(yaml.safe_dump(to_dict(settings)))
        Stats(-4.2677393, 4.5689974, 1).save(folder / "stats.yaml")
        data = Features(folder)
        items = Crops(data, CropSettings(global_frames=frames), seed=0)
        found[f"asit data set, {name}: checked, normalised"] = lambda i, a, data=data: data.stats.normalise(
            data.read(i, a, a + frames)
        )
        found[f"asit item of two crops, {name}"] = lambda i, a, items=items: items[i, a]
    return found


def measured(
    candidates: dict[str, Read], store: Store, settings: Settings, rounds: int, crops: int
) -> dict[str, list[float]]:
    """Seconds of a crop, in every round; the same random rows for all."""
    random = np.random.default_rng(0)
    clips = random.integers(0, store.clips, crops)
    firsts = random.integers(0, store.frames - settings.frames + 1, crops)
    draws = list(zip(clips.tolist(), firsts.tolist(), strict=True))

    def run_of(read: Read) -> Callable[[], object]:
        return lambda: [read(i, first) for i, first in draws]

    times = take_turns({name: run_of(read) for name, read in candidates.items()}, rounds, CPU)
    share = {name: crops * (2 if "item of two" in name else 1) for name in candidates}
    return {name: [t / share[name] for t in values] for name, values in times.items()}


def against_peers(folder: Path, feats: np.ndarray, settings: Settings) -> dict[str, float]:
    """The table of clips of 10 s; crops a second of our formats."""
    store = Store(folder / "clips", feats, settings.clips, 998)
    own = {f"asit, {name}": store.asit(name, settings.frames) for name in FORMATS}
    others = peers(store, settings.frames) | other_stores(store, settings.frames)
    own |= datasets(store, settings.frames)
    times = measured(others | own, store, settings, settings.rounds, settings.crops)
    first = next(iter(times))
    rows = []
    for name, values in times.items():
        median = statistics.median(values)
        rows.append([name, f"{1e6 * median:.0f}", f"{1 / median:,.0f}", f"{ratio(times, first, name):.1f}"])
    lengths = {10.0 / 60: {name: statistics.median(times[name]) for name in times}}
    for minutes in settings.minutes:
        long = Store(folder / f"{minutes:g} min", feats, 1, int(6000 * minutes))
        several = {f"asit, {name}": long.asit(name, settings.frames) for name in FORMATS}
        few = measured(several, long, settings, settings.rounds, 10)
        whole = {k: v for k, v in peers(long, settings.frames).items() if k in WHOLE}
        few |= measured(whole, long, settings, 3, 1)  # they read and decode all of it
        lengths[minutes] = {name: statistics.median(values) for name, values in few.items()}
    shown = [f"asit, {name}" for name in FORMATS if name != "two bytes (3)"]
    shown += [name for name in WHOLE if name in times]
    series = {name: (list(lengths), [min(20_000, 1 / values[name]) for values in lengths.values()]) for name in shown}
    caption = f"Random crops of {settings.frames} x {settings.mels} a second and core, by the length of the recording"
    figures = [picture("crops_length.png", caption, series, "length of the recording (minutes)", "crops / s / core")]
    longest = max(lengths)
    for row in rows:
        found = lengths[longest].get(row[0])
        row.append(f"{1 / found:,.0f}" if found else "")
    columns = ["what", "µs a crop", "crops/s/core", f"x {first}", f"crops/s, {longest:g} min recording"]
    notes = [
        f"Crops of {settings.frames} x {settings.mels}; {settings.clips} clips of 998 frames; in the page cache.",
        "Libraries read a whole matrix and cut it. Numbers in brackets are Kaldi's compression methods, the values of "
        "`asit-make-fbank --compression`.",
        "Targets: 3000 (float32) and 2500 (one byte) crops/s/core, whatever the length of the recording.",
    ]
    Result("crops", "Random crops from archives", columns, rows, notes, figures).save()
    return {name: lengths[10.0 / 60][f"asit, {name}"] for name in FORMATS} | {
        f"{name}, long": lengths[longest][f"asit, {name}"] for name in FORMATS
    }


def formats(folder: Path, feats: np.ndarray, seconds: dict[str, float]) -> None:
    """What each compression costs: size, error, time to write and to read."""
    matrix = feats[:998]
    write: dict[str, list[float]] = {}
    rows = []
    names = {f"{name}: {backend}": (method, backend) for name, method in FORMATS.items() for backend in BACKENDS}

    def write_ten(method: int, backend: str) -> None:
        with ArkWriter(folder / "w.ark", None, method, backend) as writer:
            for i in range(10):
                writer.write(str(i), matrix)

    present = {n: v for n, v in names.items() if v[1] == "asit" or optional(v[1])}
    write = take_turns({n: lambda v=v: write_ten(*v) for n, v in present.items()}, 9, CPU)
    for name, method in FORMATS.items():
        with ArkWriter(folder / "e.ark", folder / "e.scp", method) as writer:
            writer.write("u", matrix)
        error = np.abs(read_matrix(read_table(folder / "e.scp")["u"]) - matrix)
        megabytes = os.path.getsize(folder / "e.ark") / len(matrix) * 360_000 / 1e6
        speeds = [f"{100 / statistics.median(write[f'{name}: {b}']):,.0f}" for b in BACKENDS if f"{name}: {b}" in write]
        reads = [f"{1 / seconds[name]:,.0f}", f"{1 / seconds[f'{name}, long']:,.0f}"]
        rows.append([name, f"{megabytes:.0f}", f"{error.max():.3f}", f"{error.mean():.4f}", " / ".join(speeds), *reads])
    columns = ["format (method)", "MB an hour", "largest error", "mean error"]
    columns += ["written, x real time: " + " / ".join(b for b in BACKENDS), "crops/s/core, 10 s", "of the longest"]
    notes = [
        "Errors in natural-log units of log-mels of speech (standard deviation about 4.5).",
        "Method 2 (Kaldi's for speech features) lies column by column: of a long recording a crop is 128 pieces of the "
        "file. Method 5 lies row by row, like float32 and method 3.",
        "Recommended: float32, the default, while the archives fit into the page cache or on a local disk. For less "
        "space --compression 5: on log-mels as exact as method 2, several times as fast to write and to read, and a "
        "crop is one piece of the file. Method 3 has half the size of float32 and no error that matters. Method 2 "
        "where other programs expect it.",
    ]
    Result("formats", "Formats of archives", columns, rows, notes).save()


def archives(folder: Path, feats: np.ndarray, settings: Settings) -> None:
    """Reading from ever more archives, with and without keeping them open."""
    counts, most = [1, 16, 64, 256, 1024], 1024
    (folder / "many").mkdir()
    specs = []
    for i in range(most):
        with ArkWriter(folder / f"many/{i}.ark", None) as writer:
            writer.write("u", feats[:200])
        specs.append(f"{folder}/many/{i}.ark:2")
    kept, none = ark._open_files, OpenFiles(0)
    random = np.random.default_rng(0)

    def run_of(count: int, files: OpenFiles) -> Callable[[], object]:
        def run() -> None:
            ark._open_files = files
            for i in random.integers(0, count, 200):
                read_rows(specs[i], 0, 192)

        return run

    runs = {f"{n} {w}": run_of(n, f) for n in counts for w, f in (("kept open", kept), ("opened each time", none))}
    times = take_turns(runs, settings.rounds, CPU)
    ark._open_files = kept
    rows = []
    for count in counts:
        cells = [200 / statistics.median(times[f"{count} {way}"]) for way in ("kept open", "opened each time")]
        rows.append([str(count), *(f"{cell:,.0f}" for cell in cells)])
    columns = ["archives", "crops/s/core, files kept open (default: 256)", "crops/s/core, opened each time"]
    notes = ["Crops of 192 x 128 on a local disk. On a network file system each opening is a request to its server."]
    Result("archives", "Reading from many archives", columns, rows, notes).save()


def main() -> None:
    """Print and save the tables."""
    settings = parse(Settings)
    feats = log_mels(60_000, settings.mels)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = against_peers(folder, feats, settings)
        formats(folder, feats, seconds)
        archives(folder, feats, settings)


if __name__ == "__main__":
    main()
