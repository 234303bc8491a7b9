from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from asit.data import augment
from asit.data.tokens import BLANK
from asit.errors import AsitError
from asit.kaldi.data_dir import write_data_dir
from asit.models import vit
from asit.models.classifier import HeadSettings
from asit.runs.tokens import TokenSettings, train
from asit.tasks import ctc
from asit.tasks._ctc_decoding import Fusion, greedy, prefix_beam
from asit.tasks.finetuner import FineTunerSettings
from asit.tasks.ngram import NGram
from asit.tasks.sequence_tuner import SequenceTuner

UNITS = ["<blank>", "<unk>", "\u2581", "a", "b"]


def task(units=UNITS) -> ctc.Task:
    return ctc.Task(ctc.Settings(), units)


def log_probs(steps: int, units: int, seed: int, sharp: float = 1.0) -> np.ndarray:
    x = torch.randn(steps, units, generator=torch.Generator().manual_seed(seed)) * sharp
    return x.log_softmax(-1).numpy()


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(k for k, _ in itertools.groupby(path) if k != BLANK)


def by_enumeration(rows: np.ndarray) -> dict[tuple[int, ...], float]:
    """The probability of every sequence of units, from every path through (N, K)."""
    total: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(rows.shape[1]), repeat=len(rows)):
        units = collapsed(path)
        total[units] = total.get(units, 0.0) + float(np.exp(sum(rows[i, k] for i, k in enumerate(path))))
    return total


@pytest.mark.parametrize("seed", range(20))
def test_a_wide_beam_finds_the_most_probable_sequence(seed: int) -> None:
    rows = log_probs(6, 3, seed)
    total = by_enumeration(rows)
    assert total[tuple(prefix_beam(rows, 500))] == pytest.approx(max(total.values()))


@pytest.mark.parametrize("seed", range(20))
def test_a_wide_beam_finds_what_is_worth_most_with_a_language_model(seed: int) -> None:
    rows = log_probs(6, 3, seed)
    fusion = Fusion(NGram.estimate([[1, 2], [1, 2, 1], [2]], 3, 3), 0.7, 0.4)
    worth = {
        units: np.log(p) + 0.7 * sum(fusion.ngrams.log_probs(units)) + 0.4 * len(units)
        for units, p in by_enumeration(rows).items()
    }
    assert worth[tuple(prefix_beam(rows, 500, fusion))] == pytest.approx(max(worth.values()))


def test_a_beam_adds_up_what_greedy_does_not() -> None:
    """The best path says nothing, and yet "a" is more probable than silence."""
    rows = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert greedy(rows) == []
    assert prefix_beam(rows, 2) == [1]


@pytest.mark.parametrize("seed", range(5))
def test_greedy_is_the_best_path_and_a_sharp_beam_agrees(seed: int) -> None:
    rows = log_probs(30, 6, seed, sharp=300.0)
    assert greedy(rows) == list(collapsed(tuple(rows.argmax(axis=1))))
    assert prefix_beam(rows, 4) == greedy(rows)


def test_the_loss_is_minus_the_log_probability_of_the_target_a_unit() -> None:
    rows, targets = [log_probs(5, 5, 1), log_probs(4, 5, 2)], [[3, 3], [4]]
    logits = torch.zeros(2, 5, 5)
    logits[0], logits[1, :4] = torch.from_numpy(rows[0]), torch.from_numpy(rows[1])
    logits[1, 4] = 50.0  # padding
    found = task().loss(logits, torch.tensor([5, 4]), torch.tensor([3, 3, 4]), torch.tensor([2, 1]))
    wanted = np.mean([-np.log(by_enumeration(r)[tuple(t)]) / len(t) for r, t in zip(rows, targets, strict=True)])
    assert found.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", ["unigram", "bpe", "char", "word"])
def test_text_of_units_is_what_sentencepiece_says(kind: str, tmp_path) -> None:
    lines = ["please enter your password", "press one to call again", "ámitúúngá obia itsωώ", "the number is not in"]
    table = {f"s-{i}": line for i, line in enumerate(lines)}
    write_data_dir(tmp_path / "d", {"text": table, "utt2spk": dict.fromkeys(table, "s")})
    tokens = train(str(tmp_path / "d"), TokenSettings(token_type=kind, vocab_size=34))
    for line in [*lines, "a ämi ω"]:
        units = tokens.encode(line)
        assert task(tokens.names).text(units) == " ".join(tokens.decode(units).split())
    assert tokens.unknown(lines[0]) == ""
    assert "ä" in tokens.unknown("a ämi")


def test_units_of_another_kind_are_refused() -> None:
    for units in (["dog", "cat", "cow"], ["<blank>", "<unk>"], []):
        with pytest.raises(AsitError, match="expected <blank>, <unk> and at least one more"):
            task(units)


@pytest.mark.parametrize("wrong", [{"mixup": (0.5, 10.0)}, {"roll": 3}])
def test_augmentation_that_moves_what_is_said_is_refused(wrong) -> None:
    backbone = vit.build(vit.Settings(size="tiny", embed_dim=16, depth=1, heads=2, patch=(4, 0)), 32, 8)
    network = task().network(backbone, HeadSettings())
    settings = FineTunerSettings(augmentation=augment.Settings(**wrong))
    with pytest.raises(AsitError, match=f"option '{next(iter(wrong))}': expected 0 for task 'ctc'"):
        SequenceTuner(network, task(), settings, mean=0.0, std=1.0, steps=10)
