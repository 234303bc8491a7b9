"""Whether the forward pass runs in bfloat16."""

from __future__ import annotations

import torch

CHOICES = ("auto", "bf16", "fp32")


def use_bf16(precision: str, device: torch.device) -> bool:
    """The decision for ``precision`` (one of CHOICES) on a device.

    "auto" takes bfloat16 where the hardware multiplies it: recent GPUs, CPUs with AMX tiles (about twice as fast as
    float32 there) and CPUs with AVX512-BF16 (AMD since Zen 4: 1.6 times). Elsewhere bfloat16 is emulated and slower, so
    float32 is taken.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch before 2.10 cannot tell: float32
    return any(capabilities.get(unit, False) for unit in ("amx_bf16", "avx512_bf16"))
