# SPDX-License-Identifier: Apache-2.0
"""A running virtiod, its files and its devices."""
import json
import os
import signal
import subprocess
import time

from harness import BLK, MIB, OK, PATIENCE, RNG, SANITIZED, VIRTIOCTL, Daemon, LoopTest, wait_until

VIRTIOD = os.environ["VIRTIOD"]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class VirtiodTest(LoopTest):
    """Files are in self.conf, sockets in self.run_dir, programs in self.programs."""

    def setUp(self):
        super().setUp()
        self.conf, self.run_dir, self.programs = (self.file(n) for n in ("conf", "run", "bin"))
        for folder in self.conf, self.programs:
            os.mkdir(folder)
        for program in BLK, RNG:
            os.symlink(program, os.path.join(self.programs, os.path.basename(program)))

    def script(self, name, text):
        path = self.file(os.path.join("bin", f"virtiod-{name}"), f"#!/bin/sh\n{text}\n".encode())
        os.chmod(path, 0o755)

    def write(self, name, text):
        self.file(os.path.join("conf", name + ".conf"), text.encode())

    def options(self):
        return (f"--config-dir={self.conf}", f"--run-dir={self.run_dir}",
                f"--programs={self.programs}")

    def start(self, *options):
        v = Virtiod(self, *options)
        v.wait_ready()
        v.wait_for({"ready"})
        return v

    def socket(self, name):
        return os.path.join(self.run_dir, name + ".sock")

    def check(self, expect=OK):
        done = subprocess.run([VIRTIOD, "--check-config", *self.options()], text=True,
                              capture_output=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stdout + done.stderr

    def bench(self, name, image, seconds):
        """Verifies what a disk of a MiB, unwritten so far, holds, for so long: from now on."""
        argv = [VIRTIOCTL, "bench", "--json", "--verify", "--survive", "--rw=mixed", "--warmup=0",
                f"--seconds={seconds}", self.socket(name)]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        wait_until(lambda: os.stat(image).st_blocks * 512 >= MIB, "all blocks written")
        return process

    def verified(self, process, reconnects):
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, OK, err)
        result = json.loads(out)
        self.assertIs(result["verified"], True)
        self.assertEqual(result["errors"], 0)
        self.assertGreaterEqual(result["reconnects"], reconnects)
        return result


class Virtiod(Daemon):
    """path is the control socket's."""

    def __init__(self, test, *options):
        self.test = test
        super().__init__(test, [VIRTIOD, *test.options(), *options],
                         os.path.join(test.run_dir, ".control"))
        test.addCleanup(self.end_devices)

    def end_devices(self):
        """They go on if a test that failed has killed it."""
        if self.process.poll() is None:
            self.stop()

    def call(self, method, *args):
        return json.loads(self.test.ctl("call", self.path, method, *args)[0])

    def list(self):
        return self.call("list")["devices"]

    def pids(self):
        return {name: device["pid"] for name, device in self.list().items()}

    def states(self):
        return {device["state"] for device in self.list().values()}

    def wait_for(self, states):
        wait_until(lambda: self.states() <= states, f"states {states}")

    def hang_up(self):
        """SIGHUP, and waits for what it does. Returns the line that tells."""
        lines = len(self.log().splitlines())
        self.process.send_signal(signal.SIGHUP)

        def told():
            return [line for line in self.log().splitlines()[lines:]
                    if " unchanged" in line or "nothing was changed" in line]
        wait_until(told, "a reload")
        return told()[0]

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))

    def timed_stop(self):
        """Returns how many seconds it takes to end; it may take two, on an idle machine."""
        begin = time.monotonic()
        for _ in range(32):
            subprocess.run(["true"], check=True)
        limit = 2 + 4 * (time.monotonic() - begin)
        begin = time.monotonic()
        self.test.assertEqual(self.stop(), 0, self.log())
        seconds = time.monotonic() - begin
        if not SANITIZED:
            self.test.assertLess(seconds, limit)
        return seconds
