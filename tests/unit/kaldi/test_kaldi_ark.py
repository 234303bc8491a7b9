from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.kaldi.ark import ArkWriter, read_matrix, read_vector
from asit.kaldi.ark_kaldiio import BACKENDS, load_backend
from asit.kaldi.table import read_table

ALL = list(BACKENDS)
MATRIX = np.random.default_rng(0).normal(-4, 4, (20, 6)).astype(np.float32)


def write(folder, arrays, backend="kaldiio", compression=0):
    ark, scp = folder / "my feats.ark", folder / "my feats.scp"
    with ArkWriter(ark, scp, compression, backend) as writer:
        for utt, array in arrays.items():
            writer.write(utt, array)
    return read_table(scp, check_order=False)


@pytest.mark.parametrize("reader", ALL)
@pytest.mark.parametrize("writer", ALL)
def test_each_reads_what_the_other_wrote(tmp_path, writer, reader):
    arrays = {"é'1": MATRIX, "u2": MATRIX[:1].astype(np.float64), "u3": MATRIX[:, :1]}
    scp = write(tmp_path, arrays, writer)
    assert list(scp) == list(arrays)
    for utt, array in arrays.items():
        found = read_matrix(scp[utt], backend=reader)
        assert found.dtype == np.float32
        assert found.flags.writeable
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, array.astype(np.float32))


def test_all_write_the_same_bytes(tmp_path):
    found = []
    for backend in ALL:
        (tmp_path / backend).mkdir()
        write(tmp_path / backend, {"u1": MATRIX, "u2": MATRIX}, backend)
        found.append((tmp_path / backend / "my feats.ark").read_bytes())
    assert found[0] == found[1]


# Half a step of each code: one byte between percentiles (2), two or one bytes over a range.
STEP = {1: 0.2, 2: 0.2, 3: 4e-4, 4: 0.51, 5: 0.1, 6: 0.51, 7: 3e-3}


@pytest.mark.parametrize("compression", range(1, 8))
@pytest.mark.parametrize("reader", ALL)
@pytest.mark.parametrize("writer", ALL)
def test_compression(tmp_path, writer, reader, compression):
    array = MATRIX
    if compression == 6:
        array = np.abs(MATRIX)
    if compression == 7:
        array = np.clip(np.abs(MATRIX) / 20, 0, 1)
    scp = write(tmp_path, {"u": array}, writer, compression)
    np.testing.assert_allclose(read_matrix(scp["u"], backend=reader), array, atol=STEP[compression])
    plain = array.nbytes
    assert os.path.getsize(tmp_path / "my feats.ark") < plain


@pytest.mark.parametrize("backend", ALL)
def test_ranges_have_inclusive_ends(tmp_path, backend):
    spec = write(tmp_path, {"u": MATRIX})["u"]
    np.testing.assert_array_equal(read_matrix(spec + "[2:5]", backend=backend), MATRIX[2:6])
    np.testing.assert_array_equal(read_matrix(spec + "[2:5,1:3]", backend=backend), MATRIX[2:6, 1:4])
    np.testing.assert_array_equal(read_matrix(spec + "[:,1:1]", backend=backend), MATRIX[:, 1:2])
    np.testing.assert_array_equal(read_matrix(spec + "[0:0,:]", backend=backend), MATRIX[:1])
    np.testing.assert_array_equal(read_matrix(spec + "[18:21]", backend=backend), MATRIX[18:])  # Kaldi's tolerance
    for bad in ("[18:22]", "[20:20]", "[:,0:6]"):
        with pytest.raises(AsitError, match="outside the 20 x 6 matrix"):
            read_matrix(spec + bad, backend=backend)
    for bad in ("[5:2]", "[a:b]", "[1]", "[1:2,3:4,5:6]", "[-1:2]"):
        with pytest.raises(AsitError, match="expected a range"):
            read_matrix(spec + bad, backend=backend)


@given(st.integers(0, 19), st.integers(0, 19))
@settings(max_examples=25, deadline=None)
def test_any_range_is_a_slice(tmp_path_factory, a, b):
    first, last = sorted((a, b))
    spec = write(tmp_path_factory.mktemp("t"), {"u": MATRIX})["u"]
    np.testing.assert_array_equal(read_matrix(f"{spec}[{first}:{last}]"), MATRIX[first : last + 1])


@pytest.mark.parametrize("backend", ALL)
def test_text_archives(tmp_path, backend):
    path = tmp_path / "text.ark"
    path.write_text("u1  [\n  0 0.5 1e-3\n  -2 3 4 ]\nu2  [ 1 2 3 ]\nu3  [\n 7 ]\n")
    np.testing.assert_allclose(read_matrix(f"{path}:3", backend=backend), [[0, 0.5, 1e-3], [-2, 3, 4]])
    offset = path.read_text().index("u2") + 3
    np.testing.assert_allclose(read_vector(f"{path}:{offset}", backend=backend), [1, 2, 3])
    offset = path.read_text().index("u3") + 3
    assert read_matrix(f"{path}:{offset}", backend=backend).shape == (1, 1)
    path.write_text("u1  [\n 0 1\n 2 ]\n")
    with pytest.raises(AsitError, match="not a matrix in text form"):
        read_matrix(f"{path}:3", backend=backend)
    path.write_text("u1  [\n 0 1\n 2 ")
    with pytest.raises(AsitError, match="no closing"):
        read_matrix(f"{path}:3", backend=backend)


@pytest.mark.parametrize("backend", ALL)
def test_vectors(tmp_path, backend):
    scp = write(tmp_path, {"u": MATRIX[0], "v": MATRIX[1]}, backend)
    np.testing.assert_array_equal(read_vector(scp["v"], backend="kaldiio"), MATRIX[1])
    with pytest.raises(AsitError, match="expected a matrix, found a vector of 6"):
        read_matrix(scp["u"], backend=backend)


def test_paths_are_those_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ArkWriter("sub dir/f.ark", "f.scp") as writer:
        writer.write("u", MATRIX)
    assert read_table("f.scp") == {"u": "sub dir/f.ark:2"}
    assert read_matrix("sub dir/f.ark:2").shape == (20, 6)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("compression", [0, 2])
def test_truncated_anywhere_names_the_spec(tmp_path, backend, compression):
    scp = write(tmp_path, {"u1": MATRIX, "u2": MATRIX}, compression=compression)
    whole = (tmp_path / "my feats.ark").read_bytes()
    offset = int(scp["u2"].rpartition(":")[2])
    for size in (offset - 4, offset, offset + 1, offset + 4, offset + 9, offset + 20, len(whole) - 1):
        (tmp_path / "my feats.ark").write_bytes(whole[:size])
        with pytest.raises(AsitError) as error:
            read_matrix(scp["u2"], backend=backend)
        assert scp["u2"] in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("backend", ALL)
def test_wrong_offset_and_foreign_content(tmp_path, backend):
    spec = write(tmp_path, {"u": MATRIX})["u"]
    with pytest.raises(AsitError, match="offset is wrong"):
        read_matrix(spec.replace(":2", ":9"), backend=backend)
    with pytest.raises(AsitError, match="no such file"):
        read_matrix(str(tmp_path / "none.ark:2"), backend=backend)
    with pytest.raises(AsitError, match="cannot read"):
        read_matrix(f"{tmp_path}:2", backend=backend)
    path = tmp_path / "x.ark"
    for content, name in ((b"RIFFxxxx", "a wav file"), (b"fLaCxxxx", "a flac"), (b"\0BXX yy", "found b'XX'")):
        path.write_bytes(content)
        with pytest.raises(AsitError, match=name):
            read_matrix(str(path), backend=backend)
    path.write_bytes(b"\0BFM \4" + (-5).to_bytes(4, "little", signed=True) + b"\4" + (9).to_bytes(4, "little"))
    with pytest.raises(AsitError, match="shape -5 x 9"):
        read_matrix(str(path), backend=backend)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickle_in_an_archive_is_refused_unread(tmp_path):
    (tmp_path / "x.ark").write_bytes(b"u PKL" + pickle.dumps(Bomb(str(tmp_path / "boom"))))
    with pytest.raises(AsitError, match="pickle"):
        read_matrix(f"{tmp_path}/x.ark:2")
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("backend", ALL)
def test_commands_are_refused_unless_allowed(tmp_path, backend):
    spec = write(tmp_path, {"u": MATRIX})["u"]
    path = spec.rpartition(":")[0]
    mark = tmp_path / "ran"
    for command in (f"touch '{mark}' |", f" | touch '{mark}'", f"touch '{mark}' |[0:1]", f"touch '{mark}' |:5"):
        with pytest.raises(AsitError, match="is a command"):
            read_matrix(command, backend=backend)
        assert not mark.exists()
    found = read_matrix(f"tail -c +3 '{path}' |[1:2]", allow_pipes=True, backend=backend)
    np.testing.assert_array_equal(found, MATRIX[1:3])
    with pytest.raises(AsitError, match="exit code 1"):
        read_matrix("false |", allow_pipes=True, backend=backend)


@pytest.mark.parametrize("backend", ALL)
def test_exception_leaves_the_old_files(tmp_path, backend):
    old = write(tmp_path, {"u": MATRIX}, backend)
    writer = ArkWriter(tmp_path / "my feats.ark", tmp_path / "my feats.scp", 0, backend)
    with pytest.raises(AsitError, match="white space"), writer:
        [writer.write(utt, MATRIX) for utt in ("v", "two words")]
    assert sorted(os.listdir(tmp_path)) == ["my feats.ark", "my feats.scp"]
    assert read_table(tmp_path / "my feats.scp") == old


@pytest.mark.parametrize("backend", ALL)
def test_killed_writer_leaves_no_final_name(tmp_path, backend):
    code = (
        "import os, sys, numpy as np; from asit.kaldi.ark import ArkWriter\n"
        "with ArkWriter(sys.argv[1] + '/f.ark', sys.argv[1] + '/f.scp', backend=sys.argv[2]) as w:\n"
        "    w.write('u', np.ones((2, 2))); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), backend], check=False)
    assert done.returncode == -9
    assert not {"f.ark", "f.scp"} & set(os.listdir(tmp_path))


@pytest.mark.parametrize("backend", ALL)
def test_full_disk_is_an_error(tmp_path, backend):
    code = (
        "import resource, signal, sys, numpy as np; from asit.kaldi.ark import ArkWriter\n"
        "from asit.errors import AsitError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "try:\n    with ArkWriter(sys.argv[1] + '/f.ark', sys.argv[1] + '/f.scp', backend=sys.argv[2]) as w:\n"
        "        for i in range(4): w.write(f'u{i}', np.ones((20, 50)))\n"
        "except AsitError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), backend], capture_output=True, text=True, check=True
    )
    assert "f.ark: " in done.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("backend", ALL)
def test_bad_utterances_are_named(tmp_path, backend):
    with ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp", 0, backend) as writer:
        writer.write("u", MATRIX)
        for utt, array, message in (
            ("u", MATRIX, "there already"),
            ("a b", MATRIX, "white space"),
            ("v", np.zeros((0, 3)), "shape"),
            ("v", np.zeros((1, 2, 3)), "shape"),
            ("v", np.array([[1.0, np.nan, np.inf]]), "2 of 3 values are NaN"),
        ):
            with pytest.raises(AsitError, match=message) as error:
                writer.write(utt, array)
            assert "f.ark: utterance" in str(error.value)
    assert list(read_table(tmp_path / "f.scp")) == ["u"]


def test_missing_backend_says_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "kaldiio.matio", None)
    with pytest.raises(AsitError, match="pip install kaldiio"):
        load_backend("kaldiio")
    monkeypatch.setenv("ASIT_ARK_BACKEND", "kaldiio")
    with pytest.raises(AsitError, match="default one, ASIT_ARK_BACKEND=asit"):
        read_matrix("f.ark:2")
    with pytest.raises(AsitError, match="did you mean 'kaldiio'"):
        load_backend("kaldio")
