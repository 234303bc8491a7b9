"""A recipe for a new corpus: the template, with what the recordings themselves tell filled in."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from asit.config import REQUIRED, option
from asit.errors import AsitError
from asit.io.audio import audio_info
from asit.recipes.corpus import Recording, read_corpus, sets_of

TOP_RATE = 16000  # Hz; recordings of higher rates are resampled
NARROW_RATE, NARROW_BINS = 12000, 64  # up to this rate, fewer mel bins: the upper ones of 128 would be empty
FRAMES_PER_SECOND = 100
SHORTEST, LONGEST = 32, 592  # frames of a crop; the longest is the published one
FULL_POOL_HOURS = 10.0
GENERATED = ("data", "fbank", "exp", "downloads", "RESULTS.md", "__pycache__")


@dataclass(frozen=True)
class NewRecipeSettings:
    """Make egs/<name> for a corpus in folders of classes or in a CSV file (path,label[,speaker,split,fold])."""

    name: str = option(REQUIRED, "name of the recipe and of its folder")
    corpus: str = option(REQUIRED, "folder of class folders, <set>/<label>/ folders, or a CSV file")
    template: str = option("egs/TEMPLATE", "recipe to copy")
    egs_dir: str = option("egs", "folder of the recipes")


class Survey(NamedTuple):
    """What the heads of all recordings say."""

    rates: Counter[int]
    channels: int
    seconds: list[float]  # ascending

    @property
    def rate(self) -> int:
        """The rate of most recordings, at most 16 kHz."""
        return min(TOP_RATE, self.rates.most_common(1)[0][0])

    @property
    def hours(self) -> float:
        """Of all recordings."""
        return sum(self.seconds) / 3600

    @property
    def crop_frames(self) -> int:
        """Frames that three of four clips have, a multiple of 16; the shorter ones are left out of pretraining."""
        quarter = self.seconds[len(self.seconds) // 4]
        return max(SHORTEST, min(LONGEST, int(quarter * FRAMES_PER_SECOND - 3) // 16 * 16))


def survey(recordings: Sequence[Recording]) -> Survey:
    """Read the head of every recording. Raises AsitError at the first that is not audio."""
    rates, most, seconds = Counter[int](), 1, []
    for recording in tqdm(recordings, desc="recordings", disable=None):
        samples, rate, channels = audio_info(recording.path, recording.utt)
        rates[rate] += 1
        most = max(most, channels)
        seconds.append(samples / rate)
    return Survey(rates, most, sorted(seconds))


def new_recipe(settings: NewRecipeSettings) -> str:
    """Make the recipe; returns what was found and what to run.

    Raises:
        AsitError: a name with other characters than letters, digits, - and _, a folder that is there already, a
            corpus that cannot be read.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", settings.name):
        raise AsitError(f"--name: expected letters, digits, - and _, found '{settings.name}'")
    recipe = Path(settings.egs_dir, settings.name)
    if recipe.exists():
        raise AsitError(f"{recipe}: is there already; choose another --name or remove it")
    if not Path(settings.template, "run.sh").is_file():
        raise AsitError(f"{settings.template}: no run.sh; start this where asit is, or name the folder with --template")
    recordings = read_corpus(str(Path(settings.corpus).absolute()))
    sets, found = sets_of(recordings), survey(recordings)
    made = recipe.with_name(f"{recipe.name}.tmp")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(settings.template, made, ignore=shutil.ignore_patterns(*GENERATED))
    _fill_in(made, settings, recordings, list(sets), found)
    made.rename(recipe)
    return _told(recipe, recordings, sets, found)


def _fill_in(
    recipe: Path, settings: NewRecipeSettings, recordings: Sequence[Recording], sets: list[str], found: Survey
) -> None:
    bins = NARROW_BINS if found.rate <= NARROW_RATE else 128
    _set(recipe / "conf/fbank.yaml", sample_rate=found.rate, num_mel_bins=bins)
    _set(recipe / "conf/pretrain.yaml", global_frames=found.crop_frames)
    if any(len(r.labels) > 1 for r in recordings):
        _set(recipe / "conf/finetune.yaml", task="tagging")
    folds = [name.removeprefix("test_fold") for name in sets if name.startswith("test_fold")]
    others = [name for name in sets if name not in ("pool", "train", "valid")]
    names = {"train": "train", "valid": "valid" if "valid" in sets else "", "test": others[0] if others else "test"}
    head = "# Which runs the recipe makes; docs/extending.md has the form.\n"
    if folds:
        names = {"train": "train_fold{fold}", "valid": "", "test": "test_fold{fold}"}
        head += f"folds: [{', '.join(folds)}]  # no fold selects the weights: the last ones are kept\n"
    elif len(others) > 1:
        names["test"] = f"[{', '.join(others)}]"
    quoted = {key: f'"{value}"' if "{" in value else value for key, value in names.items() if value}
    words = ", ".join(f"{key}: {value}" for key, value in quoted.items())
    run = f"runs:\n  - {{task: {settings.name}, {words}, config: finetune.yaml}}\n"
    (recipe / "conf/runs.yaml").write_text(head + run, encoding="utf-8")
    script = recipe / "run.sh"
    text = script.read_text(encoding="utf-8")
    corpus = str(Path(settings.corpus).absolute())
    if '"' in corpus or "$" in corpus or "`" in corpus or "\\" in corpus:
        raise AsitError(f"{corpus}: a path with quotes, $ or backslashes cannot be written into run.sh; rename it")
    text = _default(text, "corpus", f'"{corpus}"')
    if folds:
        text = _default(text, "pool", '"pool_fold{fold}"')
    if found.channels > 1:
        text = _default(text, "channel", "0")
    script.write_text(text, encoding="utf-8")


def _set(path: Path, **values: int | str) -> None:
    """Change values of a YAML file line by line, so that its comments stay."""
    text = path.read_text(encoding="utf-8")
    for name, value in values.items():
        text, count = re.subn(rf"^({name}:) *[^ #\n]+", rf"\1 {value}", text, flags=re.MULTILINE)
        if count != 1:
            raise AsitError(f"{path}: expected one line '{name}: …', found {count}; use the template as it comes")
    path.write_text(text, encoding="utf-8")


def _default(script: str, name: str, value: str) -> str:
    """``run.sh`` with another default of an option."""
    changed, count = re.subn(rf"^{name}=\S+", lambda _: f"{name}={value}", script, flags=re.MULTILINE)
    if count != 1:
        raise AsitError(f"run.sh: expected one line '{name}=…' above parse_options, found {count}")
    return changed


def _told(recipe: Path, recordings: Sequence[Recording], sets: dict[str, list[Recording]], found: Survey) -> str:
    labels = {label for r in recordings for label in r.labels}
    rates = ", ".join(f"{rate} Hz ({count})" for rate, count in found.rates.most_common())
    middle = found.seconds[len(found.seconds) // 2]
    lines = [
        f"{len(recordings)} recordings, {found.hours:.2f} hours, {len(labels)} labels; {rates}",
        f"lengths: {found.seconds[0]:.2f} to {found.seconds[-1]:.2f} s, median {middle:.2f} s",
        "sets: " + ", ".join(f"{name} {len(rows)}" for name, rows in sets.items()),
        f"front end: {found.rate} Hz; crops of {found.crop_frames} frames of 10 ms",
    ]
    if found.channels > 1:
        lines.append("some recordings have several channels: the first is taken (option --channel)")
    if found.hours > FULL_POOL_HOURS:
        lines.append("more than 10 hours: consider egs/mini/conf/pretrain_asit_v2.yaml, the published settings")
    return "\n".join([*lines, f"{recipe}: made; look through its conf/, then run {recipe}/run.sh"])
