"""Small packages laid out as those of egs/asterisk, from the recordings of egs/mini, and the tables that list them."""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import io
from pathlib import Path

import soundfile
from debian_packages import build_deb

EGS = Path(__file__).parents[2] / "egs"
RATE = 8000
# Two voices are not in egs/mini: another's clips stand for them, in the format in which they come.
STAND_INS = {"armelle_fr": "june_fr", "avatar_es": "allison_es"}
WORDS, DIGITS = ("alfa", "bravo", "charlie"), ("1", "2", "3")
OTHERS = 9  # further clips of each voice, of at least a second

Row = tuple[str, str, str, str, int]  # voice, name, word, digit, samples


@dataclasses.dataclass
class SmallCorpus:
    """``files``: voice -> path in its package -> content; ``rows``: the lines of manifest.tsv."""

    files: dict[str, dict[str, bytes]]
    rows: list[Row]
    version: str = "1"

    def write(self, debs: Path, recipe: Path) -> None:
        """The .deb files into ``debs``, and the tables of ``recipe`` that go with them."""
        debs.mkdir(parents=True, exist_ok=True)
        lines = ["voice\tspeaker\tlang\tlicence\tauthor\tpackage\tversion\tsha256\tprefix"]
        for voice in packages():
            content = build_deb(self.version, self.files[voice["voice"]], voice["package"])
            (debs / f"{voice['package']}_{self.version}_all.deb").write_bytes(content)
            changed = {**voice, "version": self.version, "sha256": hashlib.sha256(content).hexdigest()}
            lines.append("\t".join(changed[name] for name in lines[0].split("\t")))
        (recipe / "local/packages.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        text = "".join(
            "\t".join(map(str, row)) + "\n" for row in [("voice", "name", "word", "digit", "samples"), *self.rows]
        )
        (recipe / "local/manifest.tsv").write_text(text, encoding="utf-8")


def packages() -> list[dict[str, str]]:
    """The rows of the recipe's own packages.tsv."""
    return list(
        csv.DictReader((EGS / "asterisk/local/packages.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t")
    )


@functools.cache
def _recordings() -> list[dict[str, str]]:
    text = (EGS / "mini/corpus/manifest.tsv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def make() -> SmallCorpus:
    """A few words, digits and longer prompts of each voice."""
    corpus = SmallCorpus({}, [])
    for package in packages():
        voice, prefix = package["voice"], package["prefix"]
        source = STAND_INS.get(voice, voice)
        own = [row for row in _recordings() if row["voice"] == source]
        chosen = [row for row in own if row["word"] in WORDS or row["digit"] in DIGITS]
        chosen += [row for row in own if row not in chosen and float(row["seconds"]) >= 1][:OTHERS]
        corpus.files[voice] = {"usr/share/doc/readme": b"not a clip"}
        for row in chosen:
            samples, _ = soundfile.read(EGS / "mini/corpus" / row["path"], dtype="int16")
            name = row["path"].split("/", 1)[1].removesuffix(".flac")
            stand_in = voice in STAND_INS
            content = encode(samples, "GSM610") if stand_in else encode(samples)
            word = "-" if stand_in else row["word"]
            corpus.files[voice][f"{prefix}{name}.{'gsm' if stand_in else 'wav'}"] = content
            corpus.rows.append((voice, name, word, row["digit"], length(content, stand_in)))
    corpus.rows.sort()
    return corpus


def encode(samples: object, subtype: str = "PCM_16", rate: int = RATE) -> bytes:
    """A wav file, or raw GSM 06.10."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format="RAW" if subtype == "GSM610" else "WAV", subtype=subtype)
    return stream.getvalue()


def length(content: bytes, raw: bool) -> int:
    """Samples of a clip."""
    options = {"format": "RAW", "subtype": "GSM610", "samplerate": RATE, "channels": 1} if raw else {}
    return len(soundfile.read(io.BytesIO(content), **options)[0])
