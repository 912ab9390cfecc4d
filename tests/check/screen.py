#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows what a terminal showed as a picture, or finds out whether a picture still tells the truth.

    screen.py --write SVG <OUTPUT     makes it; the commands in it are set off
    screen.py SVG <OUTPUT             passes OUTPUT on; every line of SVG must be in it, in order

Figures, and what was given out anew, may differ. Exit status: 0; 1: the first line that is missing,
on standard error.
"""
import html
import re
import sys

WIDTH, LINE, MARGIN = 8.4, 18, 16  # of a character, a line, around it all
STYLE = """
text { font: 14px ui-monospace, Menlo, Consolas, monospace; fill: #d7dce2 }
.c { fill: #7fd88f }
.h { fill: #8fb8ff }
"""


def masked(line):
    """A line without what differs from one run to the next."""
    line = re.sub(r"\b[0-9a-f]{16}\b", "x", line.rstrip())
    return re.sub(r"\b[KMGT]iB/s", "B/s", re.sub(r"[0-9]+(\.[0-9]+)?", "0", line))


def kind(line):
    return {"$": "c", " ": ""}.get(line[:1], "h")


def write(path, lines):
    width = round(max(map(len, lines)) * WIDTH + 2 * MARGIN)
    height = len(lines) * LINE + 2 * MARGIN
    with open(path, "w", encoding="utf-8") as f:
        f.write('<!-- SPDX-License-Identifier: Apache-2.0 -->\n'
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n'
                f'<style>{STYLE}</style>\n'
                '<rect width="100%" height="100%" rx="8" fill="#1b1f27"/>\n'
                '<g xml:space="preserve">\n')
        for i, line in enumerate(lines):
            if line:
                f.write(f'<text x="{MARGIN}" y="{MARGIN + (i + 1) * LINE - 5}" '
                        f'class="{kind(line)}"\n>{html.escape(line, quote=False)}</text>\n')
        f.write("</g>\n</svg>\n")


def shown(path):
    with open(path, encoding="utf-8") as f:
        return [html.unescape(text) for text in re.findall(r"<text [^>]*>([^<]*)</text>", f.read())]


def missing(lines, output):
    """The first of the lines that is not in the output after the one before; None: all are."""
    rest = iter(map(masked, output))
    return next((line for line in lines if masked(line) not in rest), None)


def main(argv):
    output = sys.stdin.read().splitlines()
    if argv[0] == "--write":
        write(argv[1], output)
        return 0
    print("\n".join(output), flush=True)
    gone = missing(shown(argv[0]), output)
    if gone is not None:
        print(f"{argv[0]}: not in the output: {gone}", file=sys.stderr)
    return int(gone is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
