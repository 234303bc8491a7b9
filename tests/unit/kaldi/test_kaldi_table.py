from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.kaldi.table import examine, read_table, write_table

IDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=8).filter(
    lambda key: not key.startswith(("~", "\ufeff"))
)
VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=12).map(
    lambda v: v.strip(" \t")
)


@given(st.dictionaries(IDS, VALUES.filter(bool), min_size=1))
def test_what_is_written_is_read_again_sorted(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("t") / "table"
    write_table(path, table)
    assert read_table(path) == table
    assert list(read_table(path)) == sorted(table, key=lambda key: key.encode())


def test_same_order_as_the_sort_command(tmp_path):
    write_table(tmp_path / "t", dict.fromkeys(["b", "a-1", "B", "a", "é", "a1", "a_1", "a.1"], "x"))
    subprocess.run(["sort", "-c", "-k1,1", tmp_path / "t"], check=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"a 1\nb 2", ":2: no newline"),
        (b"a 1\r\nb 2\r\n", ":1: carriage return (2 lines)"),
        (b"a 1\n\nb 2\n", ":2: line is blank"),
        (b"a 1\n b 2\n", ":2: line starts with white space"),
        (b"a 1\nb\n", ":2: 'b' has no value"),
        (b"a 1\na 2\n", ":2: 'a' is there already, on line 1"),
        (b"b 1\na 2\n", ":2: not sorted: 'a' after 'b'"),
        (b"a 1\nb \xff\n", ":2: expected UTF-8, found byte 0xff"),
        (b"~a 1\n", ":1: id '~a' starts with '~'"),
        (b"\xef\xbb\xbfa 1\n", ":1: id '\\ufeffa' starts with a byte order mark"),
        ("a\u00a0b 1\n".encode(), "holds white space"),
    ],
)
def test_first_problem_has_file_and_line(tmp_path, content, message):
    path = tmp_path / "my table"
    path.write_bytes(content)
    with pytest.raises(AsitError) as error:
        read_table(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(AsitError, match="no such file"):
        read_table(tmp_path / "none")
    with pytest.raises(AsitError, match="cannot read"):
        read_table(tmp_path)


def test_tabs_inner_spaces_and_quotes(tmp_path):
    (tmp_path / "t").write_text("it's\t a  b.wav \nu\u200d2 x\ty\n")
    assert read_table(tmp_path / "t") == {"it's": "a  b.wav", "u\u200d2": "x\ty"}


def test_empty_values_only_on_request(tmp_path):
    write_table(tmp_path / "text", {"a": "", "b": "x"})
    assert (tmp_path / "text").read_text() == "a\nb x\n"
    assert read_table(tmp_path / "text", empty_values=True) == {"a": "", "b": "x"}
    with pytest.raises(AsitError, match="has no value"):
        read_table(tmp_path / "text")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "found none"),
        ({"a b": "x"}, "white space"),
        ({"": "x"}, "an id is empty"),
        ({"~a": "x"}, "starts with '~'"),
        ({"a": "x\ny"}, "value of 'a' holds a line break"),
        ({"a": "x\r"}, "line break"),
    ],
)
def test_writing_refuses_what_reading_would(tmp_path, table, message):
    with pytest.raises(AsitError, match=message):
        write_table(tmp_path / "t", table)
    assert os.listdir(tmp_path) == []


def test_all_problems_are_found_and_the_usable_lines_kept(tmp_path):
    (tmp_path / "t").write_text("b 1\na 2\na 3\nc\n")
    table, problems = examine(str(tmp_path / "t"))
    assert [line.split(":")[1] for line in problems] == ["2", "3", "4"]
    assert table == {"b": "1", "a": "2", "c": ""}
