from __future__ import annotations

from pathlib import Path

import pytest

from asit.errors import AsitError
from asit.kaldi import data_dir_combine, data_dir_fix, data_dir_parts
from asit.kaldi.data_dir import write_data_dir, write_labels
from asit.kaldi.data_dir_validate import Checks, find_problems
from asit.kaldi.events import Event, format_events, read_events, write_events

EVENTS = {
    "s-1": (Event(0.0, 0.25, "dog"), Event(0.1, 1.0, "cat"), Event(0.5, 0.75, "dog")),
    "s-2": (),
    "s-3": (Event(0.125, 2.0, "cat"),),
}
LINES = ["s-1 0.000 0.250 dog", "s-1 0.100 1.000 cat", "s-1 0.500 0.750 dog", "s-2 -", "s-3 0.125 2.000 cat"]
CHECKS = Checks(require_wav=False, require_events=True)


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "d"
    tables = {
        "utt2spk": dict.fromkeys(EVENTS, "s"),
        "utt2dur": dict.fromkeys(EVENTS, "2.5"),
        "events": {utt: format_events(events) for utt, events in EVENTS.items()},
    }
    write_data_dir(path, tables)
    write_labels(path / "labels.txt", ["cat", "dog"])
    return path


def test_an_event_a_line_and_back(made, tmp_path):
    assert (made / "events").read_text().splitlines() == LINES
    assert read_events(made / "events", ["cat", "dog"]) == EVENTS
    write_events(tmp_path / "events", {utt: events[::-1] for utt, events in EVENTS.items()})
    assert (tmp_path / "events").read_bytes() == (made / "events").read_bytes()
    assert find_problems(made, CHECKS) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "0.100 1.000 cat",
            "0.1 cat",
            "events:2: 's-1': expected 'start end label', or '-' for no event, found '0.1 cat'",
        ),
        ("0.100 1.000 cat", "1.0 1.0 cat", "events:2: 's-1': expected 0 <= start < end in seconds, found 1.0 and 1.0"),
        ("0.100 1.000 cat", "-1 1.0 cat", "events:2: 's-1': expected 0 <= start < end"),
        ("0.100 1.000 cat", "0.1 nan cat", "events:2: 's-1': expected a number, found 'nan'"),
        ("0.500 0.750 dog", "0.5 0.75 doge", "events:3: 's-1': label 'doge' is not in labels.txt: did you mean 'dog'?"),
        ("0.500 0.750 dog", "0.5 0.75 a,b", "events:3: 's-1': label 'a,b' holds a comma"),
        ("s-2 -", "s-2 -\ns-2 0 1 cat", "events:4: 's-2': says that nothing happens, and other lines have its events"),
        ("s-2 -", "s-2 -\ns-2 -", "events:5: 's-2': '-' is there already, on line 4; remove one"),
        ("0.500 0.750 dog", "0.1 1 cat", "events:3: 's-1': '0.1 1 cat' is there already, on line 2; remove one"),
        ("0.125 2.000 cat", "2.5 2.6 cat", "events:5: 's-3': starts at 2.5 s, the utterance ends at 2.500 s"),
        ("0.125 2.000 cat", "0.1 3.6 cat", "events:5: 's-3': ends at 3.6 s, the utterance ends at 2.500 s"),
        ("s-2 -\n", "", "events: utterance 's-2' of utt2spk is missing; add its line"),
        ("s-2 -", "s-20 -", "events:4: 's-20': no such utterance in utt2spk"),
        ("s-2 -\n", "s-2 -\ns-1 1 2 cat\n", "events:5: 's-1' is there already, on line 1"),
    ],
)
def test_each_problem_has_its_line(made, old, new, problem):
    text = (made / "events").read_text()
    assert old in text
    (made / "events").write_text(text.replace(old, new, 1))
    found = find_problems(made, CHECKS)
    assert any(line.startswith(f"{made}/{problem}") for line in found), found
    if (
        not problem.startswith("events: ")
        and "no such utterance" not in problem
        and "the utterance ends" not in problem
    ):
        with pytest.raises(AsitError) as caught:
            read_events(made / "events", ["cat", "dog"])
        assert str(caught.value).startswith(f"{made}/{problem}")


def test_however_short_or_near_what_is_written_can_be_read(tmp_path):
    events = {
        f"u{i}": (Event(0.01 + i * 1e-4, 0.01 + i * 1e-4 + 1e-5, "a"), Event(0.0101, 0.0102, "a")) for i in range(20)
    }
    write_events(tmp_path / "events", events)
    for some in read_events(tmp_path / "events", ["a"]).values():
        assert all(abs(event.start - 0.011) < 0.0016 and event.end > event.start for event in some)


def test_events_are_required_with_their_classes(made):
    (made / "events").unlink()
    (made / "labels.txt").unlink()
    found = find_problems(made, CHECKS)
    assert [line.split(": no such file")[0] for line in found] == [f"{made}/events", f"{made}/labels.txt"]


def test_events_go_along_with_their_utterances(made, tmp_path):
    parts = data_dir_parts.split(made, 3)
    assert [Path(part, "events").read_text().splitlines() for part in parts] == [LINES[:3], LINES[3:4], LINES[4:]]
    other = data_dir_combine.copy(made, tmp_path / "x", data_dir_combine.Renaming(utt_prefix="x-", spk_prefix="x-"))
    both = data_dir_combine.combine(tmp_path / "both", [made, tmp_path / "x"])
    assert read_events(both.file("events"), ["cat", "dog"]) == {**EVENTS, **{f"x-{u}": e for u, e in EVENTS.items()}}
    assert read_events(other.file("events"), ["cat", "dog"]).keys() == {f"x-{utt}" for utt in EVENTS}


def test_fixing_keeps_one_of_equal_lines(made):
    lines = [LINES[0], *LINES, LINES[3]]
    (made / "events").write_text("".join(f"{line}\n" for line in lines))
    assert data_dir_fix.fix(made).removed == ()
    assert (made / "events").read_text().splitlines() == LINES


def test_fixing_sorts_and_leaves_no_utterance_with_half_of_its_events(made):
    lines = [LINES[4], LINES[0], "s-1 0.7 cat", *LINES[2:4], LINES[4], "gone-1 0 1 cat"]
    (made / "events").write_text("".join(f"{line}\n" for line in lines))
    fixed = data_dir_fix.fix(made)
    assert (made / "events").read_text().splitlines() == LINES[3:]
    assert (made / "utt2spk").read_text() == "s-2 s\ns-3 s\n"
    of_events = [line.partition("/events:")[2] for line in fixed.removed if "/events:" in line]
    assert [line.split(":")[0] for line in of_events] == ["3 s-1", "2 s-1", "7 gone-1"]


def test_fixing_drops_an_utterance_that_has_events_and_none(made):
    (made / "events").write_text("".join(f"{line}\n" for line in [*LINES[:3], "s-1 -", *LINES[3:]]))
    assert data_dir_fix.fix(made).dropped == ("s-1",)
    assert find_problems(made, CHECKS) == []
