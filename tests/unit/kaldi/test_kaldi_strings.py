"""Columns in buffers: the same content as the dictionary reader, the same refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.kaldi.strings import Strings
from asit.kaldi.table import positive_integers, read_columns, read_table

KEYS = st.text("abcYZ019-_.", min_size=1, max_size=12)
VALUES = st.text("ab 01.:/[]", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=30))
def test_columns_are_those_of_the_dictionary_reader(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("table") / "feats.scp"
    path.write_text("".join(f"{key} {table[key]}\n" for key in sorted(table)))
    keys, values = read_columns(path)
    assert dict(zip(keys, values, strict=True)) == read_table(path) == dict(sorted(table.items()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a 1\nb 2",
        "a 1\r\nb 2\r\n",
        "a 1\n\nb 2\n",
        "a\nb 2\n",
        "b 1\na 2\n",
        "a 1\na 2\n",
        " a 1\n",
        "~a 1\n",
        "a \n",
    ],
    ids=[
        "empty",
        "no newline",
        "crlf",
        "blank line",
        "no value",
        "unsorted",
        "twice",
        "leading blank",
        "tilde",
        "blank",
    ],
)
def test_what_is_wrong_is_said_as_the_dictionary_reader_says_it(tmp_path, text):
    path = tmp_path / "utt2label"
    path.write_bytes(text.encode())
    with pytest.raises(AsitError) as expected:
        read_table(path)
    with pytest.raises(AsitError) as found:
        read_columns(path)
    assert str(found.value) == str(expected.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AsitError, match="no such file"):
        read_columns(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["a\tx y\nb 2\n", "a  two blanks\n", "ä ö\n", "k" * 300 + " long\n", "a trailing \n"])
def test_unusual_tables_are_read_too(tmp_path, text):
    path = tmp_path / "text"
    path.write_bytes(text.encode())
    keys, values = read_columns(path)
    assert dict(zip(keys, values, strict=True)) == read_table(path)


@given(st.lists(st.text("aé-_", max_size=6), max_size=20))
def test_strings_are_a_sequence(words):
    strings = Strings(words)
    assert list(strings) == words
    assert strings[:] == words
    assert len(strings) == len(words)
    assert [strings[i] for i in range(-len(words), 0)] == words
    assert strings.equals(Strings(words))
    assert not strings.equals(Strings([*words, "x"]))
    assert b"".join(strings.chunks(b"\n")) in (b"\n", "".join(f"{w}\n" for w in words).encode())
    order = np.arange(len(words))[::-1]
    assert list(strings.take(order)) == words[::-1]


def test_packed_strings_sort_as_bytes(tmp_path):
    words = ["-a", "0", "A", "Z-", "_b", "a", "a-1", "aa"]
    assert sorted(words) == words
    packed = Strings(words).packed()
    assert (packed[1:] > packed[:-1]).all()
    assert len(pickle.dumps(Strings(words))) < 1000


@pytest.mark.parametrize("bad", ["0", "-3", "1.5", "many", "1 2", "9" * 30 + "x"])
def test_frames_are_positive_integers(tmp_path, bad):
    path = tmp_path / "utt2num_frames"
    path.write_text(f"a 10\nb {bad}\nc 1000\n")
    with pytest.raises(AsitError, match=f"utterance b: expected a positive number of frames, found '{bad}'"):
        positive_integers(str(path), read_columns(path), "frames")
    path.write_text("a 10\nb 007\nc 1000\n")
    assert positive_integers(str(path), read_columns(path), "frames").tolist() == [10, 7, 1000]
