from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from utterance_dirs import MELS, write_utterances

from asit.data.tokens import BLANK, Tokens
from asit.data.transcripts import Transcripts, steps_needed
from asit.data.utterances import LeaveOutSettings, collate_utterances
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.data_dir import write_data_dir
from asit.kaldi.table import write_table
from asit.runs.tokens import TokenSettings, train

STATS = Stats(-4.0, 4.0, 1000)
TEXT = {"s-1": "ba ba", "s-2": "abba", "s-3": "a b  a", "s-4": "bab"}
FRAMES = {"s-1": 40, "s-2": 33, "s-3": 60, "s-4": 21}
ALL = LeaveOutSettings(max_left_out=0.9)


def data_dir(path, text=TEXT, frames=FRAMES):
    made = write_utterances(path, text, frames)
    write_table(path / "text", text)
    return made


@pytest.fixture
def tokens(tmp_path) -> Tokens:
    write_data_dir(tmp_path / "t", {"text": {"s-1": "abba ba", "s-2": "ab b"}, "utt2spk": {"s-1": "s", "s-2": "s"}})
    return train(str(tmp_path / "t"), TokenSettings(token_type="char"))


def test_items_are_whole_utterances_with_their_units(tmp_path, tokens) -> None:
    found = Transcripts(data_dir(tmp_path / "d"), STATS)
    assert found.texts == ["ba ba", "abba", "a b a", "bab"]
    found = found.for_training(tokens, 4, ALL)
    assert len(found) == 4
    assert found.left_out == {}
    item = found[2, 17]
    assert (item["feats"].shape, item["utt"]) == ((60, MELS), "s-3")
    assert tokens.decode(item["target"]) == "a b a"
    assert np.allclose(item["feats"], STATS.normalise(list(found.whole())[2]))


def test_a_batch_is_padded_with_silence_and_units_are_joined(tmp_path, tokens) -> None:
    found = Transcripts(data_dir(tmp_path / "d"), STATS).for_training(tokens, 4, ALL)
    batch = collate_utterances([found[i, i] for i in (3, 2)])
    assert batch["feats"].shape == (2, 1, 60, MELS)
    assert batch["lengths"].tolist() == [21, 60]
    assert (batch["feats"][0, 0, 21:] == torch.tensor(found.features.silence, dtype=torch.float32)).all()
    assert batch["target_lengths"].sum() == len(batch["targets"])
    assert BLANK not in batch["targets"]
    assert batch["utts"] == ["s-4", "s-3"]


def test_what_cannot_be_learned_is_left_out_and_says_why(tmp_path, tokens) -> None:
    text = {**TEXT, "s-2": "abba abba abba", "s-4": "baäb"}
    found = Transcripts(data_dir(tmp_path / "d", text), STATS)
    found = found.for_training(tokens, 4, LeaveOutSettings(max_frames=50, max_left_out=0.9))
    assert found.utts == ["s-1"]
    assert found.left_out.keys() == {"s-2", "s-3", "s-4"}
    assert found.left_out["s-2"].startswith("15 units need 18 time steps, its 33 frames are 9")
    assert found.left_out["s-3"] == "60 frames, more than the 50 of --max-frames"
    assert found.left_out["s-4"].startswith("'ä' has no unit in ")
    assert len(list(found.whole())) == len(found) == len(found.lengths) == 1


@pytest.mark.parametrize(
    ("text", "frames", "says"),
    [
        ({**TEXT, "s-3": ""}, FRAMES, r"text: utterance 's-3': expected a transcript, found none \(1 in all\); write"),
        ({k: v for k, v in TEXT.items() if k != "s-2"}, FRAMES, r"'s-2' has features but no transcript; add its line"),
        (TEXT, {"s-1": 40, "s-4": 21}, r"feats.scp: 2 of 4 utterances of text have no features, the first is s-2"),
    ],
)
def test_transcripts_and_features_that_do_not_fit(tmp_path, text, frames, says) -> None:
    with pytest.raises(AsitError, match=says):
        Transcripts(data_dir(tmp_path / "d", text, frames), STATS)


def test_some_may_be_missing(tmp_path) -> None:
    found = Transcripts(data_dir(tmp_path / "d", TEXT, {"s-1": 40, "s-4": 21}), STATS, max_missing=0.5)
    assert (found.utts, found.missing, found.expected) == (["s-1", "s-4"], ["s-2", "s-3"], 4)


def test_too_many_left_out_names_the_first(tmp_path, tokens) -> None:
    found = Transcripts(data_dir(tmp_path / "d", {**TEXT, "s-2": "xylophone"}), STATS)
    with pytest.raises(AsitError, match=r"text: utterance 's-2': 'xylophone' has no unit .*\(1 of 4 cannot.*--vocab-s"):
        found.for_training(tokens, 4, LeaveOutSettings())


def test_no_text_at_all(tmp_path) -> None:
    path = data_dir(tmp_path / "d")
    (tmp_path / "d/text").unlink()
    with pytest.raises(AsitError, match=r"d/text: .*no such file|d/text"):
        Transcripts(path, STATS)


def test_another_transcript_is_another_set(tmp_path, tokens) -> None:
    digests = {
        Transcripts(data_dir(tmp_path / name, text), STATS).for_training(tokens, 4, ALL).digest()
        for name, text in (("a", TEXT), ("b", TEXT), ("c", {**TEXT, "s-4": "bba"}))
    }
    assert len(digests) == 2


def test_steps_needed() -> None:
    assert [steps_needed(np.array(units)) for units in ([], [3], [3, 3], [3, 4, 3], [5, 5, 5])] == [0, 1, 3, 3, 5]
