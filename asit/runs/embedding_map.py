"""Embeddings of many clips on a plane: t-SNE (van der Maaten and Hinton, 2008), neighbours stay neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from asit.errors import AsitError, excerpt
from asit.features.picture import colour, new_figure

FEWEST = 5  # clips
COLOURS = 20  # labels with one of their own, the most frequent
PERPLEXITY = 30.0  # neighbours that count


def embedding_map(vectors: np.ndarray, labels: Sequence[str], title: str) -> Any:
    """A matplotlib figure of vectors (n, D), one point each, coloured by label; by cosine distance, always the same.

    Raises:
        AsitError: too few clips.
    """
    if len(vectors) < FEWEST:
        raise AsitError(f"expected at least {FEWEST} clips for a map, found {len(vectors)}; give a folder with more")
    from sklearn.manifold import TSNE  # slow to import

    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    points = TSNE(metric="cosine", init="pca", perplexity=perplexity, random_state=0).fit_transform(vectors)
    figure = new_figure(9.0, 7.0)
    place = figure.add_subplot()
    often = [label for label, _ in Counter(labels).most_common()]
    of_clips = np.asarray(labels)
    for number, label in enumerate(often[:COLOURS]):
        here = points[of_clips == label]
        place.scatter(*here.T, s=14, color=colour(number, len(often)), label=_shown(label))
    rest = points[np.isin(of_clips, often[COLOURS:])]
    if len(rest):
        place.scatter(*rest.T, s=10, color="lightgrey", label=f"{len(often) - COLOURS} others", zorder=0)
    place.set(xticks=[], yticks=[], xlabel="t-SNE of cosine distances: near is alike, axes have no unit")
    place.set_title(title, parse_math=False)
    if len(often) > 1:
        for text in place.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5)).get_texts():
            text.set_parse_math(False)
    return figure


def _shown(label: str) -> str:
    text = excerpt(label, 24)
    return f" {text}" if text.startswith("_") else text  # matplotlib leaves names with _ out of a legend
