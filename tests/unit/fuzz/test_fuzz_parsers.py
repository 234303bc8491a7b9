"""Whatever a file holds, a parser returns or raises AsitError with the file's name: nothing else, and soon."""

from __future__ import annotations

import json
import os
import struct
import time

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asit.config import load
from asit.config.files import read_yaml
from asit.errors import AsitError
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.kaldi.ark import read_matrix, read_rows, read_vector
from asit.kaldi.data_dir import DataDir, read_labels, recordings_of
from asit.kaldi.data_dir_validate import find_problems
from asit.kaldi.events import read_events
from asit.kaldi.table import positive_integers, read_columns, read_table
from asit.models import model_file, shipped
from asit.models.trained import load_backbone, load_model
from asit.recipes import record
from asit.recipes.published import read_published
from asit.runs.trials import read_trials

MANY = settings(max_examples=60, deadline=2000)  # milliseconds: memory and time are bounded
NUMBERS = ["²:³", "1:2", "0:99999999999", "9" * 5000, str(2**64), "-1", "1_0", "٣", "1e400", "nan", "0x10", "", "\0"]
WORDS = st.one_of(
    st.sampled_from([*NUMBERS, "a", "a.ark:", "[", "]", ":", ",", "-", "|", "\x0b", "\u2028", "é"]), st.text(max_size=8)
)
LINES = st.lists(st.lists(WORDS, max_size=4).map(" ".join), max_size=4).map("\n".join)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def refusal(reader):
    """The message of the AsitError that ends a reader, or None; whatever else it raises ends the test."""
    began = time.monotonic()
    try:
        reader()
        message = None
    except AsitError as error:
        message = str(error)
    assert time.monotonic() - began < 2.0
    return message


def only_asit_errors(path, *readers):
    for message in map(refusal, readers):
        assert message is None or (str(path) in message and len(message) < 2000 + 4 * len(str(path)))


def utf8(text):
    return text.encode("utf-8", "surrogatepass")


@given(WORDS, WORDS, WORDS)
@example("1", "[²:³]", "")
@example("9" * 5000, "", "")
@example(str(2**64), "[0:" + "9" * 5000 + "]", "")
@example("0", "[0:0,0:" + "9" * 19 + "]", "")
@MANY
def test_scp_entries(place, offset, inside, tail):
    path = place / "m.ark"
    if not path.exists():
        path.write_bytes(b"\0BFM " + struct.pack("<bibi", 4, 2, 4, 2) + np.ones(4, "<f4").tobytes())
    for spec in (f"{path}:{offset}{inside}{tail}", f"{path}:0[{offset}:{inside}]", f"{path}{tail}\0:{offset}"):
        for read in (read_matrix, read_vector, lambda s: read_rows(s, 0, 1)):
            message = refusal(lambda read=read, spec=spec: read(spec))
            assert message is None or "m.ark" in message


@given(
    st.sampled_from([b"FM ", b"DM ", b"FV ", b"DV ", b"CM ", b"CM2 ", b"CM3 ", b"XX ", b""]),
    st.lists(st.sampled_from([0, 1, 2, 4, -1, 2**31 - 1, -(2**31), 10**6]), min_size=4, max_size=6),
    st.binary(max_size=80),
)
@example(b"CM ", [2139095040, 0, 1, 1], bytes(16))
@MANY
def test_ark_heads(place, kind, sizes, rest):
    path = place / "h.ark"
    for head in (struct.pack(f"<{len(sizes)}i", *sizes), b"".join(struct.pack("<bi", 4, n) for n in sizes)):
        path.write_bytes(b"\0B" + kind + head + rest)
        only_asit_errors(path, lambda: read_matrix(str(path)), lambda: read_rows(f"{path}:0", 0, 1))


@given(st.one_of(LINES, st.sampled_from(["1 2\n3", "1e999 x", "b'", "nan", "[ [", "1" * 5000])))
@MANY
def test_text_archives(place, text):
    path = place / "t.ark"
    for content in (f"[ {text} ]", f" [{text}\n1 2 ]", f"[{text}"):
        path.write_bytes(utf8(content))
        only_asit_errors(path, lambda: read_matrix(str(path)))


def test_a_text_archive_without_an_end_is_not_read_for_ever(place, monkeypatch):
    monkeypatch.setattr("asit.kaldi.ark_spec.MOST_TEXT", 1 << 20)
    path = place / "long.ark"
    path.write_bytes(b"[ " + b"1 " * (2 << 20))
    with pytest.raises(AsitError, match="no closing ']' within 1048576 bytes"):
        read_matrix(str(path))


def test_a_named_pipe_is_no_archive(place):
    os.mkfifo(place / "fifo.ark")
    with pytest.raises(AsitError, match="named pipe"):
        read_matrix(f"{place}/fifo.ark:0")


@given(LINES, st.sampled_from([b"", b"\n", b"\r\n", b"\xff\n"]))
@example("u " + "9" * 5000, b"\n")
@example("u r 0 1e300\nv ²", b"\n")
@example("9" * 5000 + " ²", b"\n")
@example("9" * 5000 + " 1", b"\n")
@example("9" * 5000, b"\n")
@example("u 1\n" + "t" * 5000 + " 1", b"\n")
@example("u 1\nu 1\n" + "t" * 5000 + ",x 1", b"\n")
@example("9" * 5000 + " 1\n" + "9" * 5000 + " 1", b"\n")
@example("u \x0b", b"\n")
@MANY
def test_tables_of_a_data_directory(place, text, end):
    folder = place / "data"
    folder.mkdir(exist_ok=True)
    names = ("utt2spk", "utt2dur", "utt2num_frames", "utt2label", "segments", "wav.scp", "labels.txt", "events")
    names += ("frame_shift",)
    content = utf8(text) + end
    for name in names:
        (folder / name).write_bytes(content)
    data = DataDir(str(folder))

    def numbers():
        columns = read_columns(str(folder / "utt2num_frames"))
        assert positive_integers(str(folder / "utt2num_frames"), columns, "frames").dtype == np.int64

    only_asit_errors(
        folder,
        *(lambda name=name: getattr(data, name) for name in ("utt2dur", "utt2num_frames", "utt2label", "segments")),
        lambda: recordings_of(read_table(folder / "segments").values()),
        lambda: read_labels(str(folder / "labels.txt")),
        lambda: data.frame_shift,
        lambda: read_events(str(folder / "events"), ["a"]),
        lambda: find_problems(folder),
        lambda: read_trials(str(folder / "utt2spk")),
        numbers,
    )


def test_times_and_counts_are_those_of_recordings(place):
    for name, value in (
        ("utt2dur", "1e300"),
        ("utt2dur", "1_0"),
        ("utt2num_frames", str(2**64)),
        ("utt2num_frames", "٣"),
    ):
        (place / name).write_text(f"u {value}\n")
        with pytest.raises(AsitError, match=f"{name}:1: 'u': expected"):
            getattr(DataDir(str(place)), name)


VALUES = st.recursive(
    st.one_of(
        st.sampled_from(
            ["1", "9" * 400, "9" * 5000, "0x" + "f" * 5000, "1:" * 5000 + "1", "2024-02-31", '"\\0"', '"\\ud800"']
        ),
        st.sampled_from(
            ["!!bool maybe", "!!int ''", "!!timestamp x", "!!binary ééé", "!!set {a}", "&a 1", "*a", "~", "a"]
        ),
        st.text("ab:-[]{}&*!|>'\"%@` \n\t#?,.", max_size=6),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: f"[{', '.join(v)}]"),
        st.lists(inner, max_size=3).map(lambda v: "{" + ", ".join(f"k{i % 2}: {x}" for i, x in enumerate(v)) + "}"),
    ),
    max_leaves=6,
)
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(9 * ['*' + a])}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def read_everything_of_yaml(path):
    only_asit_errors(
        path,
        lambda: read_yaml(str(path)),
        lambda: load(FbankSettings, str(path)),
        lambda: Stats.load(str(path)),
        lambda: read_published(str(path)),
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["mean", "std", "masking", "tables", "dither", "? [a]", "<<"]), VALUES), max_size=4
    )
)
@MANY
def test_yaml(place, pairs):
    path = place / "c.yaml"
    path.write_text("".join(f"{name}: {value}\n" for name, value in pairs))
    read_everything_of_yaml(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: " + 20_000 * "[" + 20_000 * "]", ":1: not valid YAML: more than 20 lists"),
        (20_000 * "- ", "not valid YAML: more than 20 lists"),
        (BOMB + "masking: *i\n", ":2: not valid YAML: an alias"),
        (BOMB + "systems: *i\n", ":2: not valid YAML: an alias"),
        ("a: 1\ndither: " + "9" * 400, ":2: not valid YAML: a number of 400 characters"),
        ("a: {b: 1,\n b: 2}", ":2: not valid YAML: 'b' is given twice"),
        ("a: !!bool maybe", ":1: not valid YAML: 'maybe' is no bool"),
        ("a: 1\nb: \x07", ":2: not valid YAML: character U+0007"),
        ("a: " + "x" * (1 << 20), "at most 1048576 bytes"),
    ],
    ids=range(9),
)
def test_yaml_that_grows_is_refused_with_its_line(place, text, says):
    path = place / "bomb.yaml"
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(AsitError) as error:
        read_yaml(str(path))
    assert says in str(error.value)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("value", ["9" * 30, '"a\\0b"', "[1, 2]", "{a: 1}", "x" * 5000])
def test_values_that_no_option_takes(place, value):
    path = place / "v.yaml"
    for name in ("dither", "num_mel_bins", "window"):
        path.write_text(f"{name}: {value}\n")
        with pytest.raises(AsitError, match=r"v\.yaml:1: (option|not valid YAML)"):
            load(FbankSettings, str(path))


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.sampled_from([10**400, -1, 2**64, 0]),
        st.text(max_size=5),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
RECORD = {
    "tags": {"task": "t"},
    "metric": "m",
    "metrics": {"m": 0.5},
    "declared": [{"name": "m", "unit": "%", "better": "higher"}],
    "clips": 1,
    "expected": 1,
    "trivial": {"chance": None},
}


def changed(content, names, value):
    """The content with one member, which may be inside another, replaced."""
    content = json.loads(json.dumps(content))
    inner = content
    for name in names[:-1]:
        inner = inner[name]
    inner[names[-1]] = value
    return content


@given(
    st.sampled_from(
        [
            ("tags",),
            ("tags", "task"),
            ("metric",),
            ("metrics",),
            ("metrics", "m"),
            ("declared",),
            ("declared", 0),
            ("declared", 0, "better"),
            ("clips",),
            ("trivial",),
            ("seconds",),
            ("x",),
        ]
    ),
    JSON,
)
@MANY
def test_metrics_json(place, names, value):
    path = place / "metrics.json"
    for content in (value, changed(RECORD, names, value)):
        path.write_text(json.dumps(content))
        only_asit_errors(path, lambda: f"{record.load(path).value:.1f}")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", "null", "[]", "", "\0", '{"clips": 1'])
def test_json_that_is_no_object(place, text):
    (place / "metrics.json").write_text(text)
    with pytest.raises(AsitError, match=r"metrics\.json: .*score the run again"):
        record.load(place / "metrics.json")
    path = place / "m.safetensors"
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}, {shipped.KEY: text}))
    with pytest.raises(AsitError, match=r"m\.safetensors: metadata"):
        model_file.load(path)


FACTS = {
    "kind": "classifier",
    "model": "vit",
    "model_settings": {"embed_dim": 8, "depth": 1, "heads": 2, "patch": [4, 4]},
    "frames": 8,
    "mels": 8,
    "front_end": {"num_mel_bins": 8},
    "stats": {"mean": 0.0, "std": 1.0, "frames": 1},
    "task": "classification",
    "task_settings": {},
    "head": {},
    "labels": ["a", "b"],
    "tags": {"seed": "0"},
    "train_clips": 3,
    "provenance": {},
}
PLACES = [(name,) for name in FACTS] + [
    (group, name) for group in ("model_settings", "stats", "front_end", "tags") for name in FACTS[group]
]
ABSURD = st.sampled_from([10**12, 2**31, 0, -1, float("nan"), float("inf"), "x", [], {}, None, True, [1, 2], {"a": 1}])


@given(st.sampled_from(PLACES), st.one_of(ABSURD, JSON))
@example(("model_settings", "depth"), 10**9)
@example(("model_settings", "embed_dim"), 10**12)
@example(("stats", "std"), 0)
@example(("stats", "std"), float("nan"))
@MANY
def test_model_files(place, names, value):
    path = place / "x.safetensors"
    for kind in ("classifier", "backbone"):
        facts = changed({**FACTS, "kind": kind}, names, value)
        model_file.save(path, {"a": torch.zeros(2)}, facts)
        only_asit_errors(
            path,
            lambda: load_model(str(path)),
            lambda: load_backbone(str(path), from_scratch=True, drop_path=0.0, crop_frames=0),
        )


@given(st.binary(max_size=60), st.integers(0, 2**63))
@MANY
def test_bytes_that_are_no_model(place, content, size):
    path = place / "y.safetensors"
    for data in (content, struct.pack("<Q", size) + content, struct.pack("<Q", len(content)) + content):
        path.write_bytes(data)
        only_asit_errors(path, lambda: model_file.load(path))
