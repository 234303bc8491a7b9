"""What a number says: its name, its unit, and which way is better. Nothing else knows of direction or percent."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

PERCENT = "%"


@dataclass(frozen=True)
class Metric:
    """A metric that a task declares.

    Attributes:
        name: as in metrics.json. unit: "%" for a share in [0, 1], which is shown times 100; "" for none; else such as
            "dB". better: "higher" or "lower".

    Raises:
        ValueError: another word for ``better``.
    """

    name: str
    unit: str
    better: str

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.better not in ("higher", "lower"):
            raise ValueError(f"better: expected higher or lower, found {self.better!r:.100}")

    def __str__(self) -> str:
        return f"{self.title}, {self.better} is better"

    @property
    def title(self) -> str:
        """``accuracy in %``."""
        return f"{self.name} in {self.unit}" if self.unit else self.name

    @property
    def decimals(self) -> int:
        """Digits shown after the point."""
        return 1 if self.unit == PERCENT else 3

    def goodness(self, value: float) -> float:
        """A number that is larger for a better value."""
        return value if self.better == "higher" else -value

    def improves(self, value: float, best: float) -> bool:
        """Whether ``value`` is better than ``best``; nan never is, and all others are better than nan.

        >>> error = Metric("error", "dB", "lower")
        >>> error.improves(1.0, 2.0), error.improves(2.0, 2.0), error.improves(2.0, math.nan)
        (True, False, True)
        """
        return not math.isnan(value) and (math.isnan(best) or self.goodness(value) > self.goodness(best))

    def number(self, value: float, more: int = 0) -> str:
        """A value for people without its unit, with ``more`` digits than usual; a whole number is a count."""
        if isinstance(value, int):
            return str(value)
        return f"{100 * value if self.unit == PERCENT else value:.{self.decimals + more}f}"

    def text(self, value: float, more: int = 0) -> str:
        """A value for people with its unit.

        >>> Metric("accuracy", "%", "higher").text(0.987), Metric("dprime", "", "higher").text(2.5)
        ('98.7 %', '2.500')
        """
        return f"{self.number(value, more)} {self.unit}".rstrip()

    def spread(self, values: Sequence[float]) -> str:
        """Mean and sample standard deviation of repetitions, their number in brackets; one alone has no deviation.

        >>> Metric("accuracy", "%", "higher").spread([0.9, 0.8]), Metric("error", "dB", "lower").spread([1.5])
        ('85.0 ± 7.1 (2)', '1.500 (1)')
        """
        mean = self.number(statistics.fmean(values))
        deviation = f" ± {self.number(statistics.stdev(values))}" if len(values) > 1 else ""
        return f"{mean}{deviation} ({len(values)})"
