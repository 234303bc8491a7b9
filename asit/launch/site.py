"""What is particular to a site, in one file outside the recipes: partition, account, modules, scratch directory.

The file is the one that the variable ASIT_SITE names, else ``~/.config/asit/site.yaml`` (under XDG_CONFIG_HOME where
that is set), else ``site.yaml`` at the root of the checkout, which git ignores. Updates touch none of them.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, fields
from pathlib import Path

from asit.config import read_yaml
from asit.errors import AsitError, nearest

VARIABLE = "ASIT_SITE"


@dataclass(frozen=True)
class Site:
    """The settings of a site; all may be empty. ``path`` is the file they are from."""

    path: str = ""
    partition: str = ""  # Slurm's partition; the queue of Grid Engine and PBS
    gpu_partition: str = ""  # the same for jobs with --gpu 1 or more; `partition` when empty
    account: str = ""  # Slurm's and PBS's account; Grid Engine's project
    constraint: str = ""  # Slurm's --constraint; a resource (-l) of Grid Engine and PBS
    options: str = ""  # further words of every submission, such as "--qos long --mail-type FAIL"
    modules: str = ""  # `module load` them in every job
    setup: str = ""  # shell lines that every job starts with
    scratch: str = ""  # folder on the node's own disk: each job gets a TMPDIR in it

    def queue(self, gpus: int | None) -> str:
        """The partition or queue of a job."""
        return self.gpu_partition if gpus and self.gpu_partition else self.partition

    def words(self) -> list[str]:
        """``options`` as words, variables of the environment replaced."""
        return [os.path.expandvars(word) for word in shlex.split(self.options)]


def load() -> Site:
    """The site's settings; empty ones when there is no file.

    Raises:
        AsitError: ASIT_SITE names a file that is not there, the file is malformed, or holds an unknown name.
    """
    path = _find()
    if path is None:
        return Site()
    known = [f.name for f in fields(Site) if f.name != "path"]
    values: dict[str, str] = {}
    for name, (found, where) in read_yaml(str(path)).items():
        if name not in known:
            raise AsitError(f"{where}: unknown setting '{name}': {nearest(name, known)}")
        value = " ".join(map(str, found)) if isinstance(found, list) else found
        if not isinstance(value, str | int | float):
            raise AsitError(f"{where}: {name}: expected text, found {value!r}")
        values[name] = str(value).strip()
    site = Site(str(path), **values)
    try:
        site.words()
    except ValueError as error:
        raise AsitError(f"{path}: options: {str(error).lower()}") from None
    return site


def _find() -> Path | None:
    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            raise AsitError(f"{VARIABLE}={named}: no such file; unset it or write the file (docs/cluster.md)")
        return Path(named)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for path in (home / "asit/site.yaml", Path(__file__).resolve().parents[2] / "site.yaml"):
        if path.is_file():
            return path
    return None
