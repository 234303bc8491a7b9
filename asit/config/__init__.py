"""Typed settings: each option is written once, as a field of a frozen dataclass.

A command's settings are one dataclass derived from ``Options``, which enforces types, ranges and choices. Its fields
are

- ``option(default, help)``: one option; ``REQUIRED`` as default makes it mandatory;
- ``group(Other)``: another settings dataclass whose options join this command's;
- ``chosen(kind, default, help)``: the name of a component of ``asit.<kind>``, whose module's ``Settings``
  join the command's options once the name is known.

Option names are flat: ``embed_dim`` of a group is ``--embed-dim`` (or ``--embed_dim``), the YAML key
``embed_dim`` and the variable ``ASIT_EMBED_DIM``. Precedence: YAML file (``--config``) < environment <
command line. An unknown name on the command line or in a file is an error that names the nearest known one.
"""

from asit.config.command_line import parse
from asit.config.fields import REQUIRED, Chosen, Options, chosen, from_dict, group, option, to_dict
from asit.config.files import entry, load, read_yaml

__all__ = [
    "REQUIRED",
    "Chosen",
    "Options",
    "chosen",
    "entry",
    "from_dict",
    "group",
    "load",
    "option",
    "parse",
    "read_yaml",
    "to_dict",
]
