"""One training step in any mixture of the published way and ours, for step.py.

Every step trains the same network on inputs of the same size; a *lever* is one thing done our way.
"""

from __future__ import annotations

import numpy as np
import torch
from plain import (
    PlainAttention,
    WholeLogits,
    as_published,
    average_one_by_one,
    clip_one_by_one,
    plain_adamw,
    published_corruption,
)
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from asit.config import from_dict
from asit.layers.block import Block, checkpoint_blocks
from asit.methods import asit
from asit.schedules import Constant
from asit.train.clipping import clip_gradients
from asit.train.compiling import compile_blocks
from asit.train.optimizer import Optimizer
from asit.train.param_groups import param_groups
from asit.train.settings import TrainSettings

MELS, LOCAL_FRAMES, LOCAL_CROPS = 128, 192, 4
VARIANTS: dict[str, dict] = {
    "v1": {
        "prototypes": (8192, 1024), "train_gain": False, "rec_bottleneck": 128,
        "loss_weights": (1.0, 1.0, 2.0), "drop_ratio": 0.7,
    },
    "v2": {},
}  # fmt: skip
LEVERS = {
    "bf16": "`--precision auto`: bf16 where the hardware multiplies it",
    "attention": "attention: the kernel by device and precision (no option)",
    "chunked": "local loss a few rows at a time (no option)",
    "adamw": "fused AdamW (no option)",
    "foreach": "clipping and teacher by foreach (no option)",
    "masks": "corruption of a batch on the device (no option)",
}
ALL = frozenset(LEVERS)
COMPILE, GRAPHS, BLOCKS = "compile", "graphs", "blocks"  # beside them: not defaults
PLAIN: frozenset[str] = frozenset()
TOY = {
    "embed_dim": 24, "depth": 1, "heads": 3, "head_hidden": 16, "head_bottleneck": 8, "prototypes": (32,),
    "drop_path": 0.0,
}  # fmt: skip


class Step:
    """A learner with everything around it; calling it makes one update."""

    def __init__(
        self,
        size: str,
        variant: str,
        levers: frozenset[str],
        batch: int,
        device: torch.device,
        frames: int = 592,
        **more: object,
    ) -> None:
        self.levers, self.device = levers, device
        torch.manual_seed(0)
        settings = from_dict(asit.Settings, {"size": size, **VARIANTS[variant], **more})
        with device:  # drawing the weights of base takes a GPU no time, a CPU seconds
            self.learner = asit.build(settings, frames, MELS, 1000, 100).train()
        published = {"attention": PlainAttention, "chunked": WholeLogits}
        as_published(self.learner, *(kind for lever, kind in published.items() if lever not in levers))
        if BLOCKS in levers:
            checkpoint_blocks(self.learner)
        if COMPILE in levers:
            compile_blocks(self.learner)
        if GRAPHS in levers:
            for block in (child for child in self.learner.modules() if isinstance(child, Block)):
                block.compile(mode="reduce-overhead")
        self.masking = settings.masking.settings
        groups = param_groups(self.learner.trained_module())
        self.optimizer = Optimizer(groups, TrainSettings(), Constant(1e-4), Constant(0.04))
        self.plain = plain_adamw([{"params": g["params"], "weight_decay": 0.04 * g["decay"]} for g in groups])
        self.generator = torch.Generator(device).manual_seed(0)
        self.random = np.random.default_rng(0)
        draw = torch.Generator().manual_seed(1)
        self.crops = 0.5 * torch.randn(2, batch, 1, frames, MELS, generator=draw)
        self.batch: dict[str, object] = {"global_crops": self.crops.to(device)}
        if variant == "v2":
            local = 0.5 * torch.randn(LOCAL_CROPS, batch, 1, LOCAL_FRAMES, MELS, generator=draw)
            self.batch["local_crops"] = local.to(device)

    def losses(self, step: int = 200) -> dict[str, Tensor]:
        """Forward pass, with masks by either way."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled="bf16" in self.levers):
            if "masks" in self.levers:
                return self.learner.losses(self.batch, step, self.generator)
            ratios = self.masking.drop_ratio, self.masking.replace[0]
            views = [published_corruption(view.numpy(), *ratios, self.random) for view in self.crops]
            corrupted, mask = (torch.from_numpy(np.concatenate(x)).to(self.device) for x in zip(*views, strict=True))
            clean = self.batch["global_crops"].flatten(0, 1)
            return self.learner.losses_of_views(clean, corrupted, mask, self.batch.get("local_crops"), step)

    def __call__(self, step: int = 200) -> None:
        """One update."""
        if GRAPHS in self.levers:
            torch.compiler.cudagraph_mark_step_begin()
        student, teacher = self.learner.student, self.learner.teacher
        self.optimizer.zero_grad()
        self.losses(step)["loss"].backward()
        if "foreach" in self.levers:
            clip_gradients(self.optimizer.gradients(), 3.0)
        else:
            clip_one_by_one(student.parameters(), 3.0)
        self.learner.before_update(step)
        if "adamw" in self.levers:
            self.optimizer.update(step, torch.zeros((), device=self.device))
        else:
            self.plain.step()
        if "foreach" in self.levers:
            self.learner.after_update(step, torch.zeros((), device=self.device))
        else:
            momentum = self.learner.teacher_momentum[step]
            average_one_by_one(teacher.network.parameters(), student.parameters(), momentum)


def flop(size: str, variant: str, batch: int, device: torch.device | str = "cpu", **more: object) -> float:
    """Floating-point operations of a step's matrix products, counted on one clip."""
    step = Step(size, variant, PLAIN, 1, torch.device(device), **more)
    with FlopCounterMode(display=False) as counter:
        step.losses()["loss"].backward()
    return batch * counter.get_total_flops()


def difference(size: str, variant: str, levers: frozenset[str], batch: int, device: torch.device) -> float:
    """Largest absolute difference of a loss between the plain step and another at the same weights and masks."""
    values = []
    for chosen in (PLAIN, levers):
        step = Step(size, variant, chosen, batch, device, drop_path=0.0)
        generator = torch.Generator().manual_seed(3)
        views = [step.learner._corrupt(view.cpu(), step.masking, generator) for view in step.batch["global_crops"]]
        corrupted, mask = (torch.cat(x).to(device) for x in zip(*views, strict=True))
        local, clean = step.batch.get("local_crops"), step.batch["global_crops"].flatten(0, 1)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled="bf16" in chosen):
            losses = step.learner.losses_of_views(clean, corrupted, mask, local, 200)
        values.append([losses[name].item() for name in ("global", "local", "reconstruction", "loss")])
    return max(abs(a - b) for a, b in zip(*values, strict=True))
