"""What the parts of benchmarks/gpu.sh share: checks that go on after a failure, and one result file a part.

A result is ``{"part", "title", "status", "seconds", "command", "machine", "checks", "tables"}``. It is written after
every check, with the status ``running``: a part that is ended early leaves what it found. report.py shows the tables.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
for _folder in ("", "benchmarks", "tests/golden", "tests/support", "tests/faults"):
    sys.path.insert(0, str(ROOT / _folder))
import measure  # noqa: E402 - from the folders named above

from asit.config import Options, option, parse  # noqa: E402
from asit.errors import AsitError, excerpt  # noqa: E402
from asit.io.atomic import write_text  # noqa: E402
from asit.methods.asit import ASiT  # noqa: E402
from asit.runs import pictures  # noqa: E402
from asit.train.run_log import MetricLog  # noqa: E402

Table = measure.Result
# No pictures: a machine that only measures may lack matplotlib and Pillow.
ASiT.pictures = lambda *_: {}
MetricLog.pictures = pictures.save_confusion = pictures.save_pairs = lambda *_: None


@dataclass(frozen=True)
class Settings(Options):
    """One part of benchmarks/gpu.sh."""

    device: str = option("cuda", "where to run", ["cuda", "cpu"])
    tiny: bool = option(False, "toy sizes: shows that the part runs; its figures mean nothing")
    out: str = option("benchmarks/results/gpu", "folder of the result")
    limit: int = option(600, "seconds after which the part is ended", least=1)


class Part:
    """The checks of one part; ``with Part("name", "title") as part:``."""

    def __init__(self, name: str, title: str) -> None:
        self.settings = parse(Settings)
        self.began = time.monotonic()
        self.device = torch.device(self.settings.device)
        self.tiny, self.on_gpu = self.settings.tiny, self.device.type == "cuda"
        self.checks: list[dict[str, Any]] = []
        self.tables: list[Table] = []
        self.facts = {"part": name, "title": title, "status": "running"}
        self.facts["command"] = f"benchmarks/gpu.sh --device {self.settings.device} --parts {name}"
        self.facts["machine"] = measure.machine()
        self.save()

    def __enter__(self) -> Part:
        if self.on_gpu and not torch.cuda.is_available():
            with self.going_on("GPU"):
                raise AsitError("torch finds no GPU on this machine; --device cpu --tiny true tries the script without")
            self._end()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if error is not None and not isinstance(error, SystemExit):
            traceback.print_exception(error)
            self.record("the part itself", False, found=excerpt(f"{kind.__name__}: {error}", 300))
        self._end()

    def _end(self) -> None:
        held = bool(self.checks) and all(check["held"] for check in self.checks)
        self.facts["status"] = "held" if held else "failed"
        self.save()
        raise SystemExit(not held)

    def left(self) -> float:
        """Seconds until the part is ended."""
        return self.settings.limit - (time.monotonic() - self.began)

    def save(self) -> None:
        """Write what is known."""
        folder = Path(self.settings.out)
        folder.mkdir(parents=True, exist_ok=True)
        facts = {**self.facts, "seconds": round(time.monotonic() - self.began, 1)}
        facts |= {"checks": self.checks, "tables": [asdict(table) for table in self.tables]}
        write_text(folder / f"{self.facts['part']}.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")

    def record(self, name: str, held: bool, **facts: Any) -> None:
        """One check."""
        self.checks.append({"name": name, "held": bool(held), **facts})
        print(f"{'held' if held else 'FAILED'}: {name} {facts or ''}", flush=True)
        self.save()

    def at_most(self, name: str, found: float, bound: float) -> None:
        """A check that holds when ``found <= bound``; NaN does not."""
        self.record(name, found <= bound, found=float(f"{found:.3g}"), at_most=float(f"{bound:.3g}"))

    def fact(self, name: str, found: Any) -> None:
        """A figure without a bound."""
        self.record(name, True, found=found)

    @contextlib.contextmanager
    def going_on(self, name: str) -> Iterator[None]:
        """Turn an exception into a failed check, so that what follows still runs."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.record(name, False, found=excerpt(f"{type(error).__name__}: {error}", 300))


def call(name: str, words: Sequence[str]) -> None:
    """Run ``asit-<name>`` in this process.

    Raises:
        AsitError: it ended with another code than 0; it has said why.
    """
    before, sys.argv = sys.argv, [f"asit-{name}", *words]
    try:
        code = importlib.import_module(f"asit.bin.{name.replace('-', '_')}").main()
    except SystemExit as end:  # of an option that is refused; it would pass for the end of the part
        code = end.code
    finally:
        sys.argv = before
    if code:
        raise AsitError(f"asit-{name}: exit code {code}; the log says why")


def exact_float32() -> None:
    """float32 products and convolutions without TF32, and the same kernels in every run."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
