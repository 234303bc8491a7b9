"""A recipe for a new corpus: the template, with what the recordings themselves tell filled in."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tqdm import tqdm

from asit.config import REQUIRED, Options, option, to_dict
from asit.errors import AsitError
from asit.features.fbank import FbankSettings
from asit.io.audio import audio_info
from asit.models import shipped
from asit.recipes.corpus import ABOUT_LABELS, GIVEN, LABELS, Recording, read_corpus, sets_of
from asit.recipes.recording import classes_of, is_tagging

TOP_RATE = 16000  # Hz; recordings of higher rates are resampled
NARROW_RATE, NARROW_BINS = 12000, 64  # up to this rate, fewer mel bins: the upper ones of 128 would be empty
FRAMES_PER_SECOND = 100
SHORTEST, LONGEST = 32, 592  # frames of a crop; the longest is the published one
FULL_POOL_HOURS = 10.0
WEIGHTS = "asit-tiny"  # what every run is also started from, where its front end fits
PRESETS = ("", "words", "speakers", "sounds")
COLOUR = ("speakers", "sounds")  # told apart by what the mean of a clip holds, which WEIGHTS take away
ROOTS = (Path(__file__).resolve().parents[2], Path(__file__).resolve().parents[1] / "share")  # of a checkout, a wheel
GENERATED = ("data", "fbank", "exp", "downloads", "RESULTS.md", "__pycache__")


@dataclass(frozen=True)
class NewRecipeSettings(Options):
    """Make egs/<name> for a corpus in folders of classes or in a CSV file (path,label[,speaker,split,fold])."""

    name: str = option(REQUIRED, "name of the recipe and of its folder")
    corpus: str = option(REQUIRED, "folder of class folders, <set>/<label>/ folders, or a CSV file")
    columns: str = option(
        "", "columns of a CSV file with other names, path=audio/{filename}.wav,label=category; others are left out"
    )
    labels: str = option(GIVEN, ABOUT_LABELS, LABELS)
    preset: str = option(
        "",
        "what the labels tell apart: words (crops hold most words whole, the order of sounds counts), speakers or "
        f"sounds (the front end keeps the mean of the clip, so {WEIGHTS} does not fit)",
        PRESETS,
    )
    template: str = option("", "recipe to copy; empty: the template that comes with asit")
    egs_dir: str = option("egs", "folder of the recipes")


class Survey(NamedTuple):
    """What the heads of all recordings say."""

    rates: Counter[int]
    channels: int
    lengths: dict[str, float]  # path -> seconds

    @property
    def seconds(self) -> list[float]:
        """Lengths, ascending."""
        return sorted(self.lengths.values())

    @property
    def rate(self) -> int:
        """The rate of most recordings, at most 16 kHz."""
        return min(TOP_RATE, self.rates.most_common(1)[0][0])

    @property
    def hours(self) -> float:
        """Of all recordings."""
        return sum(self.lengths.values()) / 3600

    @property
    def global_frames(self) -> int:
        """Frames of a crop for pretraining: two thirds of what three of four clips have, a multiple of 8.

        The two crops of a clip should differ; shorter clips are left out.
        """
        quarter = self.seconds[len(self.seconds) // 4]
        return max(SHORTEST, min(LONGEST, frames(quarter) * 2 // 3 // 8 * 8))

    def crop_frames(self, preset: str) -> int:
        """Frames of a crop for fine-tuning, a multiple of 8: half of the clips fit whole, of words nine of ten."""
        longest = self.seconds[len(self.seconds) * 9 // 10 if preset == "words" else len(self.seconds) // 2]
        return max(self.global_frames, min(LONGEST, frames(longest) // 8 * 8))

    def fits(self, preset: str) -> dict[str, Any] | None:
        """The front end of WEIGHTS, where it suits the rate and what is told apart."""
        if preset in COLOUR or WEIGHTS not in shipped.names():
            return None
        front_end = shipped.facts(WEIGHTS)["front_end"]
        return front_end if front_end["sample_rate"] == self.rate else None

    def long_enough(self, recordings: Sequence[Recording]) -> int:
        """How many of them have a crop."""
        return sum(frames(self.lengths[r.path]) >= self.global_frames for r in recordings)


def frames(seconds: float) -> int:
    """Frames that a clip has at least, whatever its rate rounds to."""
    return int(seconds * FRAMES_PER_SECOND - 3)


def survey(recordings: Sequence[Recording]) -> Survey:
    """Read the head of every recording. Raises AsitError at the first that is not audio."""
    rates, most, lengths = Counter[int](), 1, {}
    for recording in tqdm(recordings, desc="recordings", disable=None):
        samples, rate, channels = audio_info(recording.path, recording.utt)
        rates[rate] += 1
        most = max(most, channels)
        lengths[recording.path] = samples / rate
    return Survey(rates, most, lengths)


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
    root = next((root for root in ROOTS if (root / "tools/path.sh").is_file()), None)
    if root is None:
        raise AsitError(f"{ROOTS[0]}: has neither tools/ nor egs/TEMPLATE; install asit from a wheel or its checkout")
    template = Path(settings.template or root / "egs/TEMPLATE")
    if not (template / "run.sh").is_file():
        raise AsitError(f"{template}: no run.sh; give the folder of a recipe, such as egs/TEMPLATE")
    recordings = read_corpus(str(Path(settings.corpus).absolute()), settings.columns, settings.labels)
    sets, found = sets_of(recordings), survey(recordings)
    made = recipe.with_name(f"{recipe.name}.tmp")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(template, made, ignore=shutil.ignore_patterns(*GENERATED))
    if recipe.resolve().parent != root / "egs":
        _point(made / "path.sh", root)
    front_end = found.fits(settings.preset)
    _fill_in(made, settings, recordings, list(sets), found, front_end)
    fitted = _fit(made / "conf", sets, found)
    made.rename(recipe)
    told = [*_told(recordings, sets, found, settings.preset, bool(front_end)), *fitted]
    return "\n".join([*told, f"{recipe}: made; look through its conf/, then run {recipe}/run.sh"])


def _point(path: Path, root: Path) -> None:
    """Say in a recipe's path.sh where asit is, for it is not two folders above."""
    place = re.sub(r'(["$`\\}])', r"\\\1", str(root))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('$(dirname "${BASH_SOURCE[0]}")/../..', place), encoding="utf-8")


def _fill_in(
    recipe: Path,
    settings: NewRecipeSettings,
    recordings: Sequence[Recording],
    sets: list[str],
    found: Survey,
    front_end: dict[str, Any] | None,
) -> None:
    bins = NARROW_BINS if found.rate <= NARROW_RATE else 128
    if front_end:
        usual = to_dict(FbankSettings())
        own = {name: value for name, value in front_end.items() if name == "sample_rate" or value != usual[name]}
        head = f"# The front end of {WEIGHTS}, which takes each mel bin's mean over the clip away.\n"
        (recipe / "conf/fbank.yaml").write_text(head + yaml.safe_dump(own, sort_keys=False), encoding="utf-8")
    else:
        _set(recipe / "conf/fbank.yaml", sample_rate=found.rate, num_mel_bins=bins)
    if found.channels > 1:
        with (recipe / "conf/fbank.yaml").open("a", encoding="utf-8") as stream:
            stream.write('channel: "0"  # the first of several; mix: their mean\n')
    _set(recipe / "conf/pretrain.yaml", global_frames=found.global_frames)
    _set(recipe / "conf/finetune.yaml", crop_frames=found.crop_frames(settings.preset))
    if settings.preset == "words":
        _set(recipe / "conf/finetune.yaml", pool_slices=8)
    if is_tagging(recordings):
        _set(recipe / "conf/finetune.yaml", task="tagging")
    folds = [_plain(name.removeprefix("test_fold")) for name in sets if name.startswith("test_fold")]
    others = [_plain(name) for name in sets if name not in ("pool", "train", "valid")]
    names = {"train": "train", "valid": "valid" if "valid" in sets else "", "test": others[0] if others else "test"}
    head = "# Which runs the recipe makes; docs/extending.md has the form.\n"
    if folds:
        names = {"train": "train_fold{fold}", "valid": "", "test": "test_fold{fold}"}
        head += f"folds: [{', '.join(folds)}]  # no fold selects the weights: the last ones are kept\n"
    elif len(others) > 1:
        names["test"] = f"[{', '.join(others)}]"
    quoted = {key: f'"{value}"' if "{" in value else value for key, value in names.items() if value}
    words = ", ".join(f"{key}: {value}" for key, value in quoted.items())
    systems = f", systems: [pretrained, {WEIGHTS}, scratch, baseline]" if front_end else ""
    run = f"runs:\n  - {{task: {settings.name}, {words}, config: finetune.yaml{systems}}}\n"
    if settings.labels != GIVEN:
        head, run = "# Nothing is fine-tuned: there are no labels.\n", "runs: []\n"
    (recipe / "conf/runs.yaml").write_text(head + run, encoding="utf-8")
    script = recipe / "run.sh"
    text = script.read_text(encoding="utf-8")
    corpus = str(Path(settings.corpus).absolute())
    unlabelled = settings.labels if settings.labels != GIVEN else ""
    for name, value in (("corpus", corpus), ("columns", settings.columns), ("labels", unlabelled)):
        if set(value) & set('"$`\\\n'):
            raise AsitError(f"{value}: quotes, $, backslashes or line breaks cannot be written into run.sh; rename it")
        text = _default(text, name, f'"{value}"') if value else text
    if folds:
        text = _default(text, "pool", '"pool_fold{fold}"')
    script.write_text(text, encoding="utf-8")


def _fit(conf: Path, sets: dict[str, list[Recording]], found: Survey) -> list[str]:
    """Settings that a small pool or training set asks for; what was changed, for people."""
    pools = [found.long_enough(rows) for name, rows in sets.items() if name.startswith("pool")]
    trained = [len(rows) for name, rows in sets.items() if name.startswith("train")]
    told = []
    if not min(pools):
        _set(conf / "pretrain.yaml", short_clips="pad")
        pools = [len(rows) for name, rows in sets.items() if name.startswith("pool")]
        told.append(f"clips are shorter than the shortest crop, {SHORTEST} frames: pretraining pads them")
    for name, clips in (("pretrain", min(pools)), *([("finetune", min(trained))] if trained else [])):
        path = conf / f"{name}.yaml"
        batch = int(yaml.safe_load(path.read_text(encoding="utf-8"))["batch_size"])
        if clips < batch:
            fitting = 1 << (clips.bit_length() - 1)
            _set(path, batch_size=fitting)
            told.append(f"{name}: {clips} clips are fewer than a batch of {batch}: batch_size is {fitting}")
    return told


def _plain(word: str) -> str:
    """A set or fold as YAML reads it back, quoted where it would become a number or a truth value.

    >>> _plain("clean"), _plain("1"), _plain("01"), _plain("no")
    ('clean', '1', '"01"', '"no"')
    """
    return word if str(yaml.safe_load(word)) == word else json.dumps(word, ensure_ascii=False)


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


def _told(
    recordings: Sequence[Recording], sets: dict[str, list[Recording]], found: Survey, preset: str, fits: bool
) -> list[str]:
    labels, seconds = classes_of(recordings), found.seconds
    rates = ", ".join(f"{rate} Hz ({count})" for rate, count in found.rates.most_common())
    lines = [
        f"{len(recordings)} recordings, {found.hours:.2f} hours, {len(labels)} labels; {rates}",
        f"lengths: {seconds[0]:.2f} to {seconds[-1]:.2f} s, median {seconds[len(seconds) // 2]:.2f} s",
        "sets: " + ", ".join(f"{name} {len(rows)}" for name, rows in sets.items()),
        f"front end: {found.rate} Hz; crops of {found.global_frames} frames of 10 ms, {found.crop_frames(preset)} to "
        "fine-tune",
    ]
    if fits and not labels:
        lines.append(f'{WEIGHTS} fits: its front end is taken; --pretrain-args "--init {WEIGHTS}" goes on from it')
    elif fits:
        lines.append(
            f"{WEIGHTS} fits: its front end is taken, and runs are also started from it (--init {WEIGHTS}: only)"
        )
    elif WEIGHTS in shipped.names():
        why = "takes the mean of a clip away" if preset in COLOUR else f"is for another rate than {found.rate} Hz"
        lines.append(f"{WEIGHTS} is not used: it {why}")
    if found.channels > 1:
        lines.append("some recordings have several channels: the first is taken (channel: in conf/fbank.yaml)")
    if found.hours > FULL_POOL_HOURS:
        lines.append("more than 10 hours: consider egs/mini/conf/pretrain_asit_v2.yaml, the published settings")
    return lines
