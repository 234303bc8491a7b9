"""Fine-tuning on utterances with a target for each sequence: the fine-tuner with another batch and loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from asit.data import augment
from asit.errors import AsitError
from asit.tasks.finetuner import FineTuner


class SequenceTuner(FineTuner):
    """Learner around a :class:`asit.models.sequence.SequenceNetwork`.

    Raises:
        AsitError: mixup or roll, after which a target would no longer say what is heard, and when.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, value in (("mixup", self.settings.augmentation.mixup[0]), ("roll", self.settings.augmentation.roll)):
            if value:
                raise AsitError(f"option '{name}': expected 0 for task '{self.task.name}', found {value:g}")

    def losses(self, batch: dict[str, Any], step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The task's loss on the augmented batch of :func:`asit.data.utterances.collate_utterances`."""
        none = torch.empty((len(batch["feats"]), 0), device=batch["feats"].device)  # no shares: nothing is mixed
        x, lengths, _ = augment.augment(
            batch["feats"],
            batch["lengths"],
            none,
            self.settings.augmentation,
            mean=self.mean,
            std=self.std,
            generator=generator,
        )
        found = self._called[0](x, lengths)
        with torch.autocast(x.device.type, enabled=False):
            loss = self.task.loss(found.logits.float(), found.lengths, batch["targets"], batch["target_lengths"])
        return {"loss": loss}
