"""Write some utterances of a data directory as a directory of their own."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option, parse
from asit.errors import AsitError, command
from asit.kaldi import data_dir_parts as parts
from asit.kaldi.data_dir import DataDir, read_list


@dataclass(frozen=True)
class Settings(Options):
    """Write a subset of a Kaldi data directory; exactly one of the six choices must be given."""

    data_dir: str = option(REQUIRED, "directory to choose from")
    out_dir: str = option(REQUIRED, "directory to write; an older data directory there is replaced")
    first: int | None = option(None, "choose the first N utterances")
    random: int | None = option(None, "choose N utterances at random")
    per_speaker: int | None = option(None, "choose up to N utterances of each speaker at random")
    per_label: int | None = option(None, "choose up to N utterances of each label at random")
    utt_list: str | None = option(None, "choose the utterances in the first column of this file")
    speaker_list: str | None = option(None, "choose the speakers in the first column of this file")
    seed: int = option(0, "seed of the random choices; with the same seed a smaller choice is part of a larger one")


@command
def main() -> None:
    """``asit-subset-data-dir --data-dir data/train --random 500 --out-dir data/train_500``."""
    settings = parse(Settings)
    data, seed = DataDir(settings.data_dir), settings.seed
    choices = {
        "first": lambda n: parts.choose_first(data, n),
        "random": lambda n: parts.choose_random(data, n, seed),
        "per_speaker": lambda n: parts.choose_per_group(data, data.spk2utt, n, seed),
        "per_label": lambda n: parts.choose_per_group(data, parts.by_label(data), n, seed),
        "utt_list": read_list,
        "speaker_list": lambda path: parts.choose_speakers(data, read_list(path)),
    }
    given = {name: value for name in choices if (value := getattr(settings, name)) is not None}
    if len(given) != 1:
        names = ", ".join("--" + name.replace("_", "-") for name in (given or choices))
        raise AsitError(f"expected exactly one choice, found {len(given)}: {names}")
    ((name, value),) = given.items()
    out = parts.subset(settings.data_dir, settings.out_dir, choices[name](value))
    print(f"{settings.out_dir}: {len(out.utts)} of {len(data.utts)} utterances, {len(out.spk2utt)} speakers")


if __name__ == "__main__":
    sys.exit(main())
