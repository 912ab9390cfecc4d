# SPDX-License-Identifier: Apache-2.0
"""Lines of the comparison: samples of two sides, their ratio, and what is required of it."""
import operator
import statistics

WIDTHS = (34, 9, 24, 24, 7, 9)
OPERATORS = {">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt}


def summary(samples):
    """(median, lower quartile, upper quartile)"""
    if len(samples) == 1:
        return samples * 3
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return [median, low, high]


def number(value):
    return f"{value:.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def spread(samples):
    if not samples:
        return ""
    median, low, high = summary(samples)
    return number(median) if low == high else f"{number(median)} ({number(low)}-{number(high)})"


def ratio_of(ours, theirs):
    """Samples of the same rounds were taken side by side, and what slows a machine down for a while
    (a neighbour on the same host) cancels out: the median of their ratios. Else that of medians."""
    if len(ours) == len(theirs) and all(theirs):
        return statistics.median(a / b for a, b in zip(ours, theirs))
    return summary(ours)[0] / summary(theirs)[0]


class Line:
    """ours next to theirs. What is required, as in (">=", 3.2), is so of the ratio, or if absolute
    of ours alone; None: for information."""

    def __init__(self, title, unit, ours, theirs=(), required=None, absolute=False):
        self.title, self.unit = title, unit
        self.ours, self.theirs = list(ours), list(theirs)
        self.required = required
        self.absolute = absolute
        self.ratio = None
        if self.ours and self.theirs and summary(self.theirs)[0]:
            self.ratio = ratio_of(self.ours, self.theirs)

    @property
    def ok(self):
        """None: nothing is required."""
        if not self.required:
            return None
        value = self.ratio
        if self.absolute:
            value = summary(self.ours)[0] if self.ours else None
        return value is not None and OPERATORS[self.required[0]](value, self.required[1])

    def row(self):
        sign = "" if self.absolute else "x"
        return (self.title, self.unit, spread(self.ours), spread(self.theirs),
                f"{self.ratio:.2f}x" if self.ratio is not None else "",
                f"{self.required[0]} {self.required[1]:.3g}{sign}" if self.required else "",
                {None: "", True: "ok", False: "MISSED"}[self.ok])

    def facts(self):
        return {"title": self.title, "unit": self.unit, "ours": self.ours, "theirs": self.theirs,
                "ratio": self.ratio, "required": self.required, "absolute": self.absolute,
                "ok": self.ok}


class Section:
    """Lines with the same two sides."""

    def __init__(self, title, ours, theirs, lines=()):
        self.title, self.ours, self.theirs = title, ours, theirs
        self.lines = list(lines)

    def print(self):
        def show(columns):
            cells = [f"{c:<{w}}" if i < 2 else f"{c:>{w}}"
                     for i, (c, w) in enumerate(zip(columns, WIDTHS))]
            print(" ".join([*cells, columns[-1]]).rstrip())
        print()
        ratio = any(line.ratio is not None for line in self.lines)
        show((self.title, "", self.ours, self.theirs, "ratio" if ratio else "",
              "required" if any(line.required for line in self.lines) else "", ""))
        for line in self.lines:
            show(line.row())

    def facts(self):
        return {"title": self.title, "ours": self.ours, "theirs": self.theirs,
                "lines": [line.facts() for line in self.lines]}
