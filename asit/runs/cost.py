"""How long a pretraining will take on this machine, from a few updates on noise.

B clips, L local crops a clip, T and t frames of global and local crops, F mel bins.
"""

from __future__ import annotations

import time

import torch

from asit.runs.pretrain import PretrainSettings, build_learner
from asit.train.distributed import pick_device
from asit.train.param_groups import param_groups
from asit.train.precision import use_bf16

UPDATES = 3


def seconds_per_update(settings: PretrainSettings, mels: int) -> float:
    """Seconds of one update (forward, backward, optimiser) after a first one that warms up, without reading data.

    Raises:
        AsitError: sizes that do not fit each other.
    """
    train, crops = settings.train, settings.crops
    torch.set_num_threads(train.threads or torch.get_num_threads())
    device = pick_device(train.gpus)
    learner = build_learner(settings, mels, UPDATES + 1, UPDATES + 1)
    learner.to(device).train()
    optimizer = torch.optim.AdamW(param_groups(learner.trained_module()), lr=1e-4, fused=True)
    shape = (train.batch_size, 1)
    batch = {"global_crops": torch.randn(2, *shape, crops.global_frames, mels, device=device)}
    if crops.local_crops:
        batch["local_crops"] = torch.randn(crops.local_crops, *shape, crops.local_frames, mels, device=device)
    generator = torch.Generator(device=device)
    began = 0.0
    for update in range(UPDATES + 1):
        with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(train.precision, device)):
            loss = learner.losses(batch, update, generator)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        learner.after_update(update, torch.zeros((), device=device))
        float(loss.detach())  # waits for a GPU
        began = began or time.perf_counter()  # after the first update
    return train.accum * (time.perf_counter() - began) / UPDATES
