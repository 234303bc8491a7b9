"""A small corpus in VoxCeleb1's official layout, from the recordings of egs/mini: three development speakers, two of
the trials; telephone prompts at 16 kHz."""

from __future__ import annotations

import itertools
from pathlib import Path

import soundfile
import soxr

PROMPTS = Path(__file__).parents[2] / "egs/mini/corpus"
RATE = 16000
DEV = {"id10001": "allison_en", "id10002": "carlo_it", "id10003": "june_fr"}  # speaker: voice
TEST = {"id10270": "menardi_it", "id10309": "ivrvoice_ru"}
VIDEOS = {"-0abcdefghi": "1", "1zcIwhmdeo4": "1", "7gWzIy6yIIk": "2", "x_9Zy6yIIk0": "3"}  # video: set of iden_split
CLIPS = 3  # of each video


def make(folder: Path) -> Path:
    """Write ``vox1_dev_wav/wav``, ``vox1_test_wav/wav`` and ``meta/`` (the lists); returns ``folder``."""
    split = []
    for part, speakers in (("vox1_dev_wav", DEV), ("vox1_test_wav", TEST)):
        for speaker, voice in speakers.items():
            prompts = iter(sorted((PROMPTS / voice).rglob("*.flac"), key=lambda path: -path.stat().st_size))
            for video, own in VIDEOS.items():
                (folder / part / "wav" / speaker / video).mkdir(parents=True)
                for number in range(1, CLIPS + 1):
                    wave, rate = soundfile.read(next(prompts), dtype="float32")
                    clip = f"{speaker}/{video}/{number:05d}.wav"
                    soundfile.write(folder / part / "wav" / clip, soxr.resample(wave, rate, RATE)[: 3 * RATE], RATE)
                    split.append(f"{own} {clip}")
    (folder / "meta").mkdir()
    (folder / "meta/iden_split.txt").write_text("".join(f"{line}\n" for line in split))
    trials = all_trials()
    (folder / "meta/veri_test.txt").write_text("".join(trials))
    (folder / "meta/veri_test2.txt").write_text("".join(trials[1:-1]))  # some were taken out as wrong
    return folder


def all_trials() -> list[str]:
    """Every pair of clips from different videos, of one speaker (1) and of both (0)."""
    clips = [f"{speaker}/{video}/00001.wav" for speaker in TEST for video in VIDEOS]
    return [f"{int(a[:7] == b[:7])} {a} {b}\n" for a, b in itertools.combinations(clips, 2)]
