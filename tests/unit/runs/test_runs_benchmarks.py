"""The contracts of s3prl and X-ARES on the model that ships, and their own checks where they are installed."""

from __future__ import annotations

import pytest
import torch

from asit.errors import AsitError
from asit.s3prl import UpstreamExpert
from asit.xares import AsitEncoder


@pytest.fixture(scope="module")
def upstream() -> UpstreamExpert:
    return UpstreamExpert("asit-tiny")


@pytest.fixture(scope="module")
def encoder() -> AsitEncoder:
    return AsitEncoder()


def waves(*seconds: float) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [0.2 * torch.randn(round(16000 * length), generator=generator) for length in seconds]


def test_hidden_states_of_all_layers(upstream) -> None:
    given = waves(1.0, 2.5)
    states = upstream(given)["hidden_states"]
    assert len(states) == 1 + upstream.model.num_layers
    for state in states:
        assert (state.dtype, state.shape[0], state.shape[2]) == (torch.float32, 2, upstream.model.dim)
        assert abs(state.shape[1] - len(given[1]) / upstream.get_downsample_rates("hidden_states")) <= 5  # s3prl's own
        assert not state.requires_grad
    frames, times = upstream.model.embed(given[1].numpy(), 16000, level="frame", layer=3)
    torch.testing.assert_close(states[3][1], torch.from_numpy(frames))
    assert round(16000 * (times[1] - times[0])) == upstream.get_downsample_rates("hidden_states")


def test_a_state_does_not_depend_on_the_batch(upstream) -> None:
    given = waves(1.0, 2.5)
    together, alone = upstream(given)["hidden_states"], upstream(given[:1])["hidden_states"]
    for both, one in zip(together, alone, strict=True):
        torch.testing.assert_close(both[:1, : one.shape[1]], one)
        assert not both[0, one.shape[1] :].any(), "padding"


def test_the_upstream_is_not_trained(upstream) -> None:
    assert not upstream.train().training
    assert not any(parameter.requires_grad for parameter in upstream.parameters())


def test_what_x_ares_asks(encoder) -> None:
    audio = torch.stack(waves(3.125, 3.125))
    found = encoder(audio)
    assert (found.ndim, found.shape[0], found.shape[2]) == (3, 2, encoder.output_dim)
    assert type(encoder).__name__.endswith("Encoder")
    assert abs(found.shape[1] - 3125 / encoder.hop_size_in_ms) <= 1
    with pytest.raises(AsitError, match="no such model file"):
        AsitEncoder("nothing.safetensors")


def test_x_ares_own_check(encoder) -> None:
    checker = pytest.importorskip(
        "xares.audio_encoder_checker", reason="xares is not installed (pip install xares; it takes CUDA's torchaudio)"
    )
    assert checker.check_audio_encoder(encoder)


def test_s3prl_takes_it() -> None:
    hub = pytest.importorskip(
        "s3prl.hub", reason="s3prl is not installed (pip install s3prl 'torchaudio<2.9')", exc_type=Exception
    )
    nn = pytest.importorskip("s3prl.nn")
    hub.asit = UpstreamExpert
    upstream = nn.S3PRLUpstream("asit", path_or_url="asit-tiny").eval()
    states, lengths = upstream(torch.stack(waves(2.0, 2.0)), torch.tensor([16000, 32000]))
    assert len(states) == upstream.num_layers
    assert lengths[0].tolist() == [25, 50]
    assert nn.Featurizer(upstream)(states, lengths)[0].shape == (2, 50, 192)
