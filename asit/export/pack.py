"""A model as model hubs keep one: a folder of its file, config.json and a card, which asit loads by its name."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from asit.config import REQUIRED, Options, option
from asit.errors import AsitError
from asit.export.card import card, pipeline
from asit.export.facts import described
from asit.io.atomic import atomic_folder
from asit.models import heads
from asit.models.shipped import IN_FOLDERS, located
from asit.recipes import record
from asit.recipes.record import Record
from asit.runs.model import Model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackSettings(Options):
    """Make a folder of a model for a model hub: its file, config.json, and a card with results, data and licence."""

    model: str = option(REQUIRED, "model.safetensors, backbone.safetensors, asit-tiny")
    out: str = option(REQUIRED, "folder to make; its name is the model's")
    licence: str = option("", "SPDX name of the licence, such as apache-2.0; empty: the one that the file names")
    scores: tuple[str, ...] = option(
        (), "folders with metrics.json of asit-evaluate to tell of; none: those in the model's own folder"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.licence and not re.fullmatch(r"[A-Za-z0-9.+-]+", self.licence):
            raise AsitError(f"option 'licence': expected an SPDX name such as apache-2.0, found '{self.licence}'")


def pack(settings: PackSettings) -> list[str]:
    """Write the folder; returns the names of its files.

    Raises:
        AsitError: no such model, no licence, no or damaged scores, or a folder that is there already.
    """
    model = Model(settings.model)
    licence = settings.licence or model.metadata.get("licence", "")
    theirs = model.metadata.get("pretraining", {}).get("licence", "")
    if not licence:
        told = f"; its backbone has {theirs}" if theirs else ""
        raise AsitError(f"{settings.model}: names no licence{told}; say yours, such as --licence apache-2.0")
    if "-SA-" in theirs and licence.upper() != theirs.upper():
        log.warning(
            "%s: its backbone is under %s, which whatever is made from it keeps; the card says %s: take --licence %s, "
            "or ask the backbone's owners",
            *(settings.model, theirs, licence, theirs),
        )
    source = located(settings.model)
    scores = _scores(settings.scores, Path(source).parent, model.metadata.get("tags", {}).get("task", ""))
    name = os.path.basename(os.path.normpath(os.path.abspath(settings.out)))
    with atomic_folder(settings.out) as folder:
        file = folder / IN_FOLDERS[0 if model.task else 1]
        shutil.copyfile(source, file)
        if os.path.isfile(heads.beside(source)):
            shutil.copyfile(heads.beside(source), heads.beside(file))
        config = {
            "model_type": "asit",
            "pipeline_tag": pipeline(model),
            "file": file.name,
            "licence": licence,
            "model": model.metadata["model"],
            "model_settings": model.metadata["model_settings"],
            "id2label": dict(enumerate(model.metadata.get("labels", []))),
            "asit": described(model),
        }
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
        (folder / "README.md").write_text(card(model, name, licence, scores), encoding="utf-8")
        return sorted(path.name for path in folder.iterdir())


def _scores(folders: tuple[str, ...], beside: Path, task: str) -> dict[str, Record]:
    """By the names of their folders; of those beside the model, which are all taken unless some are given, not what a
    language model has helped with: it is not in the pack."""
    given = [Path(folder, record.NAME) for folder in folders]
    found = {path: record.load(path) for path in given or sorted(beside.glob(f"*/{record.NAME}"))}
    helped = f"{task}, "  # the table of another decoding
    return {
        path.absolute().parent.name: one
        for path, one in found.items()
        if given or not one.tags.get("task", "").startswith(helped)
    }
