"""How a site wants jobs submitted: Kaldi's grammar of ``conf/slurm.conf``, ``conf/queue.conf`` and ``conf/pbs.conf``.

    command sbatch --export=ALL       # the command that submits, with what is always said
    option mem=* --mem-per-cpu $0     # what `--mem 4G` adds: $0 is the value
    option mem=0                      # what exactly `--mem 0` adds: nothing
    default gpu=0                     # `--gpu 0` when no --gpu is given

``_`` and ``-`` in option names are the same; ``$NAME`` of the environment is replaced; ``#`` starts a comment. The
grammar is that of utils/parallel/slurm.pl and queue.pl of Kaldi.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from asit.errors import AsitError, nearest

_OPTION = re.compile(r"option\s+([^=\s]+)=(\S+)\s*(.*)")
_DEFAULT = re.compile(r"default\s+([^=\s]+)=(\S+)")


@dataclass(frozen=True)
class QueueConf:
    """A parsed file: ``command`` words; ``options[name][value or "*"]`` a template; ``defaults[name]`` a value."""

    path: str
    command: tuple[str, ...]
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)

    def describes(self, name: str) -> bool:
        """Whether the file has a line for an option."""
        return _plain(name) in self.options

    def with_defaults(self, given: Mapping[str, str]) -> dict[str, str]:
        """The given options and, after them, the defaults of those that are not given."""
        known = {_plain(name) for name in given}
        return {**given, **{n.replace("_", "-"): v for n, v in self.defaults.items() if n not in known}}

    def words(self, given: Mapping[str, str], handled: Iterable[str] = ()) -> list[str]:
        """What the options add to the submission.

        Args:
            given: options and values, defaults included (:meth:`with_defaults`).
            handled: options that the back end itself takes care of where the file does not describe them.

        Raises:
            AsitError: an option, or this value of it, that the file does not describe.
        """
        found: list[str] = []
        for name, value in given.items():
            templates = self.options.get(_plain(name))
            if templates is None and name in handled:
                continue
            template = (templates or {}).get(value, (templates or {}).get("*"))
            if templates is None:
                known = {*(n.replace("_", "-") for n in self.options), *handled}
                raise AsitError(
                    f"--{name}: not described in {self.path}: {nearest(name, known)}; if the site has it, a line such "
                    f"as 'option {_plain(name)}=* --its-option $0' describes it"
                )
            if template is None:
                allowed = ", ".join(templates)
                raise AsitError(f"--{name} {value}: {self.path} describes only the values {allowed}")
            found += [word.replace("$0", value) for word in _split(template, self.path)]
        return found


def read(path: str | None, usual: str, text: str) -> QueueConf:
    """The site's description of submissions.

    Args:
        path: what ``--config`` names; None when it is not given.
        usual: file that is read when it is there, such as conf/slurm.conf.
        text: the description when there is no file.

    Raises:
        AsitError: ``path`` cannot be read, a line has another form, there is no ``command`` line.
    """
    name = path or usual
    try:
        with open(name, encoding="utf-8") as stream:
            return parse(stream.read(), name)
    except FileNotFoundError:
        if path is not None:
            raise AsitError(f"--config {path}: no such file") from None
    except OSError as error:
        raise AsitError(f"{name}: cannot read it: {error.strerror}") from None
    return parse(text, f"the default description of submissions (write {usual} to change it)")


def parse(text: str, path: str) -> QueueConf:
    """Read the lines of a description.

    >>> conf = parse("command sbatch\\noption mem=* --mem $0\\ndefault mem=2G", "slurm.conf")
    >>> conf.words(conf.with_defaults({}))
    ['--mem', '2G']

    Raises:
        AsitError: as :func:`read`.
    """
    command: tuple[str, ...] = ()
    options: dict[str, dict[str, str]] = {}
    defaults: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"\s*#.*", "", raw).strip()
        if not line:
            continue
        if line.startswith("command "):
            command = tuple(_split(line[len("command ") :], path))
        elif match := _OPTION.fullmatch(line):
            options.setdefault(_plain(match[1]), {})[match[2]] = match[3]
        elif match := _DEFAULT.fullmatch(line):
            defaults[_plain(match[1])] = match[2]
        else:
            raise AsitError(
                f"{path}:{number}: expected 'command ...', 'option name=value words' or 'default name=value', "
                f"found '{line}'"
            )
    if not command:
        raise AsitError(f"{path}: no line 'command ...' says how to submit, such as: command sbatch --export=ALL")
    return QueueConf(path, command, options, defaults)


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _split(words: str, path: str) -> list[str]:
    try:
        return [os.path.expandvars(word) for word in shlex.split(words)]
    except ValueError as error:
        raise AsitError(f"{path}: '{words}': {str(error).lower()}") from None
