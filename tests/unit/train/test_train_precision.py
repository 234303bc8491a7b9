"""Where the forward pass runs in bfloat16."""

from __future__ import annotations

import pytest
import torch

from asit.train.precision import use_bf16


@pytest.mark.parametrize(
    ("unit", "expected"), [("amx_bf16", True), ("avx512_bf16", True), ("avx512_f", False), ("avx2", False)]
)
def test_auto_takes_bfloat16_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, unit: str, expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": False, unit: True}, raising=False)
    cpu = torch.device("cpu")
    assert use_bf16("auto", cpu) is expected
    assert use_bf16("bf16", cpu)
    assert not use_bf16("fp32", cpu)
