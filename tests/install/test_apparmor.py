#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_apparmor.py SOURCE BUILD PROGRAM...: AppArmor's profiles of these programs are there, one
for each, and Debian's parser takes them.

SOURCE, BUILD: the folders data/apparmor. Nothing is loaded into the kernel.
"""
import os
import re
import shutil
import subprocess
import sys
import unittest

SOURCE, BUILD = sys.argv[1:3]
PROGRAMS = [os.path.basename(path) for path in sys.argv[3:]]
PARSER = shutil.which("apparmor_parser", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
SYSTEM = "/etc/apparmor.d"
SKIPPED = 77


def files():
    """The profiles' paths by their programs' names."""
    return {name.rsplit(".", 1)[1]: os.path.join(BUILD, name) for name in os.listdir(BUILD)
            if ".virtiod" in name}


def text_of(program):
    with open(files()[program], encoding="utf-8") as f:
        return f.read()


class Profiles(unittest.TestCase):
    def test_programs(self):
        self.assertEqual(sorted(files()), sorted(PROGRAMS))
        for program in PROGRAMS:
            with self.subTest(program=program):
                name, path = re.search(r"^profile (\S+) (\S+) ", text_of(program), re.M).groups()
                self.assertEqual(name, program)
                self.assertEqual(path[1:].replace("/", "."), os.path.basename(files()[program]))
                self.assertIn(f"include if exists <local/{path[1:].replace('/', '.')}>",
                              text_of(program))
                self.assertNotIn("@rules@", text_of(program))

    def test_parser(self):
        for program, path in files().items():
            with self.subTest(program=program):
                done = subprocess.run(
                    [PARSER, "--skip-kernel-load", "--skip-cache", "--config-file=/dev/null",
                     f"--features-file={SYSTEM}/abi/3.0", f"--base={SYSTEM}",
                     f"--Include={SOURCE}", "--warn=all", "--Werror", path],
                    check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_devices(self):
        """What the devices' facts say is there, and only there."""
        for program, rule in (("virtiod-net", "network netlink,"),
                              ("virtiod-net", "capability net_admin,"),
                              ("virtiod-net", "/dev/net/tun rw,"),
                              ("virtiod-can", "network can,"), ("virtiod-i2c", "/dev/i2c-* rw,")):
            self.assertIn(rule, text_of(program))
            self.assertNotIn(rule, text_of("virtiod-blk"))


if __name__ == "__main__":
    if not PARSER or not os.path.exists(f"{SYSTEM}/abstractions/base"):
        print("SKIPPED: AppArmor's profiles: there is no apparmor_parser")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1])
