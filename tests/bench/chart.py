# SPDX-License-Identifier: Apache-2.0
"""The comparison as bars in an SVG file: a group for each line, a bar for each side."""
from html import escape

LABELS, BARS, FIGURES = 260, 420, 220  # widths of the three columns
BAR, GAP, HEAD = 14, 14, 34
COLOURS = ("#2166ac", "#92c5de", "#f4a582", "#b2abd2", "#a6dba0")  # ours, ours packed, others
REFERENCE, INK, FAINT, MISSED = "#878787", "#222222", "#d0d0d0", "#b2182b"


def text(x, y, words, anchor="start", colour=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def rectangle(x, y, width, height, colour):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def vertical(x, top, bottom, colour, dashes=""):
    return (f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" '
            f'stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dashes}"/>')


class Panel:
    """Groups of bars on one scale. A group: (label, required ratio or None, met, bars), where a
    bar is (side's name, ratio, figure in words)."""

    def __init__(self, title, groups):
        self.title, self.groups = title, groups
        highest = max(bar[1] for g in groups for bar in g[3])
        self.scale = BARS / max(1.0, highest, *(g[1] or 0 for g in groups))

    def draw(self, top, colours):
        """(elements, the y below it)"""
        out = [text(12, top + 20, self.title, weight="bold")]
        y = top + HEAD
        for label, needed, met, bars in self.groups:
            bottom = y + BAR * len(bars)
            out.append(text(LABELS - 10, (y + bottom) / 2 + 4, label, "end"))
            for n, (side, ratio, figure) in enumerate(bars):
                row = y + n * BAR
                out.append(rectangle(LABELS, row, ratio * self.scale, BAR - 2, colours[side]))
                out.append(text(LABELS + BARS + 10, row + BAR - 4, f"{ratio:.2f}x, {figure}"))
            if needed:
                out.append(vertical(LABELS + needed * self.scale, y - 3, bottom + 1,
                                    INK if met else MISSED, "3 2"))
            y = bottom + GAP
        out.insert(1, vertical(LABELS + self.scale, top + HEAD - 4, y - GAP + 4, REFERENCE))
        out.insert(1, vertical(LABELS, top + HEAD - 4, y - GAP + 4, FAINT))
        return out, y


def legend(sides, reference):
    out, x = [], 12
    for name, colour in sides.items():
        out += [rectangle(x, 44, 12, 12, colour), text(x + 17, 54, name)]
        x += 40 + 7 * len(name)
    out += [vertical(x + 6, 42, 58, REFERENCE), text(x + 17, 54, f"{reference} = 1")]
    x += 60 + 7 * len(reference)
    return [*out, vertical(x + 6, 42, 58, INK, "3 2"), text(x + 17, 54, "required")]


def svg(title, reference, sides, panels):
    """sides: names in the order of their colours; panels: [(title, groups)], see Panel."""
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(sides)}
    body, y = [text(12, 28, title, weight="bold"), *legend(colours, reference)], 66
    for words, groups in panels:
        elements, y = Panel(words, groups).draw(y, colours)
        body += elements
    width = LABELS + BARS + FIGURES
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y:.0f}" '
        f'viewBox="0 0 {width} {y:.0f}" font-family="sans-serif" font-size="12">',
        rectangle(0, 0, width, f"{y:.0f}", "#ffffff"), *body, "</svg>", ""])
