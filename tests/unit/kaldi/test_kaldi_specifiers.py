"""Kaldi's tables from the command line: what one of our commands writes, Kaldi's libraries read, and the reverse."""

from __future__ import annotations

import io
import subprocess
import sys

import kaldi_native_io
import kaldiio
import numpy as np
import pytest

from asit.errors import AsitError
from asit.kaldi import specifiers

FEATS = {f"u{i}": np.random.default_rng(i).normal(size=(3 + i, 4)).astype(np.float32) for i in range(3)}


def written(spec: str, compression: int = 0) -> None:
    assert specifiers.write(spec, iter(FEATS.items()), compression) == 3


def check(found, tolerance: float = 0.0) -> None:
    found = {utt: np.array(matrix) for utt, matrix in found}
    assert list(found) == list(FEATS)
    for utt, matrix in FEATS.items():
        np.testing.assert_allclose(found[utt], matrix, rtol=0, atol=tolerance)


def test_text_keeps_every_bit_and_others_read_it(tmp_path) -> None:
    path = tmp_path / "f.txt"
    written(f"ark,t:{path}")
    check(specifiers.read(f"ark:{path}"))
    check(kaldiio.load_ark(str(path)))
    reader = kaldi_native_io.SequentialFloatMatrixReader(f"ark:{path}")
    check((utt, np.copy(matrix)) for utt, matrix in reader)  # the reader uses its memory again


@pytest.mark.parametrize("compression", range(8))
def test_binary_archives_of_every_method(tmp_path, compression) -> None:
    if compression in (4, 6, 7):
        matrices = {u: np.abs(np.round(m * 10)) / (10 if compression == 7 else 1) for u, m in FEATS.items()}
        matrices = {u: np.minimum(m, 1.0 if compression == 7 else 200.0) for u, m in matrices.items()}
    else:
        matrices = FEATS
    ark, scp = tmp_path / "f.ark", tmp_path / "f.scp"
    specifiers.write(f"ark,scp:{ark},{scp}", iter(matrices.items()), compression)
    read = [dict(specifiers.read(spec)) for spec in (f"ark:{ark}", f"scp:{scp}", f"scp,p:{scp}")]
    for utt, matrix in matrices.items():
        assert all((r[utt] == read[0][utt]).all() for r in read)
        np.testing.assert_allclose(read[0][utt], matrix, atol=0.05)


def test_reads_what_kaldi_native_io_writes(tmp_path) -> None:
    for kind in ("ark", "ark,t"):
        with kaldi_native_io.FloatMatrixWriter(f"{kind}:{tmp_path / 'k.ark'}") as writer:
            for utt, matrix in FEATS.items():
                writer.write(utt, matrix)
        check(specifiers.read(f"ark:{tmp_path / 'k.ark'}"), tolerance=0 if kind == "ark" else 1e-5)


def test_the_commands_work_in_a_pipe(tmp_path) -> None:
    written(f"ark:{tmp_path / 'f.ark'}")

    def run(name: str, *words: str, data: bytes = b"") -> bytes:
        command = [sys.executable, "-m", f"asit.bin.{name}", *words]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    binary = run("copy_feats", "--compression", "0", f"ark:{tmp_path / 'f.ark'}", "ark:-")
    assert binary == (tmp_path / "f.ark").read_bytes()
    assert run("feat_to_len", "ark:-", "ark,t:-", data=binary) == b"u0 3\nu1 4\nu2 5\n"
    assert run("feat_to_len", "ark:-", data=binary) == b"12\n"
    assert run("feat_to_dim", "ark:-", data=binary) == b"4\n"
    assert run("copy_feats", "ark:-", "ark,t:-", data=binary).decode().startswith("u0  [\n  ")


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("feats.scp", "expected ark:FILE"),
        ("arc:f", "expected ark:FILE"),
        ("ark:copy-feats x ark:- |", "commands are not run"),
        ("ark,scp:only.ark", "expected 2 file"),
        ("ark:", "expected 1 file"),
        ("ark,scp:a,b", "not both"),
        ("scp:/no/such.scp", "/no/such.scp"),
        ("ark:/no/such.ark", "/no/such.ark"),
    ],
)
def test_a_specifier_that_cannot_be_read(spec, part) -> None:
    with pytest.raises(AsitError, match="(?s)" + part.replace("|", r"\|")):
        list(specifiers.read(spec))


@pytest.mark.parametrize("spec", ["scp:x.scp", "ark,t,scp:a,b", "ark,scp:-,b"])
def test_a_specifier_that_cannot_be_written(tmp_path, monkeypatch, spec) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AsitError):
        specifiers.write(spec, iter(FEATS.items()))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_is_one_line(tmp_path) -> None:
    path = tmp_path / "f.ark"
    written(f"ark:{path}")
    whole = path.read_bytes()
    for broken in (whole[:-3], b"noblank", whole[:40], b"\xff\xfe " + whole[3:], b"u0  [ 1 2\n 3"):
        path.write_bytes(broken)
        with pytest.raises(AsitError):
            list(specifiers.read(f"ark:{path}"))
    path.write_bytes(b"")
    assert list(specifiers.read(f"ark:{path}")) == []


def test_a_failed_copy_leaves_nothing(tmp_path, monkeypatch) -> None:
    def entries():
        yield "a", FEATS["u0"]
        raise AsitError("the source broke")

    for spec in (f"ark,t:{tmp_path / 'x.txt'}", f"ark,scp:{tmp_path / 'x.ark'},{tmp_path / 'x.scp'}"):
        with pytest.raises(AsitError, match="broke"):
            specifiers.write(spec, entries())
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert list(specifiers.read("ark:-")) == []
