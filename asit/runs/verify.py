"""Verification: do two clips have one speaker? Cosine of their embeddings, equal error rate, detection cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asit.config import REQUIRED, Options, group, option, to_dict
from asit.errors import AsitError
from asit.io.atomic import write_text
from asit.kaldi.ark import read_vector
from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import read_table
from asit.metrics.eer import eer, min_dcf
from asit.metrics.metric import Metric
from asit.recipes import record
from asit.recipes.provenance import provenance
from asit.recipes.record import Record
from asit.runs.embedder import Embedder, EmbedderSettings, unit_length
from asit.runs.evaluate import write_missing
from asit.runs.trials import Trials, read_trials, utterances_of


@dataclass(frozen=True)
class Settings(Options):
    """Compare the clips of verification trials by the cosine of their embeddings."""

    trials: str = option(REQUIRED, "list of lines '1 clip clip' (one speaker) or '0 clip clip' (two), or Kaldi's form")
    data_dir: str = option(REQUIRED, "data directory of the clips; trials name its utterances or ends of its paths")
    out_dir: str = option(REQUIRED, "folder for metrics.json and scores")
    model: str = option("", "model.safetensors of asit-finetune or backbone.safetensors of asit-pretrain")
    embeddings: str = option("", "embeddings.scp of asit-embed, in place of --model")
    p_target: tuple[float, ...] = option((0.01, 0.05), "priors of a target trial for minDCF", above=0, below=1)
    c_miss: float = option(1.0, "cost of a miss in minDCF", above=0)
    c_false_alarm: float = option(1.0, "cost of a false alarm in minDCF", above=0)
    max_missing: float = option(0.0, "share of trials that may lack features", least=0, below=1)
    tags: tuple[str, ...] = option((), "name=value words for the report, beside those of the model")
    embedder: EmbedderSettings = group(EmbedderSettings)


def verify(settings: Settings) -> Record:
    """Score the trials, write everything to the output folder, and return what went into metrics.json.

    Raises:
        AsitError: not exactly one source of embeddings, another front end than the model's, a malformed list, more
            trials without features than allowed.
    """
    began = time.monotonic()
    record.discard(settings.out_dir)
    if bool(settings.model) == bool(settings.embeddings):
        found = "both" if settings.model else "neither"
        raise AsitError(f"expected one of --model and --embeddings, found {found}")
    trials = read_trials(settings.trials)
    if settings.model:
        embedder = Embedder(settings.model, settings.embedder)
        tags, train_clips = embedder.tags, int(embedder.metadata.get("train_clips", 0))
        dataset = embedder.open(settings.data_dir)
        there = {utt: i for i, utt in enumerate(dataset.utts)}
    else:
        tags, train_clips = {}, 0
        specs = read_table(settings.embeddings)
        there = dict.fromkeys(specs, 0)
    utts = utterances_of([*trials.first, *trials.second], DataDir(settings.data_dir))
    have = {name: utt for name, utt in utts.items() if utt in there}
    scored, missing = _sound(trials, have, settings)
    needed = sorted({have[names[i]] for names in (trials.first, trials.second) for i in scored})
    if settings.model:
        vectors = embedder.vectors(dataset.read(there[utt]) for utt in needed)
    else:
        vectors = np.stack([read_vector(specs[utt]) for utt in needed])
    row = {utt: i for i, utt in enumerate(needed)}
    directions = unit_length(vectors.astype(np.float64))
    first, second = (directions[[row[have[names[i]]] for i in scored]] for names in (trials.first, trials.second))
    scores, targets = np.einsum("nd,nd->n", first, second), trials.targets[scored]
    costs = (settings.c_miss, settings.c_false_alarm)
    values = {Metric("eer", "%", "lower"): eer(scores, targets)}
    for p in settings.p_target:
        values[Metric(f"min_dcf_{p:g}", "", "lower")] = min_dcf(scores, targets, p, *costs)
    result = Record(
        tags={**tags, **record.parse_tags(settings.tags)},
        metric="eer",
        metrics={metric.name: value for metric, value in values.items()},
        declared=tuple(values),
        clips=len(scored),
        expected=len(trials),
        train_clips=train_clips,
        seconds=time.monotonic() - began,
        trivial={"chance": 0.5},
        provenance={"utterances": len(needed), **provenance(), **to_dict(settings)},
    )
    out_dir = Path(settings.out_dir)
    lines = (
        f"{s:.6f} {t} {trials.first[i]} {trials.second[i]}\n" for i, s, t in zip(scored, scores, targets, strict=True)
    )
    write_text(out_dir / "scores", "".join(lines))
    write_missing(out_dir, missing)
    record.save(out_dir / record.NAME, result)
    return result


def _sound(trials: Trials, have: dict[str, str], settings: Settings) -> tuple[list[int], list[str]]:
    """Numbers of the trials whose clips are both there, and the names of the clips that are not."""
    pairs = list(zip(trials.first, trials.second, strict=True))
    lacking = [i for i, pair in enumerate(pairs) if not all(name in have for name in pair)]
    missing = sorted({name for i in lacking for name in pairs[i] if name not in have})
    if len(lacking) > settings.max_missing * len(trials):
        name = next(name for name in pairs[lacking[0]] if name not in have)
        raise AsitError(
            f"{trials.path}:{trials.lines[lacking[0]]}: no clip with features for '{name}' in {settings.data_dir}; "
            f"{len(lacking)} of {len(trials)} trials lack one, {len(missing)} clips in all; complete the data "
            "directory and its features, or raise --max-missing"
        )
    scored = sorted(set(range(len(trials))) - set(lacking))
    if len(set(trials.targets[scored].tolist())) < 2:
        raise AsitError(f"{trials.path}: the trials with features are not of both kinds; extract the missing features")
    return scored, missing


def summary(result: Record) -> str:
    """One line: error rate and costs, and how many trials were scored of those in the list."""
    values = ", ".join(f"{m.name} {m.text(result.metrics[m.name], more=1)}" for m in result.declared)
    return (
        f"{values}; scored {result.clips} of {result.expected} trials of "
        f"{result.provenance['utterances']} utterances in {result.seconds:.1f} s"
    )
