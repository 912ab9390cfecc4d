#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What virtiod-kvm reaches after it was taken over: virtiod-kvm-escape tries it, from inside."""
import os
import pty
import signal
import subprocess
import termios
import unittest

import reach
from escape import CAPABILITIES, PATIENCE, EscapeTest, as_user, confinement, open_files, status_of
from harness import main

ESCAPE = os.environ["VIRTIOD_KVM_ESCAPE"]
KVM, GUEST = (os.environ.get("VIRTIOD_" + name) for name in ("KVM", "ESCAPE_GUEST"))


class Kvm(EscapeTest):
    program = reach.KVM_STUB
    calls = ("kvm-stub/sandbox.c", "kvm-stub/machine/terminal.c")

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o777)
        self.victim = self.start_victim()
        self.path = self.rng().path
        os.chmod(self.path, 0o666)
        self.controller, self.terminal = pty.openpty()
        self.addCleanup(os.close, self.controller)
        self.addCleanup(os.close, self.terminal)
        self.log_path = self.file("messages")

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def start(self, mode, user, options=("--guest=selftest",), program=ESCAPE, **env):
        argv = [*as_user(user), program, *options, f"--sandbox={mode}",
                f"--device=socket={self.path}"]
        env = {**os.environ, "VICTIM": str(self.victim.pid), "OTHER": "/dev/null", **env}
        with open(self.log_path, "w", encoding="utf-8") as log:
            process = subprocess.Popen(argv, stdin=self.terminal, stdout=log, stderr=log, env=env)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def is_raw(self):
        return not termios.tcgetattr(self.terminal)[3] & termios.ICANON

    def test_attempts(self):
        """Nothing but what the table tells; the terminal is as before."""
        for user, mode in self.modes():
            with self.subTest(user=user, mode=mode):
                before = termios.tcgetattr(self.terminal)
                process = self.start(mode, user)
                self.wait_stopped(process)
                results = self.seen(process.pid)
                os.kill(process.pid, signal.SIGCONT)
                self.assertEqual(process.wait(PATIENCE), 0, self.log())
                self.assertNotIn("the sandbox does without", self.log())
                self.check_reach({**results, **self.results(self.log())})
                self.assertEqual(termios.tcgetattr(self.terminal), before)
                self.assertIsNone(self.victim.poll())

    def seen(self, pid):
        """What can be looked up from outside."""
        files = open_files(pid)
        terminal = files.pop(os.ttyname(self.terminal))
        files.pop(self.log_path)
        self.assertEqual(files, {})
        return {**confinement(pid), "connector": self.connector(pid), "terminal": terminal,
                "terminal_mode": "works" if self.is_raw() else "unchanged"}

    def connector(self, pid):
        """The process that connects is confined as well."""
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            children = f.read().split()
        names = {status_of(f"/proc/{child}/status")["Name"]: child for child in children}
        found = confinement(names["connector"], sets=CAPABILITIES[:-1])
        # Root's connects to sockets of other users: CAP_DAC_OVERRIDE.
        confined = (found["Seccomp"], found["NoNewPrivs"]) == ("2", "1") \
            and found["capabilities"] in ("none", "2")
        return "works" if confined else str(found)

    def test_files(self):
        """Those that options name are open, with the rights that are needed."""
        names = {name: self.file(name, b"x") for name in ("kernel", "initrd", "console")}
        process = self.start("auto", os.geteuid(), options=(
            f"--kernel={names['kernel']}", f"--initrd={names['initrd']}",
            f"--console={names['console']}"))
        self.wait_stopped(process)
        files = open_files(process.pid)
        self.check_reach({name: files.pop(path) for name, path in names.items()})
        self.assertEqual(set(files), {os.ttyname(self.terminal), self.log_path})
        process.kill()

    def test_z_complete(self):
        self.check_complete()

    def test_fatal_signal(self):
        """The terminal's mode is restored."""
        for user, mode in self.modes():
            for signum in (signal.SIGTERM, signal.SIGQUIT, signal.SIGSEGV, signal.SIGSYS):
                with self.subTest(user=user, mode=mode, signum=signum):
                    process = self.start(mode, user, RAISE=str(int(signum)))
                    self.assertEqual(process.wait(PATIENCE), -signum, self.log())
                    self.assertFalse(self.is_raw())

    @unittest.skipUnless(GUEST, "no KVM can be faked for this architecture")
    def test_violation_of_vcpu(self):
        """A vCPU thread, which takes few signals: logged by name, the terminal as before."""
        for user, mode in self.modes():
            with self.subTest(user=user, mode=mode):
                process = self.start(mode, user, program=KVM, LD_PRELOAD=GUEST)
                self.assertEqual(process.wait(PATIENCE), -signal.SIGSYS, self.log())
                self.assertIn("the sandbox forbids the system call getppid (", self.log())
                self.assertFalse(self.is_raw())


if __name__ == "__main__":
    main()
