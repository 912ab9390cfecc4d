#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_debian.py SOURCE: the packages of debian/ are built, clean for lintian, and work.

They are built from what git knows in SOURCE, and never installed: their tests (autopkgtest's) run
in a mount namespace where what they contain lies over /usr.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from packages import build, run

SOURCE = os.path.abspath(sys.argv[1])
PACKAGES = {"virtiod", "virtiod-kvm", "virtiod-xen"}
SKIPPED = 77


def missing():
    """Why there is nothing to test; None: all is there."""
    for program in ("dpkg-buildpackage", "dh", "lintian", "git"):
        if not shutil.which(program):
            return f"there is no {program}"
    if os.geteuid() != 0:
        return "only root can lay files over /usr"
    return None


class Debian(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="debian-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.root = os.path.join(cls.folder, "root")
        cls.packages = build(SOURCE, cls.folder)
        for path in cls.packages.values():
            run("dpkg-deb", "-x", path, cls.root)

    def test_packages(self):
        self.assertEqual(set(self.packages), PACKAGES)
        with open(os.path.join(SOURCE, "meson.build"), encoding="utf-8") as f:
            version = re.search(r"version: '([^']*)'", f.read())[1]
        for name, path in self.packages.items():
            self.assertEqual(run("dpkg-deb", "-f", path, "Version").strip(), version, name)

    def test_lintian(self):
        changes = glob.glob(os.path.join(self.folder, "*.changes"))
        self.assertEqual(run("lintian", "--allow-root", "--fail-on", "error,warning", *changes), "")

    def test_guests_are_left_alone(self):
        """Neither an upgrade nor a removal starts, stops or restarts a service."""
        for name, path in self.packages.items():
            scripts = os.path.join(self.folder, f"{name}.scripts")
            run("dpkg-deb", "-e", path, scripts)
            for script in glob.glob(os.path.join(scripts, "p*")):
                with open(script, encoding="utf-8") as f:
                    self.assertNotRegex(f.read(), r"deb-systemd-invoke|invoke-rc\.d|service ",
                                        (name, script))

    def test_autopkgtests(self):
        with open(os.path.join(SOURCE, "debian/tests/control"), encoding="utf-8") as f:
            tests = re.findall(r"^Tests: (\S+)", f.read(), re.M)
        self.assertTrue(tests)
        for name in tests:
            scratch = os.path.join(self.folder, name)
            os.mkdir(scratch)
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-ec",
                 'mount -t overlay -o "lowerdir=$0:/usr" overlay /usr; exec "$1"',
                 os.path.join(self.root, "usr"), os.path.join(SOURCE, "debian/tests", name)],
                check=False, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, env={**os.environ, "AUTOPKGTEST_TMP": scratch})
            if done.returncode == SKIPPED:
                print(f"SKIPPED: Debian's test {name}: {done.stdout.strip()}")
            else:
                self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    reason = missing()
    if reason:
        print(f"SKIPPED: Debian's packages: {reason}")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1])
