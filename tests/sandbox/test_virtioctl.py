#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What virtioctl reaches after it was taken over: the program itself, with a library that tries it.

Each row of the table "virtioctl" in docs/security.md is checked here.
"""
import os
import signal
import socket
import subprocess

from escape import FIONREAD, EscapeTest, as_user, status_of
from harness import BLK, MIB, PATIENCE, USAGE, VIRTIOCTL, Daemon, main, wait_until

LIBRARY = os.environ["VIRTIOD_ESCAPE_LIBRARY"]
NOT_CAUGHT = {"abstract_socket": "Bad file descriptor"}  # there is no datagram socket
TCGETS, TCGETS2, TIOCGWINSZ = 0x5401, 0x802C542A, 0x5413
IOCTLS = {FIONREAD, TCGETS, TCGETS2, TIOCGWINSZ}


class Virtioctl(EscapeTest):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o777)
        self.victim = self.start_victim()
        image = self.file("img", size=MIB)
        self.disk = self.daemon(BLK, f"--blk-file={image}", "--socket-mode=666").path
        # Connections that are accepted, and never answered.
        self.silent = self.file("silent")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.silent)
        listener.listen(100)
        os.chmod(self.silent, 0o777)

    def start(self, *args, user, ioctls=False):
        """Until it is in its sandbox."""
        self.log_path = self.file("messages")
        variables = [f"LD_PRELOAD={LIBRARY}", f"VICTIM={self.victim.pid}"]
        variables += ["IOCTLS=1"] if ioctls else []
        argv = [*as_user(user), "env", *variables, VIRTIOCTL, *args]
        with open(self.log_path, "w", encoding="utf-8") as log:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=log)
        for close in (process.wait, process.kill, process.stdin.close, process.stdout.close):
            self.addCleanup(close)
        return process

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def in_sandbox(self, process):
        return status_of(f"/proc/{process.pid}/status").get("Seccomp") == "2" \
            or process.poll() is not None

    def check(self, *args, user, mode, ioctls=False):
        with self.subTest(args=args, user=user, mode=mode):
            process = self.start(args[0], f"--sandbox={mode}", *args[1:], user=user, ioctls=ioctls)
            try:
                self.check_attempts(process, ioctls)
            finally:
                process.kill()
                process.wait()

    def check_attempts(self, process, ioctls):
        wait_until(lambda: self.in_sandbox(process), "the sandbox")
        self.assertIsNone(process.poll(), self.log())
        self.check_status(process.pid)
        process.send_signal(signal.SIGUSR2)
        last = "ioctls:" if ioctls else "closer:"
        wait_until(lambda: "attempt: " + last in self.log() or process.poll() is not None, last)
        self.assertNotIn("the sandbox does without", self.log())
        self.check_results(self.results(self.log()), NOT_CAUGHT, IOCTLS if ioctls else None)

    def test_attempts(self):
        """Nothing but what the documentation names, in each subcommand."""
        for user, mode in self.modes():
            self.check("bench", "--seconds=1000", self.disk, user=user, mode=mode, ioctls=True)
            self.check("probe", self.silent, user=user, mode=mode)
            self.check("read", self.disk, "-", user=user, mode=mode)
            self.check("write", self.disk, user=user, mode=mode)
            self.check("check", "--timeout=100", self.silent, user=user, mode=mode)
        self.assertIsNone(self.victim.poll())

    def test_frontend(self):
        for number, (user, mode) in enumerate(self.modes()):
            path = self.file(f"front{number}")
            process = self.start("check", f"--sandbox={mode}", f"--frontend={path}", user=user)
            with socket.socket(socket.AF_UNIX) as client:
                wait_until(lambda p=path: os.path.exists(p), "the socket")
                wait_until(lambda c=client, p=path: c.connect_ex(p) in (0, 106), "a connection")
                wait_until(lambda p=process: self.in_sandbox(p), "the sandbox")
                self.check_status(process.pid)
                process.send_signal(signal.SIGUSR2)
                wait_until(lambda: "attempt: closer:" in self.log(), "the attempts")
                self.check_results(self.results(self.log()), NOT_CAUGHT, None)
            self.assertFalse(os.path.exists(path))
            process.kill()
            process.wait(PATIENCE)

    def test_start(self):
        """Programs that it starts would be in the sandbox, too: it has none then, and says so."""
        _, err = self.ctl("check", "--start=true", "--sandbox=strict", self.disk, expect=USAGE)
        self.assertIn("--start", err)
        self.ctl("check", "--start=true", "--case=framing-pipelined", self.disk)

    def test_survive(self):
        """Later back-ends are found as well."""
        image = self.file("other", size=MIB)
        back_end = self.daemon(BLK, f"--blk-file={image}")
        bench = subprocess.Popen([VIRTIOCTL, "bench", "--sandbox=strict", "--survive", "--verify",
                                  "--rw=randwrite", "--seconds=2", "--json", back_end.path],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(bench.communicate)
        self.addCleanup(bench.kill)
        wait_until(lambda: self.in_sandbox(bench), "the sandbox")
        wait_until(lambda: any(self.contents(image)), "requests")
        back_end.kill()
        again = Daemon(self, [BLK, f"--blk-file={image}", f"--socket-path={back_end.path}"],
                       back_end.path).wait_ready()
        out, err = bench.communicate(timeout=PATIENCE)
        self.assertEqual(bench.returncode, 0, err)
        self.assertIn(b'"reconnects": 1', out)
        self.stop(again)


if __name__ == "__main__":
    main()
