#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A machine whose CPU is stuck for good is replaced, once; one that is only slow is not."""
import contextlib
import io
import os
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402
import nested  # noqa: E402

REPORT = "[   64.6] watchdog: BUG: soft lockup - CPU#0 stuck for {}s! [virtiod-kvm:136]"


class Stuck(unittest.TestCase):
    def wait(self, *lines):
        console = nested.Console(["printf", "%s\n", *lines])
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return console.wait("done", 60)
        finally:
            console.kill()

    def test_slow(self):
        self.assertEqual(self.wait(REPORT.format(26), "@ done"), "")

    def test_stuck(self):
        with self.assertRaises(run.Stuck):
            self.wait(REPORT.format(26), REPORT.format(52), "@ done")

    def runs(self, *results):
        """How often the machine runs, if these are the results."""
        with mock.patch.multiple(run, Machine=mock.DEFAULT, build_image=mock.DEFAULT,
                                 run=mock.Mock(side_effect=results)) as _:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                try:
                    run.main("", 0, "x86_64")
                finally:
                    self.assertEqual("REPLACED" in said.getvalue(), results[0] is not None)
            return run.run.call_count

    def test_replaced(self):
        self.assertEqual(self.runs(None), 1)
        self.assertEqual(self.runs(run.Stuck, None), 2)

    def test_not_twice(self):
        with self.assertRaises(run.Stuck):
            self.runs(run.Stuck, run.Stuck, None)


if __name__ == "__main__":
    unittest.main()
