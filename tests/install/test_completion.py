#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_completion.py SOURCE BUILT PROGRAM...: completion of bash, zsh and fish, by those here.

SOURCE and BUILT are the folders with bash's files; BUILT has those of zsh and fish.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILT = sys.argv[1:3]
PROGRAMS = {os.path.basename(path): os.path.abspath(path) for path in sys.argv[3:]}


def run(*argv, **environment):
    return subprocess.run(argv, check=False, capture_output=True, text=True,
                          env={**os.environ, **environment})


class Completion(unittest.TestCase):
    def need(self, shell):
        if not shutil.which(shell):
            print(f"SKIPPED: completion: there is no {shell}")
            self.skipTest(shell)

    def parses(self, shell, path):
        self.assertTrue(os.path.exists(path), path)
        done = run(shell, "-n", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""), path)

    def test_bash(self):
        for program in PROGRAMS:
            built = os.path.join(BUILT, program)
            self.parses("bash", built if os.path.exists(built)
                        else os.path.join(SOURCE, f"{program}.bash"))

    def test_zsh_knows_all(self):
        with open(os.path.join(BUILT, "_virtiod"), encoding="utf-8") as f:
            self.assertEqual(set(f.readline().split()), {"#compdef", *PROGRAMS})

    def test_zsh(self):
        self.need("zsh")
        self.parses("zsh", os.path.join(BUILT, "_virtiod"))

    def fish(self, line):
        """The words that fish offers at the end of this line."""
        path = os.pathsep.join(map(os.path.dirname, PROGRAMS.values()))
        with tempfile.TemporaryDirectory() as home:  # fish makes folders there
            done = run("fish", "--no-config", "-c",
                       f"set fish_complete_path '{BUILT}'; complete -C '{line}'",
                       PATH=f"{path}:{os.environ['PATH']}", HOME=home)
        self.assertEqual(done.stderr, "")
        return [offer.split("\t")[0] for offer in done.stdout.splitlines()]

    def test_fish(self):
        self.need("fish")
        for program in PROGRAMS:
            self.assertTrue(os.path.exists(os.path.join(BUILT, f"{program}.fish")), program)
        self.parses("fish", os.path.join(BUILT, "virtiod-blk.fish"))
        self.assertEqual(self.fish("virtiod-blk --engine="),
                         ["--engine=auto", "--engine=mmap", "--engine=sync", "--engine=uring"])
        self.assertEqual(self.fish("virtiod-blk --poll-us "), ["auto"])
        self.assertEqual(self.fish("virtioctl bench --read"), ["--read-percent"])
        self.assertEqual(self.fish("virtioctl probe --read"), [])
        self.assertEqual(self.fish("virtioctl ")[:2], ["add", "bench"])
        self.assertNotIn("virtioctl", self.fish("virtioctl "))

    def test_fish_offers_all_options(self):
        self.need("fish")
        for name, help_option in (("virtiod-blk", "--help"), ("virtiod-xen", "--help-all")):
            if name not in PROGRAMS:
                continue
            shown = re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)",
                               run(PROGRAMS[name], help_option).stdout, re.M)
            self.assertGreater(len(shown), 3, name)
            self.assertEqual(set(self.fish(f"{name} --")), set(shown), name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
