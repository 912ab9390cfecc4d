#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A session with the daemon, and one with virtioctl, under valgrind: no error, nothing lost."""
import subprocess
import sys

from harness import (MIB, PATIENCE, VIRTIOCTL, LoopTest, main, need_program, pattern, sha256,
                     sha256_file)

VALGRIND = [need_program("valgrind", "valgrind"), "-q", "--error-exitcode=99", "--leak-check=full",
            "--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect",
            "--track-fds=no"]

# Debian 12's valgrind does not understand the debugging information of its clang.
if b"debuginfo reader" in subprocess.run([*VALGRIND, VIRTIOCTL, "--version"], capture_output=True,
                                         check=False).stderr:
    print("SKIPPED: valgrind cannot read this compiler's debugging information", file=sys.stderr)
    sys.exit(77)


class Valgrind(LoopTest):
    def test_daemons(self):
        image = self.file("img", pattern(4 * MIB))
        # valgrind opens files, among others.
        d = self.blk(image, "--num-queues=2", "--sandbox=none", wrapper=VALGRIND)
        self.ctl("probe", d.path)
        data = pattern(MIB + 17, seed=2)
        self.ctl("write", "--offset=1M", d.path, data=data)
        got = self.ctl("read", "--queue=1", "--queue-size=1024", d.path)[0]
        self.stop(d)
        self.assertEqual(got[MIB:MIB + len(data)], data)
        self.assertEqual(sha256(got), sha256_file(image))

    def test_virtioctl(self):
        image = self.file("img", pattern(MIB))
        d = self.blk(image)
        for data, *args in ((None, "probe", "--json"), (None, "probe"), (None, "read"),
                            (pattern(100001, seed=5), "write")):
            done = subprocess.run([*VALGRIND, VIRTIOCTL, *args, "--sandbox=none", d.path],
                                  capture_output=True, input=data, timeout=PATIENCE, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, b""), args)
        self.stop(d)


if __name__ == "__main__":
    main()
