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


def read(path):
    with open(path, encoding="utf-8") as f:
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

    def bpftrace(self, name, text):
        """Starts a script, and returns it once it looks; None: it may not, here."""
        script = self.file(name)
        with open(script, "w", encoding="utf-8") as f:
            f.write(text)
        process = self.start(name + ".out", "bpftrace", "-B", "line", script)
        # What it says last before it looks; then it runs its BEGIN.
        wait_until(lambda: process.poll() is not None or "looks" in read(script + ".out"), name)
        if process.poll() is not None:
            return None
        return process

    def test_scripts(self):
        if not shutil.which("bpftrace"):
            print("SKIPPED: scripts for bpftrace: it is not installed")
            self.skipTest("bpftrace")
        socket, image = self.file("s"), self.file("image")
        with open(image, "wb") as f:
            f.truncate(1 << 20)
        self.start("log", BLK, f"--socket-path={socket}", f"--blk-file={image}")
        wait_until(lambda: "listening" in read(self.file("log")), "the daemon")
        tracers = []
        for name in SCRIPTS:
            text = re.sub(r"usdt:\S*/virtiod-\*:", f"usdt:{BLK}:", read(os.path.join(BUILT, name)))
            self.assertIn(f"usdt:{BLK}:", text)
            text += "\ninterval:ms:100 { printf(\"looks\\n\"); }\n"
            tracers.append(self.bpftrace(name, text))
            if not tracers[-1]:
                print(f"SKIPPED: {name}:", " ".join(read(self.file(name + ".out")).split()))
                self.skipTest("bpftrace")
        subprocess.run([VIRTIOCTL, "bench", f"--requests={REQUESTS}", "--warmup=0", socket],
                       check=True, stdout=subprocess.DEVNULL)
        for process in tracers:
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE), 0)
        latency, messages = (read(self.file(name + ".out")) for name in SCRIPTS)
        self.assertEqual(int(re.search(r"@n\[.*, requests\]: (\d+)", latency)[1]), REQUESTS)
        for name in "kicks", "calls":
            self.assertGreater(int(re.search(rf"@n\[.*, {name}\]: (\d+)", latency)[1]), 0)
        shown = next(part for part in re.split(r"(?m)^@", latency) if part.startswith("us["))
        self.assertEqual(sum(map(int, re.findall(r"\)\s+(\d+) \|", shown))), REQUESTS, latency)
        for name in "GET_FEATURES", "SET_VRING_KICK", "GET_VRING_BASE":
            self.assertRegex(messages, rf"(?m)^ *\d+ \S+ +\d+ +\d+ {name}$")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
