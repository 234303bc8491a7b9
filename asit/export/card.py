"""A model card: README.md with the YAML header that model hubs read (Mitchell et al. 2019, arXiv 1810.03993)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from asit.recipes.record import Record
from asit.runs.info import description
from asit.runs.model import Model

TAGS = ["asit", "audio", "audio-spectrogram-transformer", "arxiv:2211.13189"]
MADE = ("command", "date", "git", "asit", "torch")  # of a fine-tuned model's provenance
USE = """\
```python
import asit

model = asit.load("path/of/this/folder")
{call}
```

Commands take the folder as they take the file: `{command} path/of/this/folder`."""


def card(model: Model, name: str, licence: str, scores: Mapping[str, Record]) -> str:
    """The text of README.md.

    Args:
        scores: what it gives, by the name of the set that it was scored on.
    """
    facts, kind = model.metadata, pipeline(model)
    header = {
        "license": licence.lower(),
        "library_name": "asit",
        "pipeline_tag": kind,
        "tags": TAGS,
        **({"model-index": [_index(name, kind, scores)]} if scores else {}),
    }
    said = description(model.path)
    about = [[fact, value] for fact, value in said.items() if fact not in ("file", "corpora", "licence")]
    made = facts.get("provenance", {}) if "task" in facts else {}
    about += [[fact, f"`{made[fact]}`"] for fact in MADE if made.get(fact)]
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n\n# {name}",
        f"An audio spectrogram transformer ([ASiT](https://arxiv.org/abs/2211.13189)): {said['kind']}.",
        table(["fact", "value"], about),
        f"## Use\n\n{_use(model)}",
        f"## Results\n\n{_results(scores, facts)}",
        f"## Data\n\n{_data(facts)}",
        f"## Licence\n\n{licence}",
    ]
    return "\n\n".join(parts) + "\n"


def pipeline(model: Model) -> str:
    """What hubs call the task."""
    if model.learned_from == "text":
        return "automatic-speech-recognition"
    return "audio-classification" if model.labels else "feature-extraction"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    r"""Markdown.

    >>> print(table(["a", "b"], [["1", "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\|y |
    """
    lines = [head, *([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows)]
    text = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(head), *text[1:]])


def _use(model: Model) -> str:
    calls = {
        "automatic-speech-recognition": ('text = model.transcribe("recording.wav")', "asit-transcribe --model"),
        "audio-classification": ('best = model.classify("recording.wav", top_k=3)', "asit-predict --model"),
        "feature-extraction": ('vector = model.embed("recording.wav")', "asit-finetune --init"),
    }
    call, command = calls[pipeline(model)]
    if model.learned_from == "events":  # for hubs a kind of classification
        call, command = 'events = model.events("recording.wav")', "asit-detect --model"
    return USE.format(call=call, command=command)


def _index(name: str, kind: str, scores: Mapping[str, Record]) -> dict[str, Any]:
    results = []
    for where, record in scores.items():
        found = [(metric, record.metrics[metric.name]) for metric in record.declared if metric.name in record.metrics]
        values = [
            {"type": metric.name, "name": metric.title, "value": float(metric.number(value))}
            for metric, value in found
            if math.isfinite(value)
        ]
        task = record.tags.get("task", kind)
        if values:
            results.append(
                {"task": {"type": kind}, "dataset": {"type": where, "name": f"{task}, {where}"}, "metrics": values}
            )
    return {"name": name, "results": results}


def _results(scores: Mapping[str, Record], facts: Mapping[str, Any]) -> str:
    rows = []
    for where, record in scores.items():
        for metric in record.declared:
            if metric.name in record.metrics:
                low, high = record.intervals.get(metric.name, (math.nan, math.nan))
                spread = f"{metric.number(low)} to {metric.number(high)}" if math.isfinite(low + high) else ""
                value = metric.number(record.metrics[metric.name])
                rows.append([where, metric.title, value, spread, f"{record.clips} of {record.expected}"])
    if rows:
        return table(["set", "metric", "value", "95 % interval", "clips scored"], rows)
    chosen = ", ".join(f"{name} {value:.4g}" for name, value in facts.get("valid", {}).items())
    return f"On the validation set, by which the weights were chosen: {chosen}." if chosen else "Not scored."


def _data(facts: Mapping[str, Any]) -> str:
    pretraining = facts.get("pretraining", {})
    corpora = [
        [str(corpus.get(name, "")) for name in ("name", "licence", "authors")]
        for corpus in facts.get("corpora", pretraining.get("corpora", []))
        if isinstance(corpus, dict)
    ]
    hours = facts.get("provenance", {}).get("pool_hours", pretraining.get("pool_hours"))
    said = []
    if "train_clips" in facts:
        said.append(f"Fine-tuned on {facts['train_clips']} labelled clips.")
    if hours:
        said.append(f"Pretrained without labels on {hours:g} hours.")
    if corpora:
        said.append("Pretraining has heard:\n\n" + table(["corpus", "licence", "authors"], corpora))
    return "\n\n".join(said) or "The file does not say what the model was trained on."
