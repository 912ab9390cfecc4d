#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints which devices worked with which front-end.

Usage: matrix.py LOG...: meson's testlog.json of suites that were run.
"""

import json
import re
import sys

from devices import all_devices, table

# As run.py prints them.
CELL = re.compile(r"^cell (\S+) (\S+): (\w+)", re.M)


def results(logs):
    """{(front-end, device): "ok" or "failed"} of the logs' lines; one failure is enough."""
    found = {}
    for log in logs:
        for line in log:
            for front_end, device, result in CELL.findall(json.loads(line).get("stdout", "")):
                if found.get((front_end, device)) != "failed":
                    found[front_end, device] = result
    return found


def matrix(devices, found):
    def cell(device, front_end):
        result = found.get((front_end, device.name))
        return result or (None if front_end in device.without else "not run")
    return table(devices, cell)


def main(*paths):
    lines = []
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines.append(list(file))
    print(matrix(all_devices(), results(lines)))


if __name__ == "__main__":
    main(*sys.argv[1:])
