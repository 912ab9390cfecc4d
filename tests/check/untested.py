#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One line that names what a run of ./check did not test: a skipped test is not one that passed.

Usage: untested.py [--note=TEXT]... [--left-out=SUITE]... LOG...

LOG: meson's testlog.json of each suite that was run. --note: what is missing without a test that
could be skipped for it. --left-out: a suite that was not asked for.
"""

import argparse
import json
import re

# What virtiod is for, by the suites that show it. A suite that is not here is "other tests".
MISSION = {
    "e2e-loop": "back-ends without a guest",
    "e2e-qemu": "guests of QEMU",
    "e2e-kvm": "guests of virtiod-kvm",
    "e2e-xen": "guests of Xen",
}
OTHERS = "other tests"
# Tests say why on a line of their own; some pass without a part of them.
REASON = re.compile(r"SKIPPED: (.*)")


class Part:
    """The tests of one part of the mission."""

    def __init__(self):
        self.tests = self.skipped = 0
        self.reasons = []

    def add(self, test):
        reasons = REASON.findall(test.get("stdout", "") + "\n" + test.get("stderr", ""))
        self.tests += 1
        self.skipped += test["result"] == "SKIP" or bool(reasons)
        self.reasons += [reason for reason in reasons if reason not in self.reasons]

    def describe(self, name):
        """What of this part was not tested; None: nothing."""
        if not self.tests:
            return f"{name}: no test ran"
        if not self.skipped:
            return None
        count = "all" if self.skipped == self.tests else f"{self.skipped} of"
        why = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        return f"{name}: {count} {self.tests} tests{why}"


def part_of(name):
    """The part that a test belongs to; meson names it "project:suite+suite / test"."""
    suites = re.split(r"[:+]", name.split(" / ")[0])
    return next((part for suite, part in MISSION.items() if suite in suites), OTHERS)


def untested(logs, notes=(), left_out=()):
    """The line; logs: of each the lines."""
    parts = {name: Part() for name in [*MISSION.values(), OTHERS]}
    for log in logs:
        for line in log:
            test = json.loads(line)
            parts[part_of(test["name"])].add(test)
    asked_for = {name: part for name, part in parts.items()
                 if name not in [MISSION.get(suite) for suite in left_out]}
    missing = [part.describe(name) for name, part in asked_for.items()]
    missing += [f"{name}: left out" for name in parts if name not in asked_for]
    missing = [text for text in missing if text] + list(notes)
    return "Not tested: " + ("; ".join(missing) if missing else "nothing, all tests ran")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--note", action="append", default=[])
    parser.add_argument("--left-out", action="append", default=[])
    parser.add_argument("logs", nargs="*")
    args = parser.parse_args()
    logs = []
    for path in args.logs:
        with open(path, encoding="utf-8", errors="replace") as file:
            logs.append(file.readlines())
    print(untested(logs, args.note, args.left_out))


if __name__ == "__main__":
    main()
