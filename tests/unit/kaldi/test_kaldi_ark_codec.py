"""Our reading and writing of Kaldi's layouts against Kaldi's own code (kaldi_native_io) and kaldiio."""

from __future__ import annotations

import os

import kaldi_native
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.kaldi import ark, ark_codec
from asit.kaldi.ark import ArkWriter, read_matrix, read_rows
from asit.kaldi.ark_files import File
from asit.kaldi.table import read_table

METHODS = range(8)


def write(folder, arrays, writer, method):
    """The archive's bytes and its table, all of whose paths are the same for both writers."""
    if writer == "Kaldi":
        kaldi_native.write(folder / "f", arrays, method)
    else:
        with ArkWriter(folder / "f.ark", folder / "f.scp", method) as ark_writer:
            for utt, array in arrays.items():
                ark_writer.write(utt, array)
    return (folder / "f.ark").read_bytes(), read_table(folder / "f.scp", check_order=False)


@st.composite
def matrices(draw):
    """Spread and narrow columns, constant columns and matrices, few rows, whole numbers, outliers."""
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(1, 9))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    array = random.normal(draw(st.floats(-30, 30)), draw(st.sampled_from([0.0, 1e-3, 4.0, 300.0])), (rows, columns))
    if draw(st.booleans()):
        array = np.round(array)
    if draw(st.booleans()):
        array[:, 0] = array[0, 0]
    if draw(st.booleans()):
        array[-1, -1] *= 1e4
    return array.astype(np.float32) + np.float32(0)  # no -0.0: which zero is the least one depends on the order


def in_range(array, method):
    """What the methods of a fixed range hold."""
    bounds = {4: (-32768, 32767), 6: (0, 255), 7: (0, 1)}.get(method)
    return array if bounds is None else np.clip(array, *bounds)


@pytest.mark.parametrize("method", METHODS)
@given(array=matrices())
@settings(max_examples=20, deadline=None)
def test_bytes_are_kaldis(tmp_path_factory, method, array):
    folder = tmp_path_factory.mktemp("t")
    arrays = {"u1": in_range(array, method), "u2": in_range(array[:3], method)}
    assert write(folder, arrays, "asit", method) == write(folder, arrays, "Kaldi", method)


@pytest.mark.parametrize("method", METHODS)
@given(array=matrices(), data=st.data())
@settings(max_examples=20, deadline=None)
def test_values_are_kaldis_and_a_range_is_a_slice(tmp_path_factory, method, array, data):
    folder = tmp_path_factory.mktemp("t")
    _, scp = write(folder, {"u1": array[:1], "u2": in_range(array, method), "u3": array[:1]}, "Kaldi", method)
    spec = scp["u2"]
    whole = read_matrix(spec, backend="asit")
    np.testing.assert_array_equal(whole, kaldi_native.read(spec))
    largest = np.abs(whole).max() if whole.size else 0
    atol = 2**-8 if method == 4 else 1e-6 * max(1, largest)  # of method 4 kaldiio adds -32768 in float32, and rounds
    np.testing.assert_allclose(whole, read_matrix(spec, backend="kaldiio"), rtol=1e-5, atol=atol)
    r0, r1 = sorted(data.draw(st.tuples(*[st.integers(0, len(array) - 1)] * 2)))
    c0, c1 = sorted(data.draw(st.tuples(*[st.integers(0, array.shape[1] - 1)] * 2)))
    for one_piece in (ark_codec.ONE_PIECE, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ark_codec, "ONE_PIECE", one_piece)
            part = read_matrix(f"{spec}[{r0}:{r1},{c0}:{c1}]", backend="asit")
            rows = read_rows(f"{spec}[{r0}:{r1}]", 0, r1 - r0 + 1)
        assert part.flags.c_contiguous
        assert part.flags.writeable
        assert part.dtype == np.float32
        np.testing.assert_array_equal(part, whole[r0 : r1 + 1, c0 : c1 + 1])
        np.testing.assert_array_equal(rows, whole[r0 : r1 + 1])


@pytest.mark.parametrize("columns", [255, 256, 257, 400])
def test_many_columns(tmp_path, columns):
    array = np.random.default_rng(0).normal(size=(12, columns)).astype(np.float32)
    _, scp = write(tmp_path, {"u": array}, "asit", 2)
    np.testing.assert_array_equal(read_matrix(scp["u"]), kaldi_native.read(scp["u"]))


def test_doubles(tmp_path):
    array = np.random.default_rng(0).normal(size=(9, 5))
    sizes = b"\4" + (9).to_bytes(4, "little") + b"\4" + (5).to_bytes(4, "little")
    (tmp_path / "d.ark").write_bytes(b"u \0BDM " + sizes + array.tobytes())
    found = read_matrix(f"{tmp_path}/d.ark:2[3:6,1:4]")
    np.testing.assert_array_equal(found, array[3:7, 1:5].astype(np.float32))
    np.testing.assert_array_equal(read_matrix(f"{tmp_path}/d.ark:2"), array.astype(np.float32))


HOUR = 360_000


@pytest.mark.parametrize(("kind", "size"), [("FM", 4), ("DM", 8), ("CM", 1), ("CM2", 2), ("CM3", 1)])
def test_a_crop_of_an_hour_reads_the_crop(tmp_path, monkeypatch, kind, size):
    """Bytes and calls, not seconds. The archive is sparse: its values are zeros."""
    numbers = np.array([HOUR, 128], "<i4").tobytes()
    if kind in ("FM", "DM"):
        head = b"\0B" + kind.encode() + b" \4" + numbers[:4] + b"\4" + numbers[4:]
    else:
        head = b"\0B" + kind.encode() + b" " + np.array([-3, 2], "<f4").tobytes() + numbers
    path = tmp_path / "hour.ark"
    path.write_bytes(head)
    os.truncate(path, len(head) + HOUR * 128 * size + 8 * 128 * (kind == "CM"))
    read = []
    inner = ark.ark_codec.decode

    def counting(fill, *others):
        def counted(array, offset):
            read.append(array.nbytes)
            fill(array, offset)

        return inner(counted, *others)

    monkeypatch.setattr(ark.ark_codec, "decode", counting)
    for first in (0, 1000, HOUR - 592):
        read.clear()
        found = read_rows(str(path), first, first + 592)
        assert found.shape == (592, 128)
        assert np.all(found == (-3 if kind in ("CM", "CM2", "CM3") else 0))
        assert sum(read) == 592 * 128 * size + 8 * 128 * (kind == "CM")
        assert len(read) == (129 if kind == "CM" else 1)


def test_short_columns_are_read_as_one_piece(tmp_path, monkeypatch):
    array = np.random.default_rng(0).normal(size=(1000, 128)).astype(np.float32)
    _, scp = write(tmp_path, {"u": array}, "asit", 2)
    calls = []
    inner = File.fill
    monkeypatch.setattr(File, "fill", lambda self, *words: calls.append(len(words[0])) or inner(self, *words))
    read_rows(scp["u"], 200, 792)
    assert calls == [8 * 128, 127 * 1000 + 592]


@pytest.mark.parametrize("method", METHODS)
def test_what_was_read_stays_when_more_is_read(tmp_path, method):
    """Buffers are used again, results are not."""
    random = np.random.default_rng(0)
    arrays = {f"u{i}": random.uniform(0, 1, (20 + i, 6)).astype(np.float32) for i in range(4)}
    _, scp = write(tmp_path, arrays, "asit", method)
    found = [read_matrix(spec) for spec in scp.values()]
    again = [kaldi_native.read(spec) for spec in scp.values()]
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_writing_does_not_change_the_array(tmp_path, method):
    for shape in ((1, 1), (7, 1), (1, 7), (20, 3)):
        array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        kept = array.copy()
        write(tmp_path, {"u": array}, "asit", method)
        np.testing.assert_array_equal(array, kept)


def test_what_cannot_be_compressed_is_named(tmp_path):
    array = np.array([[-3e38, 3e38]], np.float32)
    with (
        pytest.raises(AsitError, match=r"f\.ark: utterance 'u': values from -3e\+38 to 3e\+38 cannot be compressed"),
        ArkWriter(tmp_path / "f.ark", None, 5) as writer,
    ):
        writer.write("u", array)


def test_rows_outside_are_errors(tmp_path):
    _, scp = write(tmp_path, {"u": np.ones((9, 2), np.float32)}, "asit", 0)
    for backend in ("asit", "kaldiio"):
        with pytest.raises(AsitError, match=r"rows 9 to 9': the range is outside the 9 x 2 matrix"):
            read_rows(scp["u"], 9, 10, backend)
        with pytest.raises(AsitError, match="outside the 9 x 2"):
            read_rows(scp["u"], 0, 13, backend)
        with pytest.raises(AsitError, match="first < last"):
            read_rows(scp["u"], 3, 3, backend)
    with pytest.raises(AsitError, match="is a command"):
        read_rows("cat x |", 0, 3)
