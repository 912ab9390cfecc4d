#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a worker of virtiod-xen reaches after it was taken over, as far as that takes no Xen."""
import os
import signal
import subprocess

import reach
from escape import NOBODY, PATIENCE, EscapeTest, as_user, confinement, status_of
from harness import main

ESCAPE = os.environ["VIRTIOD_WORKER_ESCAPE"]
AUTO, STRICT, NONE = range(3)


class Worker(EscapeTest):
    program = reach.WORKER

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
        """Nothing but what the table tells."""
        users = [(os.geteuid(), 0)] + ([(NOBODY, 0), (0, NOBODY)] if os.geteuid() == 0 else [])
        for user, change_to in users:
            for mode in AUTO, STRICT:
                with self.subTest(user=user, change_to=change_to, mode=mode):
                    process = self.start(mode, user, change_to)
                    results = confinement(process.pid)
                    uid = int(status_of(f"/proc/{process.pid}/status")["Uid"])
                    os.kill(process.pid, signal.SIGCONT)
                    self.assertEqual(process.wait(PATIENCE), 0, self.log())
                    self.assertNotIn("the sandbox does without", self.log())
                    self.check_reach({**results, **self.results(self.log())})
                    if change_to:
                        self.check_reach({"user": "the guest's" if uid == change_to else uid})
        self.assertIsNone(self.victim.poll())

    def test_z_complete(self):
        self.check_complete(only_root=("user",))

    def test_none(self):
        """Only the user changes."""
        process = self.start(NONE, os.geteuid(), NOBODY if os.geteuid() == 0 else 0)
        with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
            self.assertIn("Seccomp:\t0\n", f.read())
        process.kill()


if __name__ == "__main__":
    main()
