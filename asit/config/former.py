"""Options of earlier versions: what an error says of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from asit.errors import excerpt, nearest

_NOW = {
    "patch_frames": "the first number of patch",
    "patch_mels": "the second number of patch",
    "stride_frames": "the first number of stride",
    "stride_mels": "the second number of stride",
    "mlp_ratio": "4 in any case",
    "position_fit": "interpolation in any case",
    "replace_ratio": "the first number of replace",
    "replace_prob": "the second number of replace",
    "align_frames": "the first number of align",
    "align_mels": "the second number of align",
    "cls_prototypes": "the first number of prototypes",
    "patch_prototypes": "the second number of prototypes",
    "global_weight": "the first number of loss_weights",
    "local_weight": "the second number of loss_weights",
    "reconstruction_weight": "the third number of loss_weights",
    "teacher_temp_start": "the first number of teacher_temp",
    "teacher_temp_epochs": "the third number of teacher_temp (instead of 0: the end alone)",
    "mixup_alpha": "the second number of mixup",
    "freq_mask": "the first number of spec_augment",
    "time_mask": "the second number of spec_augment",
    "eval_batch": "a constant, BATCH of asit/runs/windows.py",
    "num_procs": "the second number of ngpu, as in 0 2",
    "lr_batch": "the second number of lr (without it the rate is as given)",
    "lr_schedule": "lr_factor (none: cosine, 1: constant, three numbers: steps)",
    "lr_factor_from": "the second number of lr_factor",
    "lr_factor_every": "the third number of lr_factor",
    "clip_mode": "the second number of clip_grad, for the norm of all together",
    "warmup_epochs": "warmup (below 1: share of the run)",
    "warmup_steps": "warmup (1 or more: updates)",
    "save_minutes": "the first number of save",
    "save_every": "the second number of save",
    "bad_steps": "a constant, BAD_STEPS of asit/train/guard.py",
}


def concerns(name: str, known: Iterable[str]) -> bool:
    """Whether this is an option of earlier versions whose place one of the known ones has taken."""
    return bool(set(re.findall(r"[a-z_]+", _NOW.get(name, ""))) & set(known))


def hint(name: str, known: Iterable[str], spelled: Callable[[str], str] = str) -> str:
    """The end of a message about an unknown option: what replaced it, or the nearest known name, as ``spelled``."""
    if name in _NOW:
        return f"it is now {_NOW[name]}"
    return nearest(spelled(excerpt(name)), map(spelled, known))
