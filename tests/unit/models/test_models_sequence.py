"""What an utterance gives is its own: not the batch's, not the padding's, and of long ones never more than a window."""

from __future__ import annotations

import math

import pytest
import torch

from asit.models import sequence, vit
from asit.models.classifier import HeadSettings
from asit.models.sequence import SequenceNetwork, window_plan

FRAMES, MELS, K = 40, 8, 5
FULL_BAND = {"patch": (4, 0)}
GRIDS = {
    "full band": FULL_BAND,
    "overlapping": {"patch": (4, 0), "stride": (2, 0)},
    "two bands": {"patch": (8, 4)},
}


def network(bands: str = "concat", freeze: bool = False, **sizes) -> SequenceNetwork:
    torch.manual_seed(0)
    settings = vit.Settings(size="tiny", embed_dim=24, depth=2, heads=2, drop_path=0.0, **(sizes or FULL_BAND))
    backbone = vit.build(settings, FRAMES, MELS)
    torch.nn.init.normal_(backbone.pos_embed)  # so that a wrong position is seen
    return SequenceNetwork(backbone, K, HeadSettings(freeze_backbone=freeze), bands).eval()


def utterances(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 1, length, MELS, generator=generator) for length in lengths]


def together(some: list[torch.Tensor], padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """One batch, with something other than silence where nothing is."""
    lengths = torch.tensor([x.shape[2] for x in some])
    batch = torch.full((len(some), 1, int(lengths.max()) + padding, MELS), 1e3)
    for row, x in zip(batch, some, strict=True):
        row[:, : x.shape[2]] = x[0]
    return batch, lengths


@pytest.mark.parametrize("bands", sequence.BANDS)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("padding", [0, 1, 37])
def test_an_utterance_does_not_depend_on_its_batch_or_padding(grid: str, bands: str, padding: int) -> None:
    model = network(bands, **GRIDS[grid])
    some = utterances(3, 9, 24, FRAMES, 41, 63, 170)
    batch, lengths = together(some, padding)
    with torch.inference_mode():
        found = model(batch, lengths)
        alone = [model(x) for x in some]
    stride = model.backbone.patch_embed.stride[0]
    assert found.lengths.tolist() == [math.ceil(n / stride) for n in lengths.tolist()]
    for logits, count, own in zip(found.logits, found.lengths, alone, strict=True):
        assert own.logits.shape == (1, count, K)
        assert torch.allclose(logits[:count], own.logits[0], atol=1e-5)


def test_gradients_do_not_depend_on_padding() -> None:
    model, (x,) = network().train(), utterances(53)
    grads = []
    for padding in (0, 30):
        model.zero_grad()
        model(*together([x], padding)).logits[0, :14].square().mean().backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for one, two in zip(*grads, strict=True):
        assert torch.allclose(one, two, atol=1e-5)


def test_attention_sees_a_window_and_memory_no_more_than_some(monkeypatch) -> None:
    monkeypatch.setattr(sequence, "AT_ONCE", 4)
    model, (x,) = network(), utterances(40 * FRAMES)
    with torch.inference_mode():
        whole = model(x)
        seen = []
        hook = model.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
        monkeypatch.setattr(sequence, "AT_ONCE", 7)
        again = model(x)
        hook.remove()
    assert {shape[2] for shape in seen} == {FRAMES}
    assert max(shape[0] for shape in seen) == 7
    assert len(seen) > 5
    assert torch.allclose(whole.logits, again.logits, atol=1e-5)


def test_what_is_far_away_changes_nothing_and_what_is_near_does() -> None:
    model, (x,) = network(), utterances(200)
    other = x.clone()
    other[:, :, 100:104] += 1.0
    with torch.inference_mode():
        changed = (model(x).logits != model(other).logits).any(dim=-1)[0]
    assert changed[25]
    assert not changed[:10].any()
    assert not changed[40:].any()


@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (5, 10), (10, 10), (11, 10), (24, 10), (1000, 16), (7, 1)])
def test_plan_of_windows(steps: int, rows: int) -> None:
    starts, place = window_plan(steps, rows)
    window, row = place // rows, place % rows
    assert (torch.tensor(starts)[window] + row == torch.arange(steps)).all()
    assert starts[0] == 0
    assert starts[-1] == max(0, steps - rows)
    edge = torch.minimum(row, rows - 1 - row)[2:-2]
    inner = (window[2:-2] > 0) & (window[2:-2] < len(starts) - 1)
    if rows >= 8:
        assert (edge[inner] >= rows // 8 - 1).all(), "a step is heard with something before and after it"


def test_a_frozen_backbone_gets_no_gradient() -> None:
    model = network(freeze=True).train()
    model(utterances(30)[0]).logits.sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert model.head.weight.grad is not None


def test_a_clip_embedding_is_still_there() -> None:
    assert network().embed(utterances(FRAMES)[0]).shape == (1, 24)


def test_all_layers_are_weighted_in_every_step() -> None:
    """As s3prl does it: the backbone is frozen, the weights of its layers learn with the head."""
    backbone = network().backbone
    weighted = SequenceNetwork(backbone, K, HeadSettings(freeze_backbone=True, layers="weighted"), "concat")
    torch.nn.init.normal_(weighted.layer_weights)
    torch.nn.init.eye_(weighted.head.weight)  # the first K of the embedding, normalised
    batch, lengths = together(utterances(24, 63))
    weighted(batch, lengths).logits.pow(3).sum().backward()
    assert weighted.layer_weights.grad.abs().min() > 0
    assert all(parameter.grad is None for parameter in backbone.parameters())
    share = weighted.layer_weights.detach().softmax(dim=0)
    x = batch[:1, :, :24]
    with torch.no_grad():
        expected = sum(w * backbone(x, None, layer).patches for layer, w in enumerate(share))
        torch.testing.assert_close(weighted(x).logits, weighted.norm(expected)[..., :K])
