"""Fine-tuning as a learner of the training loop: augmentation, loss, running average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from asit.config import Options, group, option
from asit.data import augment
from asit.errors import AsitError
from asit.layers.ema import move
from asit.models.classifier import Classifier, mask_needed

EMA_DECAY = 0.999  # of the moving average; smaller over the first updates


class TaskLoss(Protocol):
    """What fine-tuning needs of a task of ``asit.tasks``."""

    def soft(self, targets: Tensor) -> Tensor:
        """Shares (B, C), the form that mixup blends."""
        ...

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """A scalar."""
        ...


@dataclass(frozen=True)
class FineTunerSettings(Options):
    """Augmentation and weight averaging of a fine-tuning run."""

    augmentation: augment.Settings = group(augment.Settings)
    average: str = option(
        "none",
        "weights that are evaluated and kept: the last, their moving average, or the mean over the run's tail, of all "
        "updates or of the ends of epochs (AST)",
        ["none", "ema", "tail", "epochs"],
    )
    tail_from: float = option(0.5, "share of the updates after which the tail begins", least=0, below=1)


class FineTuner(nn.Module):
    """Learner (see :mod:`asit.train.learner`) around a :class:`Classifier`.

    Args:
        mean, std: of the corpus, in natural-log mel energy; mixup adds energies and gain is in dB.
        steps: updates of the whole run, for the start of the tail's mean.
        steps_per_epoch: updates of an epoch, for the mean over the ends of epochs.

    Raises:
        AsitError: the mean over the ends of epochs of a run whose tail has none.
    """

    def __init__(
        self,
        classifier: Classifier,
        task: TaskLoss,
        settings: FineTunerSettings,
        *,
        mean: float,
        std: float,
        steps: int,
        steps_per_epoch: int = 1,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.averaged = copy.deepcopy(classifier).requires_grad_(False) if settings.average != "none" else None
        self.register_buffer("averaged_updates", torch.zeros((), dtype=torch.int64))
        self.task, self.settings = task, settings
        self.mean, self.std = mean, std
        self.tail_start = int(settings.tail_from * steps + 1e-6)  # 0.6 x 5 epochs are 3 epochs
        self.steps_per_epoch = steps_per_epoch
        if settings.average == "epochs" and steps // steps_per_epoch == self.tail_start // steps_per_epoch:
            raise AsitError(
                f"option 'average': no epoch of {steps_per_epoch} updates ends between update {self.tail_start} and "
                f"the last, {steps}: lower --tail-from or --epoch-samples, raise --epochs, or use --average tail"
            )
        self._called = (classifier,)  # a tuple keeps DDP's wrapper out of the module tree

    def trained_module(self) -> nn.Module:
        """The classifier."""
        return self.classifier

    def wrap(self, module: nn.Module) -> None:
        """Call ``module``, which wraps the classifier, from now on."""
        self._called = (module,)

    def losses(self, batch: dict[str, Any], step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The task's loss on the augmented batch.

        ``batch``: feats (B, 1, T, F) float32 normalised, lengths (B,) int64, targets as the task gives them.
        """
        x, lengths, targets = augment.augment(
            batch["feats"],
            batch["lengths"],
            self.task.soft(batch["targets"]),
            self.settings.augmentation,
            mean=self.mean,
            std=self.std,
            generator=generator,
        )
        logits = self._called[0](x, mask_needed(lengths, x.shape[2]))
        with torch.autocast(x.device.type, enabled=False):
            return {"loss": self.task.loss(logits.float(), targets)}

    def before_update(self, step: int) -> None:
        """Nothing to do."""

    @torch.no_grad()
    def after_update(self, step: int, bad: Tensor) -> None:
        """Move the average of the weights, unless the update was skipped. The end of an epoch counts in any case: its
        weights are those of the last good update."""
        if self.averaged is None:
            return
        mine, current = list(self._trained(self.averaged)), list(self._trained(self.classifier))
        if self.settings.average == "ema":
            share = 1.0 - min(EMA_DECAY, (1.0 + step) / (10.0 + step))
        elif self.settings.average == "epochs":
            before, ended = self.tail_start // self.steps_per_epoch, (step + 1) // self.steps_per_epoch
            if ended > before and (step + 1) % self.steps_per_epoch:
                return  # between two ends: the mean stays
            share, bad = 1.0 / max(1, ended - before), torch.zeros_like(bad)
        else:  # the tail's mean: a plain copy until the tail begins
            share = 1.0 / max(1, step - self.tail_start + 1)
        move(mine, current, share, bad)
        self.averaged_updates += 1 - bad.to(torch.int64)

    def pictures(self, batch: dict[str, Any], step: int) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def evaluated(self) -> Classifier:
        """The classifier whose weights are evaluated and kept: the average where there is one."""
        return self.classifier if self.averaged is None else self.averaged

    def _trained(self, module: nn.Module) -> Iterator[Tensor]:
        names = [name for name, p in self.classifier.named_parameters() if p.requires_grad]
        parameters = dict(module.named_parameters())
        return (parameters[name].data for name in names)
