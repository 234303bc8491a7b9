"""An n-gram model of units: how probable each unit of a transcript is after those before it.

Files are in ARPA's form, as SRILM and KenLM write and read it: base-10 logarithms, back-off weights. Estimates
are interpolated Witten-Bell ones (Chen and Goodman 1999, section 2.5): they need no held-out part, which some thousand
sentences would not have to spare, and as every n-gram of the text is kept, they are exact in back-off form.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from asit.data.tokens import UNKNOWN
from asit.errors import AsitError, excerpt
from asit.io.atomic import atomic_open
from asit.kaldi.table import read_text

log = logging.getLogger(__name__)

BEGIN, END = -1, -2  # <s> and </s> among the units' indices
MARKS = {"<s>": BEGIN, "</s>": END}
NEVER = -99.0  # base-10 logarithm of what is not predicted: <s>
LN10 = math.log(10)


class NGram:
    """N-grams of unit indices.

    Args:
        probs: n-gram -> natural logarithm of the last unit's probability after the others.
        backoffs: context -> natural logarithm of its back-off weight; 0 where there is none.
    """

    def __init__(self, probs: dict[tuple[int, ...], float], backoffs: dict[tuple[int, ...], float]) -> None:
        self.probs, self.backoffs = probs, backoffs
        self.order = max(map(len, probs))
        single = [probs[ngram] for ngram in probs if len(ngram) == 1 and ngram != (BEGIN,)]
        self._unknown = probs.get((UNKNOWN,), min(single, default=NEVER * LN10))  # of a unit that has no n-gram

    @classmethod
    def estimate(cls, sentences: Iterable[Sequence[int]], order: int, num_units: int) -> NGram:
        """Interpolated Witten-Bell estimates; the lowest order is interpolated with 1 / ``num_units``: </s> is
        predicted in place of <blank>."""
        counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order)]
        for sentence in sentences:
            units = (BEGIN, *sentence, END)
            for last in range(1, len(units)):
                for longer in range(min(order, last + 1)):
                    counts[longer][units[last - longer : last + 1]] += 1
        model = cls({(BEGIN,): NEVER * LN10}, {})
        for longer, counted in enumerate(counts):
            model.order = longer  # what there is so far
            total: Counter[tuple[int, ...]] = Counter()
            kinds: Counter[tuple[int, ...]] = Counter()
            for ngram, count in counted.items():
                total[ngram[:-1]] += count
                kinds[ngram[:-1]] += 1
            lower = {
                ngram: math.exp(model.log_prob(ngram[1:-1], ngram[-1])) if longer else 1 / num_units
                for ngram in counted
            }
            for ngram, count in counted.items():
                context = ngram[:-1]
                share = count + kinds[context] * lower[ngram]
                model.probs[ngram] = math.log(share / (total[context] + kinds[context]))
            model.backoffs |= {context: math.log(n / (total[context] + n)) for context, n in kinds.items()}
        unseen = model.backoffs.pop(()) - math.log(num_units)
        for unit in range(UNKNOWN, num_units):
            model.probs.setdefault((unit,), unseen)
        return cls(model.probs, model.backoffs)

    def log_prob(self, context: tuple[int, ...], unit: int) -> float:
        """Natural logarithm of a unit's (or ``END``'s) probability after units, of which the last order - 1 count."""
        context = context[max(0, len(context) - self.order + 1) :]
        weight = 0.0
        while True:
            found = self.probs.get((*context, unit))
            if found is not None:
                return weight + found
            if not context:
                return weight + self._unknown
            weight += self.backoffs.get(context, 0.0)
            context = context[1:]

    def log_probs(self, sentence: Sequence[int]) -> list[float]:
        """:meth:`log_prob` of each unit of a sentence and of its end."""
        units = (BEGIN, *sentence, END)
        return [self.log_prob(units[max(0, i - self.order + 1) : i], units[i]) for i in range(1, len(units))]

    @classmethod
    def load(cls, path: str | os.PathLike[str], units: Sequence[str]) -> NGram:
        """Read an ARPA file of a model's units.

        Raises:
            AsitError: the file cannot be read, is not in ARPA's form, lacks n-grams that its head counts, or is of
                other units.
        """
        known = {**{unit: index for index, unit in enumerate(units) if index >= UNKNOWN}, **MARKS}
        probs: dict[tuple[int, ...], float] = {}
        backoffs: dict[tuple[int, ...], float] = {}
        for place, length, words in _entries(os.fspath(path)):
            strange = [word for word in words[1 : length + 1] if word not in known]
            if strange:
                raise AsitError(
                    f"{place}: '{excerpt(strange[0])}' is no unit of the model, which has "
                    f"{' '.join(units[2:6])} ...; train the n-grams with its tokens: asit-train-lm"
                )
            ngram = tuple(known[word] for word in words[1 : length + 1])
            try:
                values = [float(word) * LN10 for word in (words[0], *words[length + 1 :])]
            except ValueError:
                values = [math.nan]
            if not all(map(math.isfinite, values)):
                raise AsitError(f"{place}: expected base-10 logarithms, found '{excerpt(' '.join(words))}'")
            probs[ngram] = values[0]
            if len(values) > 1:
                backoffs[ngram] = values[1]
        if not probs:
            raise AsitError(f"{path}: expected n-grams in ARPA's form, found none; asit-train-lm writes it")
        without = [unit for unit, index in known.items() if index > UNKNOWN and (index,) not in probs]
        if 3 * len(without) > len(units):
            raise AsitError(
                f"{path}: {len(without)} of the model's {len(units)} units are in no n-gram, such as "
                f"'{excerpt(without[0])}'; train the n-grams with its tokens: asit-train-lm"
            )
        if without:
            log.warning("%s: %d of %d units are in no n-gram, such as '%s'", path, len(without), len(units), without[0])
        return cls(probs, backoffs)

    def save(self, path: str | os.PathLike[str], units: Sequence[str]) -> None:
        """Write an ARPA file."""
        names = {**dict(enumerate(units)), **{index: mark for mark, index in MARKS.items()}}
        by_length = [sorted(ngram for ngram in self.probs if len(ngram) == n) for n in range(1, self.order + 1)]
        with atomic_open(path) as stream:
            stream.write("\\data\\\n" + "".join(f"ngram {n}={len(found)}\n" for n, found in enumerate(by_length, 1)))
            for n, found in enumerate(by_length, 1):
                stream.write(f"\n\\{n}-grams:\n")
                for ngram in found:
                    line = f"{self.probs[ngram] / LN10:.6f}\t{' '.join(names[unit] for unit in ngram)}"
                    weight = self.backoffs.get(ngram)
                    stream.write(line + (f"\t{weight / LN10:.6f}\n" if weight is not None else "\n"))
            stream.write("\n\\end\\\n")


def _entries(path: str) -> Iterator[tuple[str, int, list[str]]]:
    """The n-grams of an ARPA file: ``file:line``, length, the line's words. All that its head counts, or an error."""
    length, counted, found = 0, Counter[int](), Counter[int]()
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if section := re.fullmatch(r"\\([1-9][0-9]?)-grams:\s*", line):
            length = int(section[1])
        elif length and words and words != ["\\end\\"]:
            if len(words) - length not in (1, 2):
                raise AsitError(
                    f"{path}:{number}: expected a logarithm, {length} units and a weight, found '{excerpt(line)}'"
                )
            found[length] += 1
            yield f"{path}:{number}", length, words
        elif not length and (head := re.fullmatch(r"ngram ([1-9][0-9]?)=\s*([0-9]{1,12})\s*", line)):
            counted[int(head[1])] = int(head[2])
    for n, count in counted.items():
        if found[n] != count:
            raise AsitError(f"{path}: expected {count} {n}-grams, as its head says, found {found[n]}; copy it again")
