#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names the tests of a run of ./check that failed, each with what it said of it, once more at the
end: reports of a CI keep the end of an output, not always its middle.

Usage: failures.py LOG...

LOG: meson's testlog.json of each suite that was run.
"""

import json
import os
import re
import sys

GOOD = ("OK", "EXPECTEDFAIL", "SKIP")
# How cmocka, Python, the sanitizers and meson's own time limit name a fault.
TELLING = re.compile(r"\[ +(LINE|ERROR|FAILED) +\]|\w(Error|Exception)\b|ERROR: |SUMMARY: |"
                     r"WARNING: ThreadSanitizer|runtime error|==\d+==|^FAIL")
MOST = 20  # lines of a test


def telling(text):
    """The lines that tell why; if there are none, the last ones."""
    lines = [line for line in text.splitlines() if line.strip()]
    return [line for line in lines if TELLING.search(line)][-MOST:] or lines[-MOST:]


def failures(name, log):
    """The report of one suite: a line for each test that failed, and indented ones."""
    report = []
    for test in map(json.loads, log):
        if test["result"] in GOOD:
            continue
        report.append(f"FAILED: {name}: {test['name']}: {test['result']} after "
                      f"{test['duration']:.0f} s")
        for stream in "stdout", "stderr":
            report += ["    " + line for line in telling(test.get(stream, ""))]
    return report


def main():
    for path in sys.argv[1:]:
        build = os.path.relpath(path).split(os.sep)[0]
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in failures(build, file):
                print(line)


if __name__ == "__main__":
    main()
