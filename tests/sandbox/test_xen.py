#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a worker of virtiod-xen reaches after it was taken over, as far as that takes no Xen."""
import os
import signal
import subprocess

from escape import FIONREAD, NOBODY, EscapeTest, as_user
from harness import PATIENCE, main

ESCAPE = os.environ["VIRTIOD_WORKER_ESCAPE"]
AUTO, STRICT, NONE = range(3)
NOT_CAUGHT = {"abstract_socket": "Bad file descriptor"}  # there is no datagram socket
DM_OP, MMAP_BATCH, EVTCHN_NOTIFY = 0x105005, 0x205004, 0x44504


class Worker(EscapeTest):
    def setUp(self):
        super().setUp()
        self.victim = self.start_victim()
        self.log_path = self.file("messages")

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def start(self, mode, user, change_to):
        env = {**os.environ, "SANDBOX": str(mode), "USER_ID": str(change_to),
               "VICTIM": str(self.victim.pid)}
        with open(self.log_path, "w", encoding="utf-8") as log:
            process = subprocess.Popen([*as_user(user), ESCAPE], env=env, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_stopped(process)
        return process

    def test_attempts(self):
        """Nothing but what the documentation names."""
        users = [(os.geteuid(), 0)] + ([(NOBODY, 0), (0, NOBODY)] if os.geteuid() == 0 else [])
        for user, change_to in users:
            for mode in AUTO, STRICT:
                with self.subTest(user=user, change_to=change_to, mode=mode):
                    process = self.start(mode, user, change_to)
                    self.check_status(process.pid)
                    os.kill(process.pid, signal.SIGCONT)
                    self.assertEqual(process.wait(PATIENCE), 0, self.log())
                    self.assertNotIn("the sandbox does without", self.log())
                    self.check_results(self.results(self.log()), NOT_CAUGHT,
                                       {FIONREAD, DM_OP, MMAP_BATCH, EVTCHN_NOTIFY})
        self.assertIsNone(self.victim.poll())

    def test_none(self):
        """Only the user changes."""
        process = self.start(NONE, os.geteuid(), NOBODY if os.geteuid() == 0 else 0)
        with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
            self.assertIn("Seccomp:\t0\n", f.read())
        process.kill()


if __name__ == "__main__":
    main()
