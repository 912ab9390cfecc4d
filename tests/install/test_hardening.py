#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_hardening.py PROGRAM...: how each installed program is linked.

Position-independent, with tables of addresses that are read-only once it runs (full RELRO), guarded
stacks that hold no code, and checked calls of the C library; without libraries that do far more
than it needs.
"""
import os
import re
import subprocess
import sys
import unittest

PROGRAMS = sys.argv[1:]
# GLib's own larger relatives, and what they bring along.
UNWANTED = re.compile(r"lib(gio|gobject|gmodule|json-glib|mount|selinux|blkid)\b")


def output(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


class Hardening(unittest.TestCase):
    def each(self, *argv):
        """Each program with what this command says of it."""
        for program in PROGRAMS:
            with self.subTest(program=os.path.basename(program)):
                yield output(*argv, program)

    def test_position(self):
        for text in self.each("readelf", "--file-header", "--dynamic"):
            self.assertRegex(text, r"Type: +DYN")
            self.assertRegex(text, r"FLAGS_1\).* PIE")

    def test_read_only(self):
        for text in self.each("readelf", "--program-headers", "--dynamic"):
            self.assertIn("GNU_RELRO", text)
            self.assertRegex(text, r"\(FLAGS(_1)?\).*NOW")
            self.assertNotIn("TEXTREL", text)

    def test_stack(self):
        for text in self.each("readelf", "--wide", "--program-headers"):
            self.assertRegex(text, r"GNU_STACK.* RW +0x")
            self.assertNotRegex(text, r"LOAD.* RWE ")

    def test_checks(self):
        for text in self.each("readelf", "--wide", "--dyn-syms"):
            self.assertIn("__stack_chk_fail@", text)
            self.assertRegex(text, r"__(memcpy|snprintf|read|poll)_chk@")

    def test_libraries(self):
        for text in self.each("ldd"):
            self.assertIn("libglib-2.0", text)
            self.assertNotRegex(text, UNWANTED)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
