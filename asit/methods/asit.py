"""ASiT: group masked model learning with local and global self-distillation (arXiv 2211.13189).

The student sees corrupted global views (and clean local ones), the teacher the clean global views. Three
losses: reconstruction of the corrupted bins, distillation at every patch position (local) and of the class
token across views (global). Both released variants are settings of this one class.

B clips, T frames, F mel bins, N patches, D width, K prototypes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asit import registry
from asit.config import Chosen, Options, chosen, option
from asit.errors import AsitError
from asit.features.picture import Axes, pixels
from asit.layers.heads import ProjectionHead, ReconstructionHead
from asit.losses.global_distillation import GlobalDistillation
from asit.losses.local_distillation import LocalDistillation
from asit.losses.reconstruction import Reconstruction
from asit.methods._monitor import entropy_warnings
from asit.methods._network import PretrainingNetwork
from asit.methods._pictures import reconstruction_figure
from asit.methods._teacher import EmaTeacher
from asit.models import vit
from asit.models.imagenet import load_imagenet
from asit.schedules import Cosine, EpochRamp


@dataclass(frozen=True)
class Settings(Options):
    """ASiT. The defaults are the second released variant (v2)."""

    model: Chosen = chosen("models", "vit", "backbone")
    masking: Chosen = chosen("masking", "gmml", "corruption of the student's global views")
    head_hidden: int = option(2048, "hidden width of the projection head", least=1)
    head_bottleneck: int = option(256, "width that is L2-normalised before the prototypes", least=1)
    prototypes: tuple[int, ...] = option(
        (8192,),
        "prototypes K of the class token and of the patch tokens; one number: one layer serves both (v2)",
        least=2,
        counts=(1, 2),
    )
    train_gain: bool = option(True, "train the gain of the weight-normed last layer (v2) or fix it at 1 (v1)")
    patch_share: float = option(
        1.0, "share of the patch tokens, drawn at random, that is projected and distilled", above=0, most=1
    )
    rec_bottleneck: int = option(0, "last width of the reconstruction head; 0: D (v2); v1 has 128", least=0)
    reconstruct_all: bool = option(False, "reconstruct every bin instead of the corrupted ones")
    loss_weights: tuple[float, ...] = option(
        (0.5, 0.5, 1.0),
        "weights of the global loss, the local loss and the reconstruction; v1 1 1 2, v2 0.5 0.5 1",
        least=0,
        counts=(3,),
    )
    teacher_temp: tuple[float, ...] = option(
        (0.04, 0.07, 5),
        "temperature of the teacher's softmax; of three numbers: start, end, epochs of the linear ramp (v1 30, v2 5)",
        above=0,
        counts=(1, 3),
    )
    teacher_momentum: float = option(0.996, "momentum of the teacher at the start; cosine to 1", least=0, most=1)
    freeze_last_layer: int = option(1, "epochs during which the prototypes are not trained", least=0)
    imagenet: str | None = option(
        None, "timm's file of ImageNet ViT weights to start from (v2, optional); docs/export.md says where from"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for epochs in self.teacher_temp[2:]:
            if not epochs.is_integer():
                raise AsitError(f"option 'teacher_temp': expected whole epochs as the last number, found {epochs:g}")


def build(settings: Settings, frames: int, mels: int, steps: int, steps_per_epoch: int) -> ASiT:
    """The learner for global crops of ``frames`` x ``mels`` in a run of ``steps`` updates.

    Raises:
        AsitError: sizes that do not fit.
    """
    return ASiT(settings, frames, mels, steps, steps_per_epoch)


class ASiT(nn.Module):
    """Student, teacher and losses; a Learner of the training loop. Use :func:`build`."""

    def __init__(self, settings: Settings, frames: int, mels: int, steps: int, steps_per_epoch: int) -> None:
        super().__init__()
        self.settings = settings
        self.steps = steps
        self.steps_per_epoch = steps_per_epoch
        self.student = _network(settings, frames, mels)
        self.teacher = EmaTeacher(self.student)
        self.distils = any(settings.loss_weights[:2])
        if not self.distils:  # no gradient will come: neither the optimiser nor DDP is to wait for one
            self.student.projection.requires_grad_(False)
        cls_prototypes, patch_prototypes = settings.prototypes[0], settings.prototypes[-1]
        self.global_loss = GlobalDistillation(cls_prototypes)
        self.local_loss = LocalDistillation(patch_prototypes)
        self.reconstruction_loss = Reconstruction(settings.reconstruct_all)
        self.ln_k = {"cls": math.log(cls_prototypes), "patch": math.log(patch_prototypes)}
        start, end, epochs = settings.teacher_temp if len(settings.teacher_temp) > 1 else settings.teacher_temp * 3
        self.teacher_temp = EpochRamp(start, end, int(epochs), steps_per_epoch)
        self.teacher_momentum = Cosine(settings.teacher_momentum, 1.0, steps)  # to 1, as in DINO
        self.axes = Axes()  # of pictures; a run sets seconds and Hz
        self._corrupt = registry.load("masking", settings.masking.name).corrupt
        self._wrapped: tuple[nn.Module] = (self.student,)  # a tuple hides DDP's wrapper from state_dict

    def trained_module(self) -> nn.Module:
        """The student: what is optimised and what DDP wraps."""
        return self.student

    def wrap(self, module: nn.Module) -> None:
        """Receive the wrapped student, which ``losses`` calls from now on."""
        self._wrapped = (module,)

    def backbone(self, which: str) -> vit.VisionTransformer:
        """The ViT of the "student" or the "teacher"."""
        return (self.student if which == "student" else self.teacher.network).backbone

    def reconstruction(self, which: str) -> ReconstructionHead:
        """What fills the holes in what :meth:`backbone` sees."""
        return (self.student if which == "student" else self.teacher.network).reconstruction

    def losses(self, batch: Mapping[str, Any], step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The total loss and its parts for one batch; moves the centres.

        Args:
            batch: ``global_crops`` (2, B, 1, T, F), optionally ``local_crops`` (L, B, 1, t, F), normalised.
            step: optimiser updates done so far.
            generator: source of the corruption and of the choice of patch tokens.
        """
        views = batch["global_crops"]
        corrupted = [self._corrupt(view, self.settings.masking.settings, generator) for view in views]
        clips, mask = torch.cat([c.clips for c in corrupted]), torch.cat([c.mask for c in corrupted])
        return self.losses_of_views(views.flatten(0, 1), clips, mask, batch.get("local_crops"), step, generator)

    def losses_of_views(
        self,
        clean: Tensor,
        corrupted: Tensor,
        mask: Tensor,
        local: Tensor | None,
        step: int,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """As :meth:`losses`, with the corruption given: clean, corrupted and mask are (2 * B, 1, T, F), view after
        view; local is (L, B, 1, t, F) or None."""
        if not self.distils:
            return self._reconstruction_alone(clean, corrupted, mask)
        settings, temperature = self.settings, self.teacher_temp[step]
        kept = self._kept_tokens(clean, generator)
        with torch.no_grad():
            teacher = self.teacher.network(clean, kept=kept, reconstruct=False)
        student = self._wrapped[0](corrupted, None if local is None else local.flatten(0, 1), kept)
        views = 2 if local is None else 2 + len(local)
        with torch.autocast(clean.device.type, enabled=False):  # the losses stay in float32
            global_ = self.global_loss(student.cls, teacher.cls, views, temperature)
            local_ = self.local_loss(student.patches, teacher.patches, temperature)
            reconstruction = self.reconstruction_loss(student.reconstruction, clean, mask)
            weights = settings.loss_weights
            total = weights[0] * global_["loss"] + weights[1] * local_["loss"] + weights[2] * reconstruction
        return {
            "loss": total,
            "global": global_["loss"].detach(),
            "local": local_["loss"].detach(),
            "reconstruction": reconstruction.detach(),
            "entropy_cls": global_["entropy"],
            "entropy_of_mean_cls": global_["mean_entropy"],
            "entropy_patch": local_["entropy"],
            "entropy_of_mean_patch": local_["mean_entropy"],
            **{f"ln_k_{kind}": total.new_tensor(most) for kind, most in self.ln_k.items()},  # the entropies' ceiling
        }

    def _reconstruction_alone(self, clean: Tensor, corrupted: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """With both distillations' weights 0: no pass of the teacher, of the projection head and of local views."""
        output = self._wrapped[0](corrupted, project=False).reconstruction
        with torch.autocast(clean.device.type, enabled=False):
            loss = self.reconstruction_loss(output, clean, mask)
        return {"loss": self.settings.loss_weights[2] * loss, "reconstruction": loss.detach()}

    def before_update(self, step: int) -> None:
        """Freeze the prototypes for the first epochs: no gradient, so that the optimiser leaves them alone."""
        if step < self.settings.freeze_last_layer * self.steps_per_epoch:
            for name, parameter in self.student.named_parameters():
                if "last_layer" in name:
                    parameter.grad = None

    def after_update(self, step: int, bad: Tensor) -> None:
        """Move the teacher, unless the update was skipped."""
        self.teacher.update(self.student, self.teacher_momentum[step], bad)

    def warnings(self, logged: Mapping[str, float], step: int) -> list[str]:
        """Signs of collapse or of a teacher that teaches nothing, from the logged means."""
        return entropy_warnings(logged, self.ln_k, step, self.steps) if self.distils else []

    @torch.no_grad()
    def pictures(self, batch: Mapping[str, Any], step: int) -> dict[str, np.ndarray]:
        """Clean, corrupted and reconstructed spectrograms of the first clips, by the student without drop path."""
        clips = batch["global_crops"][0]
        generator = torch.Generator(clips.device).manual_seed(step)
        corrupted = self._corrupt(clips, self.settings.masking.settings, generator)
        training = self.student.training
        output = self.student.eval()(corrupted.clips[:3]).reconstruction
        self.student.train(training)
        shown = (clips[:3], corrupted.clips[:3], corrupted.mask[:3], output)
        return {"reconstruction": pixels(reconstruction_figure(*shown, self.axes))}

    def _kept_tokens(self, clips: Tensor, generator: torch.Generator | None) -> Tensor | None:
        """int64 (2 * B, n): a random share of the patch positions of each clip."""
        if self.settings.patch_share == 1:
            return None
        rows, columns = self.student.backbone.patch_embed.grid(*clips.shape[-2:])
        count = max(1, round(self.settings.patch_share * rows * columns))
        device = clips.device if generator is None else generator.device
        draw = torch.rand(len(clips), rows * columns, generator=generator, device=device)
        return draw.topk(count, dim=1).indices.to(clips.device)


def _network(settings: Settings, frames: int, mels: int) -> PretrainingNetwork:
    backbone = registry.load("models", settings.model.name).build(settings.model.settings, frames, mels)
    patch, stride = backbone.patch_embed.patch, backbone.patch_embed.stride
    for side, p, s, name in zip((frames, mels), patch, stride, ("frames", "mel bins"), strict=True):
        if (side - p) % s:
            raise AsitError(
                f"crops of {side} {name} cannot be reconstructed from patches of {p} with stride {s}: "
                f"the last {(side - p) % s} would be lost; choose a crop of {p} + a multiple of {s}"
            )
    if settings.imagenet:
        load_imagenet(backbone, settings.imagenet)
    width = backbone.embed_dim
    projection = ProjectionHead(
        width,
        settings.head_hidden,
        settings.head_bottleneck,
        settings.prototypes,
        settings.train_gain,
    )
    reconstruction = ReconstructionHead(width, width, settings.rec_bottleneck or width, patch, stride)
    for head in (projection, reconstruction):
        head.apply(vit.init_weights)
    return PretrainingNetwork(backbone, projection, reconstruction)
