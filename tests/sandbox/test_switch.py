#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What virtiod-switch reaches after it was taken over: a library in it tries that."""
import os
import signal
import socket
import subprocess

import reach
from escape import NOBODY, PATIENCE, EscapeTest, as_user, confinement, open_files, status_of
from harness import main, wait_until

SWITCH = os.environ["VIRTIOD_SWITCH"]
LIBRARY = os.environ["VIRTIOD_ESCAPE_LIBRARY"]


class Switch(EscapeTest):
    program = reach.SWITCH
    calls = ("tools/switch/sandbox.c",)

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o777)
        self.victim = self.start_victim()
        self.far = self.file("far")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.far)
        listener.listen(100)
        os.chmod(self.far, 0o777)

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def start(self, *options, user, sweep=False):
        """Until it is in its sandbox, with a port that it dials, a capture, and a peer."""
        number = next(self.numbers)
        self.log_path, self.path = self.file(f"messages{number}"), self.file(f"l{number}")
        self.capture = self.file(f"capture{number}")
        argv = [*as_user(user), "env", f"LD_PRELOAD={LIBRARY}", f"VICTIM={self.victim.pid}",
                *(["SWEEP=1"] if sweep else []), SWITCH, f"--listen=unix:{self.path}",
                f"--port=stream=unix:{self.far},pcap={self.capture}", *options]
        with open(self.log_path, "w", encoding="utf-8") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: "far: is up" in self.log() or process.poll() is not None, "the port")
        self.assertIsNone(process.poll(), self.log())
        self.assertEqual(status_of(f"/proc/{process.pid}/status")["Seccomp"], "2")
        return process

    def check(self, user, mode):
        process = self.start(f"--sandbox={mode}", user=user, sweep=mode == "strict")
        results = confinement(process.pid)
        ports = 64  # the default of --max-ports
        results["descriptors"] = (f"{int(results['descriptors']) - ports} descriptors and one for "
                                  "each port")
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as f:
            results["connector"] = "works" if f.read().split() else "none"
        results["capture"] = open_files(process.pid)[self.capture]
        process.send_signal(signal.SIGUSR2)
        wait_until(lambda: "attempt: end:" in self.log() or process.poll() is not None, "the end",
                   PATIENCE)
        self.assertNotIn("the sandbox does without", self.log())
        self.check_reach({**results, **self.results(self.log())})
        process.kill()
        process.wait()

    def test_attempts(self):
        for user, mode in self.modes():
            with self.subTest(user=user, mode=mode):
                self.check(user, mode)
        self.assertIsNone(self.victim.poll())

    def test_user(self):
        """As another user, who could open neither socket nor capture."""
        if os.geteuid() != 0:
            self.skipTest("SKIPPED: not root")
        process = self.start("--sandbox=strict", f"--run-as={NOBODY}:{NOBODY}",
                             "--socket-mode=0660", "--socket-group=12345", user=0)
        for name in "Uid", "Gid":
            self.assertEqual(status_of(f"/proc/{process.pid}/status")[name], str(NOBODY))
        self.assertEqual(confinement(process.pid)["capabilities"], "none")
        self.assertEqual((os.stat(self.path).st_gid, os.stat(self.path).st_mode & 0o777),
                         (12345, 0o660))
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(self.path)
            wait_until(lambda: ".1: is up" in self.log(), "the peer")

    def test_z_complete(self):
        self.check_complete()


if __name__ == "__main__":
    main()
