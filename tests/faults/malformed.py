"""Some hundred malformed inputs for the parsers: each must be read or refused with an AsitError, soon.

``python tests/faults/malformed.py FOLDER FIRST`` tries them from number FIRST on and writes one JSON line before and
one after each, so that whoever reads the lines knows which one ended the process.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import resource
import signal
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import safetensors.numpy
import soundfile
import torch

from asit.config.files import read_yaml
from asit.errors import AsitError, command
from asit.io.audio import read_audio
from asit.io.unpack import extract
from asit.kaldi.ark import ArkWriter, read_matrix
from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import read_table
from asit.models import model_file
from asit.tasks.ngram import NGram
from asit.train.checkpoint import CheckpointDir, load_tensors

SECONDS, MEMORY = 10, 6 << 30  # what reading one small input may take
MUTATIONS = 25


def _feats(path: Path) -> None:
    for spec in read_table(path).values():
        read_matrix(spec)


def _segments(path: Path) -> None:
    folder = path.parent / f"{path.name}.data"
    folder.mkdir()
    (folder / "segments").write_bytes(path.read_bytes())
    _ = DataDir(str(folder)).segments


def _marker(path: Path) -> None:
    folder = path.parent / f"{path.name}.checkpoints"
    folder.mkdir()
    torch.save({"format": 1}, folder / "step-00000001.pt")
    (folder / "step-00000001.json").write_bytes(path.read_bytes())
    CheckpointDir(folder).load_newest()


UNITS = ["<blank>", "<unk>", "a", "b"]
READERS: dict[str, Callable[[Path], object]] = {
    "scp": read_table,
    "segments": _segments,
    "feats.scp": _feats,
    "ark": lambda p: read_matrix(f"{p}:2"),
    "YAML": read_yaml,
    "model file": model_file.load,
    "checkpoint": load_tensors,
    "checkpoint marker": _marker,
    "audio": read_audio,
    "archive": lambda p: extract(p, f"{p}.out"),
    "n-grams": lambda p: NGram.load(p, UNITS),
}


def _bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _tar(mode: str, member: tarfile.TarInfo | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        info = tarfile.TarInfo("corpus/a.txt")
        info.size = 3000
        archive.addfile(info, io.BytesIO(random.Random(0).randbytes(3000)))
        if member is not None:
            archive.addfile(member)
    return stream.getvalue()


def _link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("corpus/a.txt", "abc " * 500)
    return stream.getvalue()


def _audio(form: str, subtype: str | None = None) -> bytes:
    samples = 0.1 * np.random.default_rng(0).standard_normal(2000)
    return _bytes(lambda s: soundfile.write(s, samples, 8000, format=form, subtype=subtype))


def _model(metadata: dict[str, str] | None) -> bytes:
    return safetensors.numpy.save({"w": np.zeros((2, 3), np.float32)}, metadata)


def _seeds(folder: Path) -> dict[str, list[bytes]]:
    """Whole inputs of each kind, to be damaged."""
    NGram.estimate([[2, 3, 2], [3]], 3, len(UNITS)).save(folder / "lm.arpa", UNITS)
    with ArkWriter(folder / "whole.ark", folder / "whole.scp") as ark:
        ark.write("a", np.ones((20, 4), np.float32))
    spec = (folder / "whole.scp").read_text().split(maxsplit=1)[1].strip()
    return {
        "scp": [b"a x.ark:12\nb x.ark:40\nc y.ark:7[1:3]\n"],
        "segments": [b"u1 rec 0.5 1.25\nu2 rec 2 3\n"],
        "feats.scp": [f"u {spec}{part}\n".encode() for part in ("", "[2:5]", "[:,1:2]")],
        "ark": [(folder / "whole.ark").read_bytes()],
        "YAML": [b"steps: 10\nlr: 1e-3\nmodel: vit\nmasking: {ratio: [0.5, 0.7]}\n"],
        "model file": [_model({"asit": json.dumps({"kind": "backbone", "mels": 16})})],
        "checkpoint": [_bytes(lambda s: torch.save({"format": 1, "w": torch.zeros(5)}, s))],
        "checkpoint marker": [b'{"step": 1, "bytes": 1000, "sha256": "00"}'],
        "audio": [_audio("WAV"), _audio("FLAC"), _audio("OGG", "VORBIS"), _audio("MP3")],
        "archive": [_tar("w"), _tar("w:gz"), _tar("w:bz2"), _tar("w:xz"), _zip()],
        "n-grams": [(folder / "lm.arpa").read_bytes()],
    }


def _written(folder: Path) -> dict[str, list[bytes]]:
    """Inputs that somebody thought of."""
    ark = str(folder / "whole.ark")
    specs = [
        "[²:³]",
        f":{'9' * 5000}",
        f":{2**64}",
        ":-1",
        ":2[5:2]",
        ":2[0:99999]",
        ":2[,]",
        ":2[:",
        ":٣",
        ":2]",
        "\0",
    ]
    bombs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    segments = [b"r 1", b"r 2 1", b"r nan 1", b"r 0 inf", b"r x y", b"r -1 2", b"r " + b"9" * 5000 + b" 1", b"\xff 0 1"]
    json_values = [b"[]", b"null", b"3", b'"x"', b"{}", b"[" * 20_000, b"\xff", b"9" * 5000]
    return {
        "scp": [b"", b"\n", b"a\n", b"a x", b"b x\na x\n", b"a x\na y\n", b"a \0\n", b"a x\r\n", b"\xef\xbb\xbfa x\n"],
        "segments": [b"", *(b"u " + s + b"\n" for s in segments)],
        "feats.scp": [b"", *(f"u {ark}{s}\n".encode() for s in specs)],
        "ark": [b"", b"xx\0B", b"a \0BFM \x04" + struct.pack("<i", 2**31 - 1) + b"\x04" + struct.pack("<i", 2**31 - 1)],
        "YAML": [b"[" * 20_000, b"a: " + b"9" * 400, bombs.encode(), b"a: 1\na: 2\n", b"- 1\n",
                 b"a: !!python/name:os\n", b"? [1]\n: 2\n", b"\t", b"a: &a [*a]\n", b"a: 2001-99-99\n", b"\xff\xfe",
                 b"&a *a"],
        "model file": [_model(None), *(_model({"asit": v.decode("latin-1")}) for v in json_values)],
        "checkpoint": [b"", _bytes(lambda s: torch.save([1], s)), _bytes(lambda s: torch.save({"format": 9}, s)),
                       _bytes(lambda s: torch.save({"format": 1, "x": Path("x")}, s))],
        "checkpoint marker": json_values,
        "audio": [b"", b"RIFF", b"fLaC", b"RIFF\xff\xff\xff\xffWAVE", b"OggS" + bytes(40), b"ID3" + b"\xff" * 60],
        "archive": [b"", _tar("w", _link("corpus/b", "/etc/passwd", tarfile.SYMTYPE)),
                    _tar("w", _link("corpus/b", "corpus/none", tarfile.LNKTYPE)),
                    _tar("w", _link("../evil", "", tarfile.REGTYPE)), _tar("w", _link("corpus/d", "", tarfile.CHRTYPE)),
                    _zip().replace(b"\x08\x00", b"\x63\x00")],
        "n-grams": [b"", b"\\1-grams:\n" + b"9" * 5000 + b" a\n", b"\\" + b"9" * 5000 + b"-grams:\n-1 a\n",
                    "\\٣-grams:\n-1 a a a\n".encode(), b"\\1-grams:\n-1e999 a\n"],
    }  # fmt: skip


def inputs(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """Name, kind and content, the same at every call."""
    written = _written(folder)
    for kind, seeds in _seeds(folder).items():
        for i, content in enumerate(written[kind]):
            yield f"{kind}: written {i}", kind, content
        chance = random.Random(kind)
        for i in range(MUTATIONS):
            content = bytearray(seeds[i % len(seeds)])
            way = ("cut", "flip", "insert", "delete", "repeat")[(i // len(seeds)) % 5]
            at = chance.randrange(len(content))
            end = min(len(content), at + chance.randint(1, 8))
            if way == "cut":
                del content[at:]
            elif way == "flip":
                content[at] ^= 1 << chance.randrange(8)
            elif way == "insert":
                content[at:at] = chance.randbytes(end - at)
            elif way == "delete":
                del content[at:end]
            else:
                content[at:at] = content[at:end] * 50
            yield f"{kind}: {way} {i}", kind, bytes(content)


def _seen(error: AsitError) -> str:
    """What a user of a command sees."""

    def body() -> None:
        raise error

    with contextlib.redirect_stderr(io.StringIO()) as stream:
        command(body)()
    return stream.getvalue()


def _attempt(reader: Callable[[Path], object], path: Path) -> str:
    def late(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        reader(path)
    except AsitError as error:
        lines = _seen(error).splitlines()
        return "refused" if len(lines) == 1 else f"FAILED: {len(lines)} lines: {lines}"[:150]
    except BaseException as error:
        return f"FAILED: {type(error).__name__}: {str(error)[:120]}"
    finally:
        signal.alarm(0)
    return "read"


def main() -> None:
    """Try the inputs from one on."""
    folder, first = Path(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number, (name, kind, content) in enumerate(inputs(folder)):
        if number < first:
            continue
        path = folder / str(number)
        path.write_bytes(content)
        print(json.dumps({"begin": number}), flush=True)
        print(json.dumps({"input": name, "kind": kind, "outcome": _attempt(READERS[kind], path)}), flush=True)


def try_all(folder: Path) -> list[dict]:
    """The outcome of every input; one that ends the process is a failure, and the next goes on."""
    folder.mkdir(parents=True)
    names = [(name, kind) for name, kind, _ in inputs(folder)]
    rows: list[dict] = []
    while len(rows) < len(names):
        done = subprocess.run(
            [sys.executable, __file__, folder, str(len(rows))], capture_output=True, text=True, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        rows += [line for line in lines if "input" in line]
        if len(rows) < len(names):
            if not lines:
                raise RuntimeError(f"the inputs cannot be made: {done.stderr[-500:]}")
            name, kind = names[len(rows)]
            rows.append({"input": name, "kind": kind, "outcome": f"FAILED: ended the process ({done.returncode})"})
    return rows


if __name__ == "__main__":
    main()
