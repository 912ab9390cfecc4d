#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_reach.py finds each disagreement between docs/security.md and reach.py."""
import copy
import os
import sys
import unittest

sys.dont_write_bytecode = True
import check_reach  # noqa: E402
import reach  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
KVM, CTL, XEN, DAEMON = "`virtiod-kvm`", "`virtioctl`", "`virtiod-xen`", \
    "Back-ends: `virtiod-DEVICE`"

# What a page is turned into, and what is found then.
PAGES = (
    ("no: no `execve()`", "`execve()`", 'tests prove "no: no `execve()`"'),
    ("no executable memory |", "no executable memory, no threads |", 'no test proves "no threads"'),
    ("16384 descriptors; no core", "1024 descriptors; no core", 'tests prove "16384 descriptors"'),
    ("| TCGETS, TCGETS2, TIOCGWINSZ", "| TCGETS, TIOCGWINSZ", "TCGETS2 is not named"),
    ("| io_uring | none |\n", "", "io_uring: it is missing"),
    ("| io_uring | none |", "| io_uring | none |\n| time | all |", "time: no test has it"),
    ("### `virtioctl`", "### Another", "`virtioctl`: the table is missing"),
)
# What a table of reach.py is turned into.
TABLES = (
    (DAEMON, "guest memory", None, "guest memory: no test has it"),
    (DAEMON, "executing programs, making code", ("exec", None), "no row has the attempt exec"),
    (DAEMON, "executing programs, making code", ("exec", "works"), 'it is no "no": exec'),
    (DAEMON, "removing files", ("unlink_sibling", "forbidden"), "all is forbidden"),
    (KVM, "names of files", ("stat_outside", "forbidden"), "stat_outside is not as for back-ends"),
    (KVM, "ioctls", ("KVM_RUN", None), "KVM_RUN is not proved"),
    (CTL, "resources", ("descriptors", "1024"), "4096 is in no result"),
    (CTL, "other processes", ("clock_of_other", None), "has no proof"),
    (XEN, "ioctls", ("TIOCSTI", "works"), "TIOCSTI is not named"),
)


class Reach(unittest.TestCase):
    def faults(self, page=None, programs=reach.PROGRAMS):
        read = check_reach.read
        check_reach.read = lambda root, path: \
            page if page and path == check_reach.PAGE else read(root, path)
        self.addCleanup(setattr, check_reach, "read", read)
        faults = "\n".join(check_reach.Checker(ROOT, programs).faults())
        check_reach.read = read
        return faults

    def test_pages(self):
        text = check_reach.read(ROOT, check_reach.PAGE)
        for old, new, fault in PAGES:
            with self.subTest(new):
                self.assertIn(old, text)
                self.assertIn(fault, self.faults(page=text.replace(old, new)))

    def test_tables(self):
        for program, row, change, fault in TABLES:
            with self.subTest(fault):
                programs = copy.deepcopy(reach.PROGRAMS)
                if change:
                    self.change(programs[program][row], *change)
                else:
                    del programs[program][row]
                self.assertIn(fault, self.faults(programs=programs))

    def change(self, statements, name, result):
        proof = next((p for _, p in statements if name in p), statements[0][1])
        if result:
            proof[name] = result
        else:
            del proof[name]

    def test_attempts(self):
        """One that is lost in attempts.c is missed."""
        checker = check_reach.Checker(ROOT, reach.PROGRAMS)
        del checker.attempts["exec"]
        self.assertIn("no test tries exec\n", "\n".join(checker.faults()))


if __name__ == "__main__":
    unittest.main()
