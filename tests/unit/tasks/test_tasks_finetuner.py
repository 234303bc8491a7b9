from __future__ import annotations

import copy

import pytest
import torch

from asit.data import augment
from asit.errors import AsitError
from asit.models import vit
from asit.models.classifier import Classifier, HeadSettings, mask_needed, pool
from asit.tasks import classification
from asit.tasks.finetuner import FineTuner, FineTunerSettings

FRAMES, MELS = 32, 8
VIT = vit.Settings(size="tiny", embed_dim=24, depth=2, heads=2, patch=(4, 0), drop_path=0.0)
TASK = classification.Task(classification.Settings(), ["a", "b", "c"])


def classifier(seed=0, **head):
    torch.manual_seed(seed)
    return Classifier(vit.build(VIT, FRAMES, MELS), 3, HeadSettings(**head))


def learner(steps=10, head=None, epoch=1, **options):
    model, settings = classifier(**(head or {})), FineTunerSettings(**options)
    return FineTuner(model, TASK, settings, mean=-6.0, std=4.0, steps=steps, steps_per_epoch=epoch)


def batch(count=12, seed=0):
    """Three classes that differ by the mel bin that carries a raised level."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 3
    x = torch.randn(count, 1, FRAMES, MELS, generator=generator)
    x[torch.arange(count), 0, :, targets] += 1.5
    lengths = torch.randint(FRAMES // 2, FRAMES + 1, (count,), generator=generator)
    return {"feats": x, "lengths": lengths, "targets": targets, "utts": [str(i) for i in range(count)]}


def train(model, steps, lr=3e-3, seed=0):
    optimizer = torch.optim.AdamW([p for p in model.trained_module().parameters() if p.requires_grad], lr)
    values = []
    model.train()
    for step in range(steps):
        torch.manual_seed(seed + step)
        loss = model.losses(batch(seed=step), step, torch.Generator().manual_seed(seed + step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        model.before_update(step)
        optimizer.step()
        model.after_update(step, torch.zeros(()))
        values.append(loss.item())
    return values


@pytest.mark.parametrize(("valid", "slices"), [(6, 3), (5, 3), (2, 4), (1, 2), (6, 1)])
def test_stretches_are_the_adaptive_means_of_the_valid_patches(valid, slices):
    patches = torch.randn(1, 6, 4)
    tokens = vit.Tokens(torch.zeros(1, 4), patches, torch.arange(6)[None] < valid)
    expected = torch.nn.functional.adaptive_avg_pool1d(patches[:, :valid].transpose(1, 2), slices)
    torch.testing.assert_close(pool(tokens, "mean", slices), expected.transpose(1, 2).reshape(1, -1))
    assert pool(tokens, "cls+mean", slices).shape == (1, 4 * (slices + 1))


@pytest.mark.parametrize("pooling", ["cls", "mean", "cls+mean"])
def test_padding_changes_neither_embedding_nor_logits(pooling):
    model = classifier(pooling=pooling).eval()
    x = torch.randn(4, 1, FRAMES, MELS)
    lengths = torch.tensor([8, 12, 20, 32])
    other = x.clone()
    for i, length in enumerate(lengths):
        other[i, :, length:] = 9.0
    torch.testing.assert_close(model(x, lengths), model(other, lengths))
    assert not torch.allclose(model(x), model(other))


def test_mean_pooling_averages_the_valid_patches_only():
    tokens = vit.Tokens(torch.zeros(1, 2), torch.tensor([[[1.0, 2.0], [3.0, 4.0], [99.0, 99.0]]]), None)
    masked = tokens._replace(valid=torch.tensor([[True, True, False]]))
    assert pool(masked, "mean").tolist() == [[2.0, 3.0]]
    assert pool(masked, "cls+mean").tolist() == [[0.0, 0.0, 2.0, 3.0]]
    torch.testing.assert_close(pool(tokens, "mean"), tokens.patches.mean(1))


def test_full_batches_need_no_mask():
    assert mask_needed(torch.tensor([32, 32]), 32) is None
    assert mask_needed(torch.tensor([32, 31]), 32) is not None


def test_it_learns_in_a_few_updates():
    model = learner(augmentation=augment.Settings(mixup=(0.3, 10.0), spec_augment=(1, 8), roll=3, gain=3.0))
    values = train(model, 60)
    assert sum(values[-10:]) < 0.6 * sum(values[:10])
    held_out = batch(count=60, seed=999)
    found = model.evaluated().eval()(held_out["feats"], held_out["lengths"]).argmax(1)
    assert (found == held_out["targets"]).float().mean() > 0.8


def test_same_seed_same_losses_other_seed_other_losses():
    options = {"augmentation": augment.Settings(mixup=(0.5, 10.0), noise=0.1, spec_augment=(3, 0))}
    first, again, other = (train(learner(**options), 4, seed=seed) for seed in (0, 0, 1000))
    assert first == again
    assert first != other


def test_a_linear_probe_leaves_the_backbone_as_it_is():
    model = learner(head={"freeze_backbone": True})
    before = copy.deepcopy(model.classifier.state_dict())
    train(model, 3)
    after = model.classifier.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert not model.classifier.backbone.training


def test_tail_mean_is_the_mean_of_the_last_weights():
    model = learner(steps=6, average="tail", tail_from=0.5)
    kept = []
    after_update = model.after_update

    def spy(step, bad):
        kept.append(model.classifier.head.weight.detach().clone())
        after_update(step, bad)

    model.after_update = spy
    train(model, 6)
    torch.testing.assert_close(model.evaluated().head.weight, torch.stack(kept[3:]).mean(0))


@pytest.mark.parametrize(
    ("tail_from", "averaged"), [(0.0, [2, 5, 8, 11]), (0.25, [5, 8, 11]), (0.6, [8, 11]), (0.9, [11])]
)
def test_mean_of_epochs_is_the_mean_of_the_weights_at_their_ends(tail_from, averaged):
    """AST averages the weights after epochs 6 to 25 of 25: tail_from 0.2."""
    model = learner(steps=12, epoch=3, average="epochs", tail_from=tail_from)
    kept, after_update = [], model.after_update

    def spy(step, bad):
        kept.append(model.classifier.head.weight.detach().clone())
        after_update(step, bad)
        if step < averaged[0]:
            torch.testing.assert_close(model.evaluated().head.weight, kept[min(step, averaged[0])])

    model.after_update = spy
    train(model, 12)
    torch.testing.assert_close(model.evaluated().head.weight, torch.stack([kept[i] for i in averaged]).mean(0))


def test_a_mean_of_epochs_needs_an_end_of_an_epoch():
    with pytest.raises(AsitError, match="no epoch of 20 updates ends between update 5 and the last, 10"):
        learner(steps=10, epoch=20, average="epochs")


def test_moving_average_lags_behind_and_is_checkpointed():
    model = learner(average="ema")
    train(model, 5)
    assert not torch.equal(model.evaluated().head.weight, model.classifier.head.weight)
    again = learner(average="ema")
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.evaluated().head.weight, model.evaluated().head.weight)


def test_without_average_the_trained_weights_are_evaluated():
    model = learner()
    assert model.evaluated() is model.classifier


def test_wrong_options_are_named():
    with pytest.raises(AsitError, match="'probe_layer': expected 0 to 2"):
        classifier(probe_layer=3)
    with pytest.raises(AsitError, match="'pool_slices'"):
        HeadSettings(pool_slices=0)
