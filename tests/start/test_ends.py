#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How programs end: output to a full disk is a failure, and nohup(1) is respected."""
import os
import signal
import subprocess

from harness import BLK, MIB, PATIENCE, RNG, VIRTIOCTL, LoopTest, main

KVM, XEN = os.environ.get("VIRTIOD_KVM"), os.environ.get("VIRTIOD_XEN")
SWITCH, SUPERVISOR = os.environ["VIRTIOD_SWITCH"], os.environ["VIRTIOD"]
PROGRAMS = [p for p in (BLK, RNG, VIRTIOCTL, SWITCH, SUPERVISOR, KVM, XEN) if p]


def ignored(pid, signum):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        mask = next(line for line in f if line.startswith("SigIgn:")).split()[1]
    return bool(int(mask, 16) >> signum - 1 & 1)


class Ends(LoopTest):
    def to_full_disk(self, *argv):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True,
                                  stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1, argv)
        self.assertIn("cannot write standard output", done.stderr, argv)

    def test_full_disk(self):
        for program in PROGRAMS:
            for option in ("--help", "--version"):
                self.to_full_disk(program, option)
        for daemon in (BLK, RNG):
            self.to_full_disk(daemon, "--print-capabilities")

    def test_full_disk_of_results(self):
        d = self.blk(self.file("img", size=MIB))
        self.to_full_disk(VIRTIOCTL, "probe", d.path)
        self.to_full_disk(VIRTIOCTL, "probe", "--json", d.path)
        self.to_full_disk(VIRTIOCTL, "bench", "--requests=10", d.path)
        self.stop(d)

    def test_nohup(self):
        """What is started to ignore SIGHUP goes on ignoring it."""
        d = self.daemon(RNG, wrapper=("nohup",))
        self.assertTrue(ignored(d.pid, signal.SIGHUP))
        d.process.send_signal(signal.SIGHUP)
        self.ctl("probe", d.path)
        self.stop(d)
        d = self.rng()
        self.assertFalse(ignored(d.pid, signal.SIGHUP))
        self.stop(d)


if __name__ == "__main__":
    main()
