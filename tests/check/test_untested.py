#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A skipped test is named at the end of ./check, and so is a suite that did not run."""
import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import untested  # noqa: E402


def ran(suite, result="OK", **output):
    return json.dumps({"name": f"virtiod:{suite} / a-test", "result": result, **output})


ALL = [ran("unit"), ran("e2e-loop"), ran("e2e-qemu"), ran("e2e-kvm"), ran("e2e-xen")]
NO_LAB = ran("e2e-xen", "SKIP", stdout="SKIPPED: no lab (./check puts it there)\n")

# What ran, options -> the line.
CASES = [
    (ALL, {}, "nothing, all tests ran"),
    (ALL[:4], {}, "guests of Xen: no test ran"),
    ([*ALL[:4], NO_LAB, NO_LAB], {},
     "guests of Xen: all 2 tests (no lab (./check puts it there))"),
    ([*ALL, NO_LAB], {}, "guests of Xen: 1 of 2 tests (no lab (./check puts it there))"),
    ([*ALL, ran("unit+slow", "SKIP")], {}, "other tests: 1 of 2 tests"),
    # Passes, but for a part of it.
    ([*ALL, ran("unit", stderr="a\nSKIPPED: no dtc\nb\n")], {},
     "other tests: 1 of 2 tests (no dtc)"),
    (ALL[:2], {"left_out": ["e2e-qemu", "e2e-kvm", "e2e-xen"]},
     "guests of QEMU: left out; guests of virtiod-kvm: left out; guests of Xen: left out"),
    (ALL, {"notes": ["arm64"]}, "arm64"),
    ([], {"left_out": list(untested.MISSION), "notes": ["a", "b"]},
     "other tests: no test ran; " +
     "".join(f"{name}: left out; " for name in untested.MISSION.values()) + "a; b"),
]


class Untested(unittest.TestCase):
    def test_skipped_is_named(self):
        for tests, options, expected in CASES:
            with self.subTest(expected):
                self.assertEqual(untested.untested([tests], **options), "Not tested: " + expected)

    def test_skipped_in_several_logs(self):
        self.assertEqual(untested.untested([ALL, [NO_LAB], [ran("e2e-xen")]]), "Not tested: "
                         "guests of Xen: 1 of 3 tests (no lab (./check puts it there))")


if __name__ == "__main__":
    unittest.main()
