#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The end of ./check names every test that failed, and why."""
import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import failures  # noqa: E402


def ran(result, **output):
    return json.dumps({"name": "virtiod:unit / a-test", "result": result, "duration": 12.6,
                       **output})


# A test's end -> the lines below its name.
CASES = [
    (ran("FAIL", stdout="[ RUN      ] test_a\n[  FAILED  ] test_a\n[ RUN      ] test_b\n",
         stderr="[  ERROR   ] --- 0x1 != 0\n[   LINE   ] --- a.c:53: error: Failure!\nmore\n"),
     ["[  FAILED  ] test_a", "[  ERROR   ] --- 0x1 != 0",
      "[   LINE   ] --- a.c:53: error: Failure!"]),
    (ran("TIMEOUT", stdout="one\n\ntwo\n"), ["one", "two"]),
    (ran("FAIL", stdout="first\n" + 99 * "line\n"), failures.MOST * ["line"]),
    (ran("ERROR", stderr="x\nAssertionError: no answer\ny\n"), ["AssertionError: no answer"]),
    (ran("FAIL"), []),
]


class Failures(unittest.TestCase):
    def test_failed_is_named(self):
        for test, lines in CASES:
            with self.subTest(test):
                result = json.loads(test)["result"]
                self.assertEqual(failures.failures("build-gcc", [ran("OK", stderr="Error"), test]),
                                 [f"FAILED: build-gcc: virtiod:unit / a-test: {result} after 13 s"]
                                 + ["    " + line for line in lines])

    def test_others_are_not(self):
        for result in failures.GOOD:
            self.assertEqual(failures.failures("build-gcc", [ran(result, stderr="Error")]), [])


if __name__ == "__main__":
    unittest.main()
