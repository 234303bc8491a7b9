"""A learner small enough to train in milliseconds, with what a real one has: teacher, centre, dropout, masking."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from asit.data.loader import Batches
from asit.data.sampler import BatchPlan
from asit.layers.ema import move
from asit.train.distributed import average_


class SmallLearner(nn.Module):
    """Predicts a teacher's output of clean vectors from corrupted ones. ``noise`` 0: no randomness at all."""

    def __init__(self, width: int = 8, noise: float = 0.3, center_momentum: float = 0.9) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.student = nn.Sequential(nn.Linear(width, 16), nn.GELU(), nn.Dropout(noise), nn.Linear(16, 4))
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.register_buffer("center", torch.zeros(4))
        self.noise, self.center_momentum, self._wrapped = noise, center_momentum, ()

    def train(self, mode: bool = True):
        super().train(mode)
        self.teacher.eval()
        return self

    def trained_module(self):
        return self.student

    def wrap(self, module):
        self._wrapped = (module,)

    def losses(self, batch, step, generator):
        student = self._wrapped[0] if self._wrapped else self.student
        x = batch["x"]
        mask = torch.rand(x.shape, generator=generator, device=x.device) < self.noise
        output = student(x.masked_fill(mask, 0)).float()
        with torch.no_grad():
            target = self.teacher(x).float()
            mean = average_(target.mean(0))
        loss = ((output - (target - self.center)) ** 2).mean() + (output.mean(1) - x.mean(1)).abs().mean()
        with torch.no_grad():
            self.center.lerp_(mean, 1 - self.center_momentum)
        return {"loss": loss, "size": output.abs().mean()}

    def before_update(self, step):
        if step < 2:
            self.student[0].weight.grad = None

    def after_update(self, step, bad):
        move(self.teacher.parameters(), self.student.parameters(), 0.05, bad)

    def pictures(self, batch, step):
        return {"x": np.zeros((4, 6), np.uint8)}


class Vectors:
    """Clip i is a vector that depends on i and on the number of the sample. ``bad``: clips that are NaN."""

    def __init__(self, count: int, bad: tuple[int, ...] = ()) -> None:
        self.count, self.bad = count, bad

    def __getitem__(self, key):
        index, number = key
        x = np.random.default_rng((index, number)).standard_normal(8).astype(np.float32)
        if index in self.bad:
            x[:] = np.nan
        return {"x": torch.from_numpy(x), "utt": f"utt{index:03d}", "number": number}


def collate(items):
    return {
        "x": torch.stack([i["x"] for i in items]),
        "utts": [i["utt"] for i in items],
        "numbers": [i["number"] for i in items],
    }


def small_batches(count=50, bad=(), workers=0, **plan) -> Batches:
    plan = {"batch_size": 8, "seed": 3, **plan}
    return Batches(Vectors(count, bad), BatchPlan(count, **plan), collate, num_workers=workers, prefetch=2)
