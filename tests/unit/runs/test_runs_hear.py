"""HEAR's published contract (neuralaudio.ai/hear/api.html), on the model that ships."""

from __future__ import annotations

import pytest
import torch

from asit import hear
from asit.errors import AsitError


@pytest.fixture(scope="module")
def model() -> hear.HearModel:
    return hear.load_model()


@pytest.mark.parametrize(("count", "seconds"), [(1, 0.3), (3, 1.0), (2, 4.1)])
def test_shapes_types_and_times(model, count, seconds) -> None:
    audio = torch.rand(count, round(seconds * model.sample_rate)) * 2 - 1
    scenes = hear.get_scene_embeddings(audio, model)
    assert (scenes.shape, scenes.dtype) == ((count, model.scene_embedding_size), torch.float32)
    frames, times = hear.get_timestamp_embeddings(audio, model)
    assert frames.dtype == torch.float32
    assert frames.shape == (count, times.shape[1], model.timestamp_embedding_size)
    assert torch.equal(times, times[:1].expand_as(times)), "of sounds of one length"
    steps = times[0].diff()
    assert (steps > 0).all()
    assert (steps - steps.mean()).abs().max() < 1, "milliseconds: evenly spaced"
    assert steps.mean() <= 50
    assert times[0, 0] <= 50
    assert times[0, -1] > 1000 * seconds - 80


def test_each_sound_is_by_itself_and_repeats(model) -> None:
    torch.manual_seed(0)
    audio = torch.rand(3, 16000) * 2 - 1
    together = hear.get_scene_embeddings(audio, model)
    for row, sound in zip(together, audio, strict=True):
        torch.testing.assert_close(hear.get_scene_embeddings(sound[None], model)[0], row)
    assert not torch.allclose(together[0], together[1])
    assert not together.requires_grad


def test_it_is_a_module_with_a_rate_that_heareval_supports(model) -> None:
    assert isinstance(model, torch.nn.Module)
    assert model.sample_rate in (16000, 22050, 32000, 44100, 48000)
    assert model.to("cpu")(torch.zeros(1, 16000)).shape == (1, 192)


def test_what_is_refused(model) -> None:
    with pytest.raises(AsitError, match="expected \\(sounds, samples\\)"):
        hear.get_scene_embeddings(torch.zeros(16000), model)
    with pytest.raises(AsitError, match="at least one sound"):
        hear.get_scene_embeddings(torch.zeros(0, 16000), model)
    with pytest.raises(AsitError, match="NaN"):
        hear.get_scene_embeddings(torch.full((1, 16000), torch.nan), model)
    with pytest.raises(AsitError, match="no such model file"):
        hear.load_model("nothing.safetensors")
