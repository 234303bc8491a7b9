"""What a fine-tuning run learns from: labelled clips, or utterances with transcripts or events."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from asit import registry
from asit.data.annotations import Annotations
from asit.data.clips import Clips, collate_clips
from asit.data.targets import MultiHot
from asit.data.tokens import Tokens
from asit.data.transcripts import Transcripts
from asit.data.utterances import collate_utterances
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import write_table
from asit.models.trained import Backbone
from asit.runs import detection, recognition, windows
from asit.tasks.decoding import DecodingSettings
from asit.tasks.finetuner import FineTuner
from asit.tasks.sequence_tuner import SequenceTuner

log = logging.getLogger(__name__)


class LabelledClips:
    """The sets of a task on whole clips.

    Attributes: ``task``; ``tuner``, the learner's class; ``collate``, from items to a batch; ``sets``, "train" and
    "valid" by name, as far as the settings name them.
    """

    tuner: type[FineTuner] = FineTuner
    collate = staticmethod(collate_clips)

    def __init__(self, settings: Any, backbone: Backbone, component: Any) -> None:
        self.settings, self.backbone = settings, backbone
        self.task = component.Task(settings.task.settings, self._labels())
        self.sets: dict[str, Any] = {}
        for name, path in (("train", settings.train_dir), ("valid", settings.valid_dir)):
            if path:
                self.sets[name] = self._open(name, path, backbone.front_end.stats)
                log.info("%s: %d of %d clips of %s", name, len(self.sets[name]), self.sets[name].expected, path)

    def _labels(self) -> list[str]:
        return list(DataDir(self.settings.train_dir).labels)

    def _open(self, name: str, path: str, stats: Stats) -> Any:
        settings = self.settings
        return Clips(
            path,
            self.task,
            stats,
            settings.clips.max_missing,
            frames=self.backbone.frames,
            seed=settings.train.seed,
        )

    def drawn(self) -> tuple[int, np.ndarray | None, np.ndarray | None]:
        """For :meth:`asit.train.run.Run.draw`: clips, their weights, their lengths."""
        targets = self.sets["train"].training_targets()
        return len(targets), class_weights(targets) if self.settings.balance_classes else None, None

    def measure(self, network: nn.Module) -> dict[str, float]:
        """The metrics of a network in evaluation mode on the validation set."""
        clips, front_end = self.sets["valid"], self.backbone.front_end
        scores = windows.score(
            network, self.task, clips.whole(), front_end, self.backbone.frames, self.settings.windows
        )
        return self.task.measure(scores, clips.targets)

    def write_left_out(self, out_dir: Path) -> None:
        """List what is not trained on: of clips nothing is left out."""


class Sequences(LabelledClips):
    """The sets of a task on sequences: whole utterances, by their lengths.

    Raises:
        AsitError: an option that is for clips alone.
    """

    tuner = SequenceTuner
    collate = staticmethod(collate_utterances)

    def __init__(self, settings: Any, backbone: Backbone, component: Any) -> None:
        for name, value, only in (
            ("balance_classes", settings.balance_classes, False),
            ("scoring", settings.windows.scoring, "windows"),
        ):
            if value != only:
                raise AsitError(f"option '{name}': task '{settings.task.name}' has no use for it; leave it {only}")
        super().__init__(settings, backbone, component)

    @property
    def _stride(self) -> int:
        """Frames between two time steps."""
        return self.backbone.module.patch_embed.stride[0]

    def drawn(self) -> tuple[int, np.ndarray | None, np.ndarray | None]:
        """See :class:`LabelledClips`."""
        return len(self.sets["train"]), None, self.sets["train"].lengths

    def write_left_out(self, out_dir: Path) -> None:
        """``left_out``: "utt why" of the training utterances that cannot be learned from; no file where there are
        none."""
        left_out = self.sets["train"].left_out
        if left_out:
            log.warning("%d training utterances are left out, listed in %s", len(left_out), out_dir / "left_out")
            write_table(out_dir / "left_out", left_out)
        else:
            (out_dir / "left_out").unlink(missing_ok=True)


class Transcribed(Sequences):
    """The sets of a task on transcripts."""

    def _labels(self) -> list[str]:
        place = Path(self.settings.train_dir, self.settings.task.settings.tokens, "tokens.model")
        self.tokens = Tokens.load(place)
        return self.tokens.names

    def _open(self, name: str, path: str, stats: Stats) -> Any:
        found = Transcripts(path, stats, self.settings.clips.max_missing)
        if name != "train":
            return found
        return found.for_training(self.tokens, self._stride, self.settings.task.settings.leave_out)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """See :class:`LabelledClips`; decoded unit by unit, without a beam."""
        data = self.sets["valid"]
        decode = self.task.decoder(DecodingSettings())
        return self.task.measure(
            recognition.transcripts(network, decode, data.whole(), self.backbone.front_end), data.texts
        )


class Annotated(Sequences):
    """The sets of a task on events.

    Raises:
        AsitError: a set in which nothing happens.
    """

    def _open(self, name: str, path: str, stats: Stats) -> Any:
        found = Annotations(path, stats, self.task.labels, self.settings.clips.max_missing)
        if name == "train":
            shift = self.backbone.front_end.fbank.frame_shift / 1000
            found.for_training(self._stride, shift, self.settings.task.settings.leave_out)
        if not any(found.events):  # F1 prefers any false alarm to none then, and so the lowest threshold
            use = "train on" if name == "train" else "select weights and threshold by"
            raise AsitError(
                f"{found.source}: expected events to {use}, found none in {len(found)} utterances; give --{name}-dir a "
                "set with events" + ", or none" * (name != "train")
            )
        return found

    def measure(self, network: nn.Module) -> dict[str, float]:
        """See :class:`LabelledClips`; at the threshold that is best there."""
        return detection.validate(network, self.task, self.sets["valid"], self.backbone.front_end)


MATERIAL = {"utt2label": LabelledClips, "text": Transcribed, "events": Annotated}  # by the table with the targets


def material(settings: Any, backbone: Backbone) -> LabelledClips:
    """The sets of a run by its task."""
    component = registry.load("tasks", settings.task.name)
    return MATERIAL[component.Task.table](settings, backbone, component)


def class_weights(targets: np.ndarray | MultiHot) -> np.ndarray:
    """Sampling weights (clips,): 1 / class frequency; with several labels a clip their sum, as AST weights AudioSet.
    Clips without a label count as one class more.

    >>> class_weights(np.array([0, 0, 1])).tolist()
    [0.5, 0.5, 1.0]
    """
    if isinstance(targets, MultiHot):
        weights = targets.sums(1.0 / np.maximum(targets.counts(), 1))
    elif targets.ndim == 1:
        return 1.0 / np.bincount(targets)[targets]
    else:
        weights = (targets / np.maximum(targets.sum(axis=0), 1.0)).sum(axis=1)
    return np.where(weights > 0, weights, 1.0 / max(1, int((weights == 0).sum())))
