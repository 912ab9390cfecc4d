#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A picture of a terminal is compared with what a program says now."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import screen  # noqa: E402

SAID = ["$ a <b> & c", "  64 MiB in 0.5 s, 128 MiB/s", "", "  sum 0123456789abcdef..."]


class Screen(unittest.TestCase):
    def test_what_is_written_is_shown(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.svg")
            screen.write(path, SAID)
            self.assertEqual(screen.shown(path), [line for line in SAID if line])

    def test_missing(self):
        for output, missing in (
                (SAID, None),
                (["before", *SAID, "after"], None),
                ([SAID[0], "  7 MiB in 11.25 s, 2 GiB/s", "-", "  sum fedcba9876543210..."], None),
                (SAID[1:], SAID[0]),
                ([SAID[1], SAID[0], *SAID[2:]], SAID[1]),
                (["$ a <b> & c", "  64 KiB in 0.5 s, 128 MiB/s", SAID[3]], SAID[1]),
                ([], SAID[0])):
            with self.subTest(output):
                self.assertEqual(screen.missing([line for line in SAID if line], output), missing)


if __name__ == "__main__":
    unittest.main()
