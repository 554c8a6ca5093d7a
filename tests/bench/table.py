# SPDX-License-Identifier: Apache-2.0
"""The result table: a row a figure, both sides, their ratio, and the goal it meets or misses."""
import dataclasses
import statistics

HEAD = ("what", "ours (spread)", "against (spread)", "ratio", "goal", "")
VERDICTS = {True: "met", False: "MISSED", None: "-"}


@dataclasses.dataclass
class Goal:
    """What the ratio must be, or with a unit the figure itself."""
    sense: str  # ">=" or "<="
    bound: float
    unit: str = ""
    shown: str = ""

    def __str__(self):
        return f"{'≥' if self.sense == '>=' else '≤'} {self.shown or f'{self.bound:g}'} {self.unit}".strip()

    def is_met(self, value):
        return value >= self.bound if self.sense == ">=" else value <= self.bound


@dataclasses.dataclass
class Row:
    """`ours` and `against`: a figure a run, those of the same place measured one after the other."""
    what: str
    goal: Goal | None  # None: it is shown, and nothing is promised
    unit: str = ""
    ours: list = dataclasses.field(default_factory=list)
    against: list = dataclasses.field(default_factory=list)
    peer: str = ""
    missing: str = ""  # why one side was not measured
    by_worst: bool = False  # the most of the runs is judged, not the median

    def ratio(self):
        if not self.ours or not self.against:
            return None
        return statistics.median(a / b for a, b in zip(self.ours, self.against))

    def verdict(self):
        value = self.ratio()
        if self.goal and self.goal.unit and self.ours:
            value = (max if self.by_worst else statistics.median)(self.ours)
        return None if value is None or self.goal is None else self.goal.is_met(value)

    def cells(self):
        ratio = self.ratio()
        against = "" if self.goal and self.goal.unit else f"{self.peer}: {spread(self.against, self.unit) or self.missing}"
        return (self.what, spread(self.ours, self.unit) or self.missing, against,
                "" if ratio is None else number(ratio), str(self.goal or ""), VERDICTS[self.verdict()])


def number(value):
    """Three digits at least, no more than the figure is worth."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def spread(series, unit):
    """Median (least to most), or nothing."""
    if not series:
        return ""
    middle = f"{number(statistics.median(series))} {unit}".strip()
    if len(series) == 1:
        return middle
    return f"{middle} ({number(min(series))} to {number(max(series))})"


def render(rows):
    """As Markdown whose columns also line up in a terminal."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
                     for line in lines)
