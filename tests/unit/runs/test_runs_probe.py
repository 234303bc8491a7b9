"""A linear probe is fine-tuning under a configuration that freezes the backbone."""

from __future__ import annotations

import pytest
import torch
import yaml
from runs_helpers import build_corpus

from asit.config import load
from asit.errors import AsitError
from asit.models import model_file
from asit.runs.embedder import Embedder, EmbedderSettings
from asit.runs.evaluate import evaluate
from asit.runs.finetune import Settings, finetune

PROBE = {
    "freeze_backbone": True,
    "drop_path": 0.2,  # of no effect: a frozen backbone is evaluated, not trained
    "layer_decay": 0.5,
    "probe_layer": 1,
    "pool_slices": 2,
    "average": "ema",
    "steps": 40,
    "batch_size": 12,
    "lr": 1.0e-2,
    "warmup": 4,
    "weight_decay": (0.5,),
    "eval_every": 10,
    "threads": 1,
    "ngpu": 0,
    "num_workers": 0,
    "tensorboard": False,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return build_corpus(tmp_path_factory.mktemp("a corpus"))


def run(corpus, out, **options):
    path = corpus.root / f"{out.name}.yaml"
    own = {"train_dir": corpus.path("train"), "valid_dir": corpus.path("valid"), "init": corpus.init}
    tags = ["system=linear probe", "labels=all"]
    path.write_text(yaml.safe_dump({**PROBE, **own, "out_dir": str(out), "tags": tags, **options}))
    finetune(load(Settings, str(path)))
    return out


@pytest.fixture(scope="module")
def probed(corpus):
    return run(corpus, corpus.root / "exp" / "probe")


def test_the_backbone_is_as_it_was_and_the_head_is_not(corpus, probed):
    before, after = (model_file.load(path)[0] for path in (corpus.init, probed / "model.safetensors"))
    for name, value in before.items():
        assert torch.equal(value, after[f"backbone.{name}"]), name
    assert after["head.weight"].abs().max() > 0.1, "drawn with a deviation of 0.02"


def test_it_learns_and_is_scored_as_a_system_of_its_own(corpus, probed):
    result = evaluate(corpus.evaluate_settings(probed))
    assert result.value > 0.7
    assert result.tags["system"] == "linear probe"
    assert result.train_clips == 36


def test_its_embeddings_are_those_of_the_bare_backbone(corpus, probed):
    """What k-NN and verification see of a probe is the backbone, at the same depth and with the same pooling."""
    settings = EmbedderSettings(probe_layer=1, pool_slices=2, ngpu=0, threads=1)
    vectors = []
    for path in (corpus.init, str(probed / "model.safetensors")):
        embedder = Embedder(path, settings)
        dataset = embedder.open(corpus.path("test"))
        vectors.append(embedder.vectors(dataset.read(i) for i in range(len(dataset))))
    assert (vectors[0] == vectors[1]).all()


def test_an_untrained_backbone_can_be_probed(corpus):
    out = run(corpus, corpus.root / "exp" / "control", from_scratch=True, seed=3)
    weights = [model_file.load(path)[0] for path in (corpus.init, out / "model.safetensors")]
    name = "blocks.0.attn.qkv.weight"
    assert not torch.equal(weights[0][name], weights[1][f"backbone.{name}"])


def test_a_depth_beyond_the_backbone_is_refused(corpus):
    with pytest.raises(AsitError, match="'probe_layer': expected 0 to 2, the backbone's blocks, found 5"):
        run(corpus, corpus.root / "exp" / "deep", probe_layer=5)


def test_all_layers_are_weighted(corpus):
    """The backbone stays, the weights of its layers are learned, and the embedding is their sum."""
    out = run(corpus, corpus.root / "exp" / "weighted", layers="weighted", probe_layer=None)
    before, after = (model_file.load(path)[0] for path in (corpus.init, out / "model.safetensors"))
    assert all(torch.equal(value, after[f"backbone.{name}"]) for name, value in before.items())
    weights = after["layer_weights"]
    assert weights.shape == (3,)
    assert weights.abs().max() > 1e-3
    assert evaluate(corpus.evaluate_settings(out)).value > 0.7
    vectors = []
    for layer in (None, 0, 1, 2):
        embedder = Embedder(str(out / "model.safetensors"), EmbedderSettings(ngpu=0, threads=1))
        clip = embedder.open(corpus.path("test")).read(0)
        vectors.append(torch.tensor(next(iter(embedder.vectors([clip], layer)))))
    expected = torch.einsum("l,ld->d", weights.softmax(dim=0), torch.stack(vectors[1:]))
    torch.testing.assert_close(vectors[0], expected)


def test_one_layer_and_all_of_them_exclude_each_other(corpus):
    with pytest.raises(AsitError, match="'probe_layer': expected none with layers weighted"):
        run(corpus, corpus.root / "exp" / "both", layers="weighted")
