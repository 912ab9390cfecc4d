#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What virtioctl reaches after it was taken over: the program, with a library that tries it."""
import os
import pty
import signal
import socket
import subprocess

import reach
from escape import PATIENCE, EscapeTest, as_user, confinement, open_files, status_of
from harness import BLK, MIB, USAGE, VIRTIOCTL, Daemon, main, wait_until

LIBRARY = os.environ["VIRTIOD_ESCAPE_LIBRARY"]


class Virtioctl(EscapeTest):
    program = reach.VIRTIOCTL
    calls = ("tools/sandbox.c",)

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o777)
        self.victim = self.start_victim()
        image = self.file("img", size=MIB)
        disk = self.daemon(BLK, f"--blk-file={image}", "--socket-mode=666")
        self.disk, self.disk_pid = disk.path, disk.pid
        # Connections that are accepted, and never answered.
        self.silent = self.file("silent")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.silent)
        listener.listen(100)
        os.chmod(self.silent, 0o777)

    def start(self, *args, user, sweep=False, stdin=subprocess.PIPE, stdout=subprocess.PIPE):
        """Until it is in its sandbox."""
        self.log_path = self.file("messages")
        variables = [f"LD_PRELOAD={LIBRARY}", f"VICTIM={self.victim.pid}"]
        variables += ["SWEEP=1"] if sweep else []
        argv = [*as_user(user), "env", *variables, VIRTIOCTL, *args]
        with open(self.log_path, "w", encoding="utf-8") as log:
            process = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=log)
        for stream in process.stdin, process.stdout:
            if stream:
                self.addCleanup(stream.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def in_sandbox(self, process):
        return status_of(f"/proc/{process.pid}/status").get("Seccomp") == "2" \
            or process.poll() is not None

    def check(self, *args, user, mode, sweep=False, but=None):
        with self.subTest(args=args, user=user, mode=mode):
            process = self.start(args[0], f"--sandbox={mode}", *args[1:], user=user, sweep=sweep)
            try:
                self.check_attempts(process, but)
            finally:
                process.kill()
                process.wait()

    def check_attempts(self, process, but):
        wait_until(lambda: self.in_sandbox(process), "the sandbox")
        self.assertIsNone(process.poll(), self.log())
        self.attempts(process, but)

    def attempts(self, process, but=None):
        results = confinement(process.pid)
        process.send_signal(signal.SIGUSR2)
        wait_until(lambda: "attempt: end:" in self.log() or process.poll() is not None, "the end",
                   PATIENCE)
        self.assertNotIn("the sandbox does without", self.log())
        self.check_reach({**results, **self.results(self.log())}, but)

    def test_attempts(self):
        """Nothing but what the table tells, in each subcommand."""
        for user, mode in self.modes():
            self.check("bench", "--seconds=1000", self.disk, user=user, mode=mode, sweep=True)
            self.check("probe", self.silent, user=user, mode=mode)
            self.check("read", self.disk, "-", user=user, mode=mode)
            self.check("write", self.disk, user=user, mode=mode)
            self.check("check", "--timeout=100", self.silent, user=user, mode=mode,
                       but={"peer": ("works", "Bad file descriptor")})  # between connections
        self.assertIsNone(self.victim.poll())

    def seen(self, *args, **streams):
        """Starts it; what it has open in its sandbox, without the log."""
        process = self.start(*args, user=os.geteuid(), **streams)
        wait_until(lambda: self.in_sandbox(process), "the sandbox")
        files = open_files(process.pid)
        files.pop(self.log_path)
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as f:
            children = f.read().split()
        for child in children:
            wait_until(lambda c=child: confinement(c)["Seccomp"] == "2", "its sandbox")
        self.check_reach({"connector": "works" if children else "none"})
        process.kill()
        process.wait()
        return files

    def test_files(self):
        """What is open."""
        path = self.file("file", b"x")
        self.check_reach({"file_of_write": self.seen("write", self.silent, path).pop(path)})
        path = self.file("new")
        self.check_reach({"file_of_read": self.seen("read", self.silent, path).pop(path)})
        pid = self.disk_pid
        files = self.seen("bench", "--seconds=1000", self.disk)
        self.assertEqual({files.pop(path) for path in list(files)
                          if path.startswith(f"/proc/{pid}/")}, {"read"})
        self.assertEqual(files, {})
        self.check_reach({"memory_of_back_end": "read"})
        controller, terminal = pty.openpty()
        files = self.seen("probe", self.silent, stdin=terminal, stdout=terminal)
        self.check_reach({"terminal": files.pop(os.ttyname(terminal))})
        os.close(controller)
        os.close(terminal)

    def test_z_complete(self):
        self.check_complete()

    def test_frontend(self):
        for number, (user, mode) in enumerate(self.modes()):
            path = self.file(f"front{number}")
            process = self.start("check", f"--sandbox={mode}", f"--frontend={path}", user=user)
            with socket.socket(socket.AF_UNIX) as client:
                wait_until(lambda p=path: os.path.exists(p), "the socket")
                wait_until(lambda c=client, p=path: c.connect_ex(p) in (0, 106), "a connection")
                wait_until(lambda p=process: self.in_sandbox(p), "the sandbox")
                self.attempts(process)
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
        self.check_reach({"reconnect": "works"})
        self.stop(again)


if __name__ == "__main__":
    main()
