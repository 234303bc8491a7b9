"""Clip embeddings, of a fine-tuned model or of a bare backbone: what asit-embed, asit-knn and asit-verify share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from asit.config import group, option
from asit.data.features import Features
from asit.errors import AsitError
from asit.models import model_file
from asit.models.classifier import Classifier, HeadSettings, PoolSettings
from asit.models.trained import FrontEnd, TrainedModel, check_front_end, load_backbone, load_model
from asit.runs import windows
from asit.runs.windows import WindowSettings
from asit.seeding import derive
from asit.train.distributed import pick_device
from asit.train.processes import use_threads


@dataclass(frozen=True)
class EmbedderSettings(PoolSettings):
    """From clip to embedding. A fine-tuned model has its own pooling, layer and window: what is said of them here,
    and of random weights, is for a bare backbone."""

    crop_frames: int = option(0, "frames of a window; 0: as in pretraining", least=0)
    from_scratch: bool = option(False, "use random weights, as a control without training")
    seed: int = option(0, "seed of the random weights")
    ngpu: int | None = option(None, "GPUs to use; 0: CPU; none: one if there is one, else CPU")
    threads: int = option(0, "CPU threads; 0: all cores")
    windows: WindowSettings = group(WindowSettings)


class Embedder:
    """A network in evaluation mode that gives one vector a clip: the mean over the clip's windows.

    Args:
        path: ``model.safetensors`` of asit-finetune or ``backbone.safetensors`` of asit-pretrain.

    Attributes: ``network``, a classifier; its ``front_end`` and the ``frames`` of its window; ``trained``, the
    fine-tuned model, None for a backbone; ``tags``, empty for a backbone; ``metadata``.

    Raises:
        AsitError: not such a file, a probe layer that the backbone does not have, or ``from_scratch`` with a
            fine-tuned model.
    """

    def __init__(self, path: str, settings: EmbedderSettings, device: torch.device | None = None) -> None:
        if device is None:  # a command's
            use_threads(settings.threads, 1)
        self.path, self.settings, self.device = path, settings, device or pick_device(settings.ngpu)
        self.metadata: dict[str, Any] = model_file.load_metadata(path)
        self.tags: dict[str, str] = {}
        self.front_end: FrontEnd
        self.trained: TrainedModel | None = None
        if self.metadata.get("kind") == "classifier":
            if settings.from_scratch:
                raise AsitError(f"{path}: --from-scratch is for a bare backbone, found a fine-tuned model")
            self.trained = model = load_model(path, self.device)
            self.network, self.front_end = model.classifier, model.front_end
            self.frames, self.tags = model.frames, model.tags
            return
        torch.manual_seed(derive(settings.seed, "weights"))
        backbone = load_backbone(
            path, from_scratch=settings.from_scratch, drop_path=0.0, crop_frames=settings.crop_frames
        )
        head = HeadSettings(settings.pooling, settings.pool_slices, settings.probe_layer)
        self.network = Classifier(backbone.module, 2, head).eval().to(self.device)
        self.front_end, self.frames = backbone.front_end, backbone.frames

    def open(self, data_dir: str) -> Features:
        """The features of a data directory, after a look at how they were made.

        Raises:
            AsitError: another front end than the network's; names the option, the expected and the found value.
        """
        check_front_end(self.front_end, data_dir, self.path)
        return Features(data_dir, self.front_end.stats)

    @torch.inference_mode()
    def vectors(self, feats: Iterable[np.ndarray], layer: int | None = None) -> np.ndarray:
        """Embeddings (clips, D) float32 of log-mel features (T, F), not normalised; ``layer`` as in Classifier.embed.

        Raises:
            AsitError: no clips.
        """
        return windows.apply(
            lambda x, n: self.network.embed(x, n, layer),
            feats,
            self.front_end,
            self.frames,
            self.settings.windows,
            self.device,
        )


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Rows (n, D) divided by their Euclidean norm, so that dot products are cosines; a row of zeros stays.

    >>> unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)
