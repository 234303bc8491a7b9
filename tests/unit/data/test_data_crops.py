from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.config import to_dict
from asit.data.clips import Clips, collate_clips
from asit.data.crops import Crops, CropSettings, collate_crops, pieces_of_crop
from asit.data.features import Features
from asit.errors import AsitError
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.kaldi.ark import ArkWriter
from asit.kaldi.strings import Strings
from asit.kaldi.table import write_table
from asit.tasks import tagging

MELS = 40
LENGTHS = {"a": 30, "b": 12, "c": 100, "d": 20}


def make(path, lengths=LENGTHS):
    """Features whose value is 1000 * clip + frame, so that a row tells where it comes from."""
    path.mkdir()
    with ArkWriter(path / "f.ark", path / "feats.scp") as writer:
        for number, (utt, frames) in enumerate(lengths.items()):
            rows = np.repeat(1000.0 * number + np.arange(frames, dtype=np.float32)[:, None], MELS, axis=1)
            writer.write(utt, rows.astype(np.float32))
    write_table(path / "utt2num_frames", {u: str(n) for u, n in lengths.items()})
    write_table(path / "utt2label", {u: "x,y" if u == "a" else "y" for u in lengths})
    write_table(path / "labels.txt", {"x": "1", "y": "0"})
    (path / "conf").mkdir()
    (path / "conf/fbank.yaml").write_text(yaml.safe_dump(to_dict(FbankSettings(num_mel_bins=MELS))))
    Stats(0.0, 0.5, 1).save(path / "stats.yaml")  # normalisation is the identity
    return path


@pytest.fixture
def data(tmp_path):
    return Features(make(tmp_path / "my pool"))


def test_reading(data):
    assert list(data.utts) == list(LENGTHS)
    assert data.num_frames.tolist() == list(LENGTHS.values())
    assert data.read(2, 10, 13)[:, 0].tolist() == [2010, 2011, 2012]
    assert data.hours == pytest.approx(162 * 0.01 / 3600)


def test_ranges_of_ranges(tmp_path):
    path = make(tmp_path / "d", {"a": 30})
    write_table(path / "feats.scp", {"a": f"{path}/f.ark:2[5:24]"})
    write_table(path / "utt2num_frames", {"a": "20"})
    data = Features(path)
    assert data.read(0, 3, 6)[:, 0].tolist() == [8, 9, 10]
    assert len(data.read(0)) == 20


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("feats.scp", "asit-make-fbank"), ("stats.yaml", "asit-compute-stats"), ("conf/fbank.yaml", "asit-make-fbank")],
)
def test_a_missing_file_names_its_maker(tmp_path, name, remedy):
    path = make(tmp_path / "d")
    (path / name).unlink()
    with pytest.raises(AsitError, match=f"{name}.*{remedy}"):
        Features(path)


def test_nan_names_the_utterance(tmp_path):
    path = make(tmp_path / "d")
    content = (path / "f.ark").read_bytes()  # the writer refuses NaN, so a value is replaced
    assert content.count(np.float32(2050).tobytes()) == MELS
    (path / "f.ark").write_bytes(content.replace(np.float32(2050).tobytes(), np.float32(np.nan).tobytes(), 1))
    data = Features(path)
    data.read(2, 0, 10)
    with pytest.raises(AsitError, match="utterance c: features hold NaN"):
        data.read(2)


def test_tables_that_disagree_are_refused(tmp_path):
    path = make(tmp_path / "d")
    write_table(path / "utt2num_frames", {"a": "30", "b": "12", "c": "99"})
    with pytest.raises(AsitError, match="utterance d is not in both"):
        Features(path)
    write_table(path / "utt2num_frames", {"a": "30", "b": "15", "c": "99", "d": "20"})
    with pytest.raises(AsitError, match="utterance b"):
        Features(path).read(1)


def test_the_digest_tells_data_apart(tmp_path, data):
    same, other = make(tmp_path / "same"), make(tmp_path / "other", {**LENGTHS, "e": 9})
    assert Features(same).digest() == data.digest() != Features(other).digest()
    assert Features(same, Stats(1.0, 2.0, 3)).digest() != data.digest()


@settings(deadline=None)
@given(st.lists(st.text(max_size=5)))
def test_strings_in_one_buffer(words):
    packed = Strings(words)
    assert list(packed) == words
    assert packed[1:3] == words[1:3]
    if words:
        assert packed[-1] == words[-1]


def test_crops_are_rows_of_the_clip_and_depend_on_the_sample_alone(data):
    crops = Crops(data, CropSettings(global_frames=16, local_frames=5, local_crops=3), seed=1)
    item = crops[2, 77]
    assert item["global"].shape == (2, 16, MELS)
    assert item["local"].shape == (3, 5, MELS)
    for crop in [*item["global"], *item["local"]]:
        assert np.array_equal(np.diff(crop[:, 0]), np.ones(len(crop) - 1))
        assert 2000 <= crop[0, 0] <= 2100 - len(crop)
    again = Crops(data, CropSettings(global_frames=16, local_frames=5, local_crops=3), seed=1)[2, 77]
    assert all(np.array_equal(item[k], again[k]) for k in ("global", "local"))
    assert not np.array_equal(item["global"], crops[2, 78]["global"])


def test_offsets_are_uniform(data):
    crops = Crops(data, CropSettings(global_frames=16), seed=0)
    starts = np.array([crops[3, n]["global"][:, 0, 0] for n in range(600)]) - 3000
    assert np.bincount(starts.ravel().astype(int), minlength=5).min() > 180  # of 240 expected
    assert abs(np.corrcoef(starts.T)[0, 1]) < 0.15


@settings(deadline=None)
@given(frames=st.integers(1, 50), length=st.integers(1, 60), shift=st.integers(0, 49), seed=st.integers(0, 99))
def test_a_rolled_crop_is_a_crop_of_the_rolled_clip(frames, length, shift, seed):
    shift %= frames
    pieces = pieces_of_crop(frames, length, np.random.default_rng(seed), shift)
    found = np.concatenate([np.arange(a, b) for a, b in pieces])
    offset = int(np.random.default_rng(seed).integers(frames - min(frames, length) + 1))
    assert found.tolist() == np.roll(np.arange(frames), shift)[offset : offset + length].tolist()


def test_short_clips_are_padded_with_silence(data):
    item = Crops(data, CropSettings(global_frames=16), 0)[1, 0]
    assert item["padded"].tolist() == [True, True]
    assert item["global"][0, 12:].min() == pytest.approx(-15.942385)


def test_skipped_clips_are_counted(data, caplog):
    caplog.set_level("INFO")
    crops = Crops(data, CropSettings(global_frames=16, short_clips="skip", draw="length"), 0)
    assert crops.pool.tolist() == [0, 2, 3]
    assert crops.weights.tolist() == [30, 100, 20]
    assert crops.padded_share == 0
    assert "1 clips" in caplog.text
    assert Crops(data, CropSettings(global_frames=16, draw="crops"), 0).weights.tolist() == [15, 1, 85, 5]
    assert Crops(data, CropSettings(global_frames=16), 0).padded_share == 0.25
    with pytest.raises(AsitError, match=r"none of the 4 clips has 500 frames \(longest: 100\)"):
        Crops(data, CropSettings(global_frames=500, short_clips="skip"), 0)


def test_a_batch_of_crops(data):
    crops = Crops(data, CropSettings(global_frames=16, local_frames=8, local_crops=2), 0)
    items = [crops[i, i] for i in range(3)]
    batch = collate_crops(items)
    assert batch["global_crops"].shape == (2, 3, 1, 16, MELS)
    assert batch["local_crops"].shape == (2, 3, 1, 8, MELS)
    assert batch["padded"].tolist() == [[False, True, False]] * 2
    assert batch["utts"] == ["a", "b", "c"]
    assert torch.equal(batch["global_crops"][1, 2, 0], torch.from_numpy(items[2]["global"][1]))
    assert "local_crops" not in collate_crops([Crops(data, CropSettings(global_frames=16), 0)[0, 0]])


def clips(path, frames, seed=0):
    task = tagging.Task(tagging.Settings(), ["y", "x"])
    return Clips(str(path), task, Stats(0.0, 0.5, 1), frames=frames, seed=seed)


def test_clips_of_one_length(data):
    found = clips(data.path, 25)
    batch = collate_clips([found[i, i] for i in range(4)])
    assert batch["feats"].shape == (4, 1, 25, MELS)
    assert batch["lengths"].tolist() == [25, 12, 25, 20]
    assert batch["targets"].tolist() == [[1, 1], [1, 0], [1, 0], [1, 0]]
    assert batch["utts"] == list(LENGTHS)
    assert batch["feats"][1, 0, 12:].max() == pytest.approx(-15.942385)
    starts = {found[2, n]["feats"][0, 0] for n in range(20)}
    assert len(starts) > 10
    assert clips(data.path, 25)[2, 3]["feats"][0, 0] == found[2, 3]["feats"][0, 0]
    assert starts != {clips(data.path, 25, seed=1)[2, n]["feats"][0, 0] for n in range(20)}


def test_whole_clips_of_those_that_are_labelled(data):
    write_table(data.path / "utt2label", {"b": "x", "d": "-"})
    found = clips(data.path, 25)
    assert [len(feats) for feats in found.whole()] == [12, 20]
    assert found[1, 0]["feats"][0, 0] == 3000
    assert found.targets.tolist() == [[0, 1], [0, 0]]
    with pytest.raises(AsitError, match="utterance a has features but no label"):
        found.training_targets()


@pytest.mark.parametrize(("labels", "problem"), [("x,,y", "an id is empty"), ("x,x", "a label is given twice")])
def test_malformed_labels_name_the_line(data, labels, problem):
    write_table(data.path / "utt2label", {"a": "x", "b": labels})
    with pytest.raises(AsitError, match=f"utt2label:2: 'b': {problem}"):
        clips(data.path, 25)
