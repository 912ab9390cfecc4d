#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_probes.py BUILT VIRTIOCTL VIRTIOD-BLK PROGRAM...: static probes, and what bpftrace sees.

BUILT has the scripts. Where the kernel lets bpftrace look, they are run.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BUILT, VIRTIOCTL, BLK = map(os.path.abspath, sys.argv[1:4])
PROGRAMS = sys.argv[4:]
SCRIPTS = ("virtiod-latency.bt", "virtiod-messages.bt")
# Each probe, with its number of arguments: base/trace.h.
PROBES = {"kick": 1, "pop": 3, "push": 3, "call": 1, "message": 3}
REQUESTS = 1000
PATIENCE = 600


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {PATIENCE} s")
        time.sleep(0.01)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


class Probes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="probes-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name):
        return os.path.join(self.folder, name)

    def start(self, name, *argv):
        """Its output is in the file of that name."""
        with open(self.file(name), "wb") as out:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        return process

    def test_notes(self):
        for program in PROGRAMS:
            text = subprocess.run(["readelf", "--notes", "--wide", program], check=True,
                                  stdout=subprocess.PIPE, text=True).stdout
            found = re.findall(r"Provider: virtiod\s+Name: (\w+)\s.*\s+Arguments: (.*)", text)
            self.assertEqual({name: len(arguments.split()) for name, arguments in found}, PROBES,
                             program)

    def bpftrace(self, name):
        """Starts a script; it also prints what it has counted ten times a second."""
        text = re.sub(r"usdt:\S*/virtiod-\*:", f"usdt:{self.file('blk')}:", read(BUILT, name))
        self.assertIn(f"usdt:{self.file('blk')}:", text)
        if "@n[" in text:
            text += "interval:ms:100 { print(@n); print(@us); printf(\"so far\\n\"); }\n"
        with open(self.file(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.start(name + ".out", "bpftrace", "-B", "line", self.file(name))

    def bench(self, requests):
        subprocess.run([VIRTIOCTL, "bench", f"--requests={requests}", "--warmup=0",
                        self.file("s")], check=True, stdout=subprocess.DEVNULL)

    def said(self):
        return [read(self.folder, name + ".out") for name in SCRIPTS]

    def look(self, tracers):
        """Has the daemon serve until all probes are seen: they are set one by one. False: none."""
        begin, seen = time.monotonic(), False
        while any(tracer.poll() is None for tracer in tracers):
            late = time.monotonic() > begin + PATIENCE / 10
            self.assertFalse(late and seen, self.said())
            if late:  # a kernel that lets it look, and shows nothing
                break
            self.bench(1)
            latency, messages = self.said()
            seen = "@n[" in latency or "GET_" in messages
            if all(word in latency for word in ("@us[", "requests]", "kicks]", "calls]")) \
                    and "GET_FEATURES" in messages:
                return True
        return False

    def counted(self):
        """How many requests were taken, and how many have a latency; nothing is served now."""
        n = self.said()[0].count("so far")
        wait_until(lambda: self.said()[0].count("so far") >= n + 2, "what was counted")
        last = self.said()[0].split("so far")[-2]
        return (int(re.search(r"(?m)^@n\[.*, requests\]: (\d+)", last)[1]),
                sum(map(int, re.findall(r"(?m)\)\s+(\d+) \|", last.partition("@us[")[2]))))

    def test_scripts(self):
        if not shutil.which("bpftrace"):
            print("SKIPPED: scripts for bpftrace: it is not installed")
            self.skipTest("bpftrace")
        image = self.file("image")
        with open(image, "wb") as f:
            f.truncate(1 << 20)
        shutil.copy(BLK, self.file("blk"))  # others' processes run the other file
        self.start("log", self.file("blk"), f"--socket-path={self.file('s')}",
                   f"--blk-file={image}")
        wait_until(lambda: "listening" in read(self.folder, "log"), "the daemon")
        self.bench(1)  # it has started
        tracers = [self.bpftrace(name) for name in SCRIPTS]
        if not self.look(tracers):
            print("SKIPPED: scripts for bpftrace:", " ".join(self.said()[0].split()))
            self.skipTest("bpftrace")
        before = self.counted()
        self.bench(REQUESTS)
        self.assertEqual(self.counted(), tuple(n + REQUESTS for n in before))
        # The other one may not notice while no message comes.
        tracers[0].send_signal(signal.SIGINT)
        self.assertEqual(tracers[0].wait(PATIENCE), 0)
        messages = self.said()[1]
        for name in "GET_FEATURES", "SET_VRING_KICK", "GET_VRING_BASE":
            self.assertRegex(messages, rf"(?m)^ *\d+ \S+ +\d+ +\d+ {name}$")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
