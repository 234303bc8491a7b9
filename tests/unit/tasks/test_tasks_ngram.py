"""N-grams of units: a distribution after any context, Witten-Bell's numbers, ARPA files of ours and of others."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.tasks.ngram import BEGIN, END, NGram

UNITS = ["<blank>", "<unk>", "▁", "a", "b"]
PREDICTED = [*range(1, len(UNITS)), END]
sentences = st.lists(st.lists(st.integers(1, len(UNITS) - 1), max_size=6), min_size=1, max_size=8)


@given(text=sentences, order=st.integers(1, 5), context=st.lists(st.integers(1, len(UNITS) - 1), max_size=6))
@settings(max_examples=60, deadline=None)
def test_probabilities_sum_to_one_after_anything(text, order, context) -> None:
    model = NGram.estimate(text, order, len(UNITS))
    for before in ((BEGIN, *context), tuple(context)):
        assert sum(math.exp(model.log_prob(before, unit)) for unit in PREDICTED) == pytest.approx(1)


def test_witten_bell_by_hand() -> None:
    model = NGram.estimate([[3, 3, 4]], 2, len(UNITS))
    # a a b </s>: four tokens of three kinds, interpolated with one of five (four units and </s>, no <blank>)
    one = {unit: (count + 3 / 5) / 7 for unit, count in {3: 2, 4: 1, END: 1, 2: 0, 1: 0}.items()}
    for unit, expected in one.items():
        assert math.exp(model.log_prob((), unit)) == pytest.approx(expected)
    # after a: a and b once each
    assert math.exp(model.log_prob((3,), 4)) == pytest.approx((1 + 2 * one[4]) / 4)
    assert math.exp(model.log_prob((3,), 2)) == pytest.approx(2 / 4 * one[2])
    assert math.exp(model.log_prob((BEGIN,), 3)) == pytest.approx((1 + one[3]) / 2)
    assert math.exp(model.log_prob((2,), 4)) == pytest.approx(one[4]), "a context that the text does not have"


@given(text=sentences, order=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_a_file_keeps_everything(tmp_path_factory, text, order) -> None:
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    model = NGram.estimate(text, order, len(UNITS))
    model.save(path, UNITS)
    again = NGram.load(path, UNITS)
    assert again.order == model.order
    for sentence in [[3, 4, 3], [2, 2], [], *text]:
        assert again.log_probs(sentence) == pytest.approx(model.log_probs(sentence), abs=1e-4)


def test_a_file_of_another_program(tmp_path, caplog) -> None:
    """As KenLM writes it: tabs, no weight for the longest n-grams, units that do not occur left out."""
    (tmp_path / "lm.arpa").write_text(
        "\\data\\\nngram 1=5\nngram 2=2\n\n"
        "\\1-grams:\n-1.0\t<unk>\t0\n0\t<s>\t-0.3\n-0.5\t</s>\t0\n-0.25\ta\t-0.1\n-0.7\tb\n\n"
        "\\2-grams:\n-0.2\t<s> a\n-0.4\ta </s>\n\n\\end\\\n"
    )
    model = NGram.load(tmp_path / "lm.arpa", UNITS)
    in_tens = [value / math.log(10) for value in model.log_probs([3])]
    assert in_tens == pytest.approx([-0.2, -0.4])
    assert model.log_prob((3,), 3) / math.log(10) == pytest.approx(-0.1 - 0.25)
    assert model.log_prob((4,), 2) / math.log(10) == pytest.approx(-1.0), "▁ is not there: as <unk>"
    assert "1 of 5 units are in no n-gram, such as '▁'" in caplog.text
    by_srilm = (
        (tmp_path / "lm.arpa")
        .read_text()
        .replace("-1.0\t<unk>\t0\n", "")
        .replace("1=5", "1=4")
        .replace("\n0\t<s>", "\n-99\t<s>")
    )
    (tmp_path / "lm.arpa").write_text(by_srilm)
    unknown = NGram.load(tmp_path / "lm.arpa", UNITS).log_prob((4,), 2)
    assert unknown / math.log(10) == pytest.approx(-0.7), "nor <unk>: as the rarest"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\\1-grams:\n-1 the\n", r"lm.arpa:2: 'the' is no unit of the model, which has ▁ a b.*asit-train-lm"),
        ("\\1-grams:\n-1 a -1 b\n", r"lm.arpa:2: expected a logarithm, 1 units and a weight"),
        ("\\1-grams:\nx a\n", r"lm.arpa:2: expected base-10 logarithms, found 'x a'"),
        ("\\1-grams:\nnan a\n", r"lm.arpa:2: expected base-10 logarithms, found 'nan a'"),
        ("\\data\\\nngram 1=3\n\n\\1-grams:\n-1 a\n-1 b\n", r"lm.arpa: expected 3 1-grams, as its head says, found 2"),
        ("\\1-grams:\n-1 a\n", r"lm.arpa: 2 of the model's 5 units are in no n-gram, such as '▁'.*asit-train-lm"),
        ("nothing\n", r"lm.arpa: expected n-grams in ARPA's form, found none; asit-train-lm"),
        (None, r"lm.arpa: .*no such file"),
    ],
)
def test_files_that_are_refused(tmp_path, content, message) -> None:
    if content is not None:
        (tmp_path / "lm.arpa").write_text(content)
    with pytest.raises(AsitError, match=message):
        NGram.load(tmp_path / "lm.arpa", UNITS)
