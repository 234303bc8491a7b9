"""What a run writes for people: console and ``train.log``, ``metrics.jsonl``, TensorBoard, pictures."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from asit.errors import AsitError
from asit.io.atomic import atomic_open

log = logging.getLogger(__name__)
FEWEST = 700  # updates below which pretraining tends to hurt
TIMED = 3  # updates whose time says what a run will cost; the one before them warms up


def start_log(out_dir: Path, main: bool) -> None:
    """Send the ``asit`` loggers to the console and to ``out_dir/train.log`` (appended to); other ranks only warn."""
    root = logging.getLogger("asit")
    root.setLevel(logging.INFO if main else logging.WARNING)
    root.propagate = False
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if main:
        out_dir.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(out_dir / "train.log", encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
        root.addHandler(handler)


class MetricLog:
    """``metrics.jsonl`` (one object a line, with ``step``) and TensorBoard, as of ``step`` updates already done.

    Lines of later steps, written by a run that was killed after its last checkpoint, are removed first: a step
    appears once, whatever happened. With ``main`` false nothing is written.
    """

    def __init__(self, out_dir: Path, step: int, main: bool = True, tensorboard: bool = True) -> None:
        self.out_dir, self.main = out_dir, main
        self._stream, self._board = None, None
        if not main:
            return
        path = out_dir / "metrics.jsonl"
        _drop_after(path, step)
        self._stream = open(path, "a", encoding="utf-8")  # noqa: SIM115 - open as long as the run
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._board = SummaryWriter(str(out_dir / "tensorboard"), purge_step=step + 1 if step else None)

    def scalars(self, step: int, values: dict[str, float], prefix: str = "train") -> None:
        """One line of ``metrics.jsonl`` and one point per value."""
        if not self.main:
            return
        print(json.dumps({"step": step, "kind": prefix, **values}), file=self._stream, flush=True)
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(f"{prefix}/{name}", value, step)

    def pictures(self, step: int, images: dict[str, np.ndarray]) -> None:
        """``images/<name>.<step>.png`` and TensorBoard images; uint8 (H, W) or (H, W, 3)."""
        if not self.main:
            return
        from PIL import Image  # slow to import

        for name, pixels in images.items():
            if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
                raise ValueError(f"picture {name}: expected uint8 (H, W[, 3]), found {pixels.dtype} {pixels.shape}")
            with atomic_open(self.out_dir / "images" / f"{name}.{step:08d}.png", "wb") as stream:
                Image.fromarray(pixels).save(stream, format="PNG")
            if self._board:
                self._board.add_image(name, pixels, step, dataformats="HW" if pixels.ndim == 2 else "HWC")

    def close(self) -> None:
        """Flush everything."""
        if self._stream:
            self._stream.close()
        if self._board:
            self._board.close()


class Progress:
    """Speed, share of time spent waiting for data, and time left, from the steps of this session."""

    def __init__(self, first_step: int, total: int) -> None:
        self.total, self._last_step = total, first_step
        self._last = time.perf_counter()
        self._waited = 0.0
        self._seconds_per_step: float | None = None
        self._first, self._warm = first_step, 0.0

    def waited(self, seconds: float) -> None:
        """Add time spent waiting for a batch."""
        self._waited += seconds

    def cost(self, step: int) -> str:
        """What the run will cost, once in a session: after its first few updates; else ""."""
        if step == self._first + 1:
            self._warm = time.perf_counter()
        if step != self._first + 1 + TIMED or step >= self.total:
            return ""
        return cost((time.perf_counter() - self._warm) / TIMED, self.total - step)

    def report(self, step: int, clips_per_step: int) -> dict[str, float]:
        """``clips_per_second``, ``wait_share`` of the interval, ``seconds_left`` (smoothed)."""
        now = time.perf_counter()
        seconds = max(1e-9, now - self._last)
        steps = max(1, step - self._last_step)
        pace = seconds / steps
        old = self._seconds_per_step
        self._seconds_per_step = pace if old is None else 0.7 * old + 0.3 * pace
        found = {
            "clips_per_second": clips_per_step * steps / seconds,
            "wait_share": min(1.0, self._waited / seconds),
            "seconds_left": self._seconds_per_step * (self.total - step),
        }
        self._last, self._last_step, self._waited = now, step, 0.0
        return found


def line(step: int, total: int, epoch: int, values: dict[str, float], speed: dict[str, float]) -> str:
    """One line of progress."""
    shown = " ".join(f"{k} {v:.4g}" for k, v in values.items())
    return (
        f"step {step}/{total} epoch {epoch} {shown} | {speed['clips_per_second']:.1f} clips/s, "
        f"waiting {100 * speed['wait_share']:.0f} %, {duration(speed['seconds_left'])} left"
    )


def cost(seconds: float, updates: int) -> str:
    """The time of updates in words, and what a third of them would take.

    >>> cost(3.0, 2100)
    'about 105 min for 2100 updates of 3 s; with --steps 700 about 35 min'
    """
    text = f"about {seconds * updates / 60:.3g} min for {updates} updates of {seconds:.2g} s"
    fewer = max(FEWEST, updates // 3)
    return text + (f"; with --steps {fewer} about {seconds * fewer / 60:.3g} min" if fewer < updates else "")


def duration(seconds: float) -> str:
    """Hours, minutes, seconds.

    >>> duration(3723)
    '1:02:03'
    """
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The objects of a ``metrics.jsonl``; a last line cut short by a kill is left out.

    Raises:
        AsitError: another line is not JSON.
    """
    if not path.exists():
        return []
    found: list[dict[str, Any]] = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, text in enumerate(lines, 1):
        if not text:
            continue
        try:
            found.append(json.loads(text))
        except ValueError:
            if number == len(lines):
                break
            raise AsitError(f"{path}:{number}: expected a JSON object, found '{text[:40]}'; remove the line") from None
    return found


def _drop_after(path: Path, step: int) -> None:
    rows = read_metrics(path)
    kept = [row for row in rows if row["step"] <= step]
    if path.exists():
        with atomic_open(path) as stream:
            stream.writelines(json.dumps(row) + "\n" for row in kept)
