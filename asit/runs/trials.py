"""Lists of verification trials: which two clips are compared, and whether one speaker said both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from asit.errors import AsitError, excerpt
from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import read_text

KALDI = {"target": 1, "nontarget": 0}


@dataclass(frozen=True)
class Trials:
    """Trials in the order of their file: ``targets`` (n,) int64 of 0 and 1, names of the two clips, line numbers."""

    path: str
    targets: np.ndarray
    first: list[str]
    second: list[str]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)


def read_trials(path: str) -> Trials:
    """Read ``1 <clip> <clip>`` or ``0 <clip> <clip>`` a line (VoxCeleb), or Kaldi's ``<clip> <clip> target|nontarget``.

    Raises:
        AsitError: a line of another form (file and line), or a list without trials of both kinds.
    """
    targets: list[int] = []
    pairs: list[tuple[str, str]] = []
    lines: list[int] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) == 3 and words[0] in ("0", "1"):
            targets.append(int(words[0]))
            pairs.append((words[1], words[2]))
        elif len(words) == 3 and words[2] in KALDI:
            targets.append(KALDI[words[2]])
            pairs.append((words[0], words[1]))
        else:
            raise AsitError(
                f"{path}:{number}: expected '1 clip clip', '0 clip clip' or 'clip clip target|nontarget', "
                f"found '{excerpt(line)}'"
            )
        lines.append(number)
    if len(set(targets)) < 2:
        raise AsitError(
            f"{path}: expected trials of one speaker (1) and of two (0), found {sum(targets)} and "
            f"{len(targets) - sum(targets)}"
        )
    return Trials(path, np.array(targets), [a for a, _ in pairs], [b for _, b in pairs], lines)


def utterances_of(names: Iterable[str], data: DataDir) -> dict[str, str]:
    """The utterance that each name means: an utterance id, or the end of one path in wav.scp, whatever its suffix.

    ``id10270/x6uYqmx31kE/00001.wav`` thus finds ``/corpora/vox1/wav/id10270/x6uYqmx31kE/00001.flac``. Names that mean
    nothing are left out.

    Raises:
        AsitError: a name is the end of several paths.
    """
    wanted, found = dict.fromkeys(names), {}
    known = set(data.utts)
    paths = data.wav_scp if data.has("wav.scp") and not data.has("segments") else {}
    ends: dict[int, dict[tuple[str, ...], list[str]]] = {}
    for name in wanted:
        if name in known:
            found[name] = name
            continue
        parts = _parts(name)
        if len(parts) not in ends:
            table = ends[len(parts)] = {}
            for utt, path in paths.items():
                table.setdefault(_parts(path)[-len(parts) :], []).append(utt)
        utts = ends[len(parts)].get(parts, [])
        if len(utts) > 1:
            raise AsitError(
                f"{data.file('wav.scp')}: '{name}' is the end of {len(utts)} paths ({utts[0]}, {utts[1]}); name "
                "utterances in the trials instead"
            )
        if utts:
            found[name] = utts[0]
    return found


def _parts(path: str) -> tuple[str, ...]:
    """Folders and file name without its suffix.

    >>> _parts("./a.b/c.wav"), _parts("/c")
    (('a.b', 'c'), ('c',))
    """
    *folders, name = path.split("/")
    return (*(folder for folder in folders if folder not in ("", ".")), name.rpartition(".")[0] or name)
