#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What virtiod-kvm reaches after it was taken over: virtiod-kvm-escape tries it, from inside.

Each row of the table "virtiod-kvm" in docs/security.md is checked here.
"""
import os
import platform
import pty
import signal
import subprocess
import termios

from escape import FIONREAD, STATUS, EscapeTest, as_user, status_of
from harness import PATIENCE, main

ESCAPE = os.environ["VIRTIOD_KVM_ESCAPE"]
NOT_CAUGHT = {
    # By the process that connects.
    "listed_socket": "works",
    "other_socket": "cannot connect to '/dev/null': Permission denied",
    "pair": "works",
    # By its pidfd.
    "own_child": "works",
    "abstract_socket": "Bad file descriptor",  # there is no datagram socket
}
TERMINAL = {0x5401, 0x5402, 0x802C542A, 0x402C542B, 0x540F}
KVM = {
    0xAE01: "CREATE_VM", 0xAE03: "CHECK_EXTENSION", 0xAE04: "GET_VCPU_MMAP_SIZE",
    0xAE41: "CREATE_VCPU", 0xAE80: "RUN", 0x4008AE61: "IRQ_LINE",
    0x4020AE46: "SET_USER_MEMORY_REGION", 0x4020AE76: "IRQFD", 0x4040AE79: "IOEVENTFD",
}
KVM_OF = {
    "x86_64": {
        0xC008AE05: "GET_SUPPORTED_CPUID", 0xAE47: "SET_TSS_ADDR", 0xAE60: "CREATE_IRQCHIP",
        0x4008AE6A: "SET_GSI_ROUTING", 0x4008AE90: "SET_CPUID2", 0x4008AE89: "SET_MSRS",
        0x8138AE83: "GET_SREGS", 0x4138AE84: "SET_SREGS", 0x8090AE81: "GET_REGS",
        0x4090AE82: "SET_REGS"},
    "aarch64": {
        0x8020AEAF: "ARM_PREFERRED_TARGET", 0x4020AEAE: "ARM_VCPU_INIT",
        0xC00CAEE0: "CREATE_DEVICE", 0x4018AEE1: "SET_DEVICE_ATTR", 0x4010AEAC: "SET_ONE_REG",
        0x4010AEAB: "GET_ONE_REG"},
}
IOCTLS = {FIONREAD, *TERMINAL, *KVM, *KVM_OF[platform.machine()]}


class Kvm(EscapeTest):
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

    def start(self, mode, user, **env):
        argv = [*as_user(user), ESCAPE, "--guest=selftest", f"--sandbox={mode}",
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
        """Nothing but what the documentation names; the terminal is as before."""
        for user, mode in self.modes():
            with self.subTest(user=user, mode=mode):
                before = termios.tcgetattr(self.terminal)
                process = self.start(mode, user)
                self.wait_stopped(process)
                self.assertTrue(self.is_raw())
                self.check_status(process.pid)
                self.check_connector(process.pid)
                os.kill(process.pid, signal.SIGCONT)
                self.assertEqual(process.wait(PATIENCE), 0, self.log())
                self.assertNotIn("the sandbox does without", self.log())
                self.check_results(self.results(self.log()), NOT_CAUGHT, IOCTLS)
                self.assertEqual(termios.tcgetattr(self.terminal), before)
                self.assertIsNone(self.victim.poll())

    def check_connector(self, pid):
        """The process that connects is confined as well."""
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            children = f.read().split()
        names = {status_of(f"/proc/{child}/status")["Name"]: child for child in children}
        status = status_of(f"/proc/{names['connector']}/status")
        # Root's connects to sockets of other users: CAP_DAC_OVERRIDE.
        self.assertIn(int(status["CapEff"], 16), (0, 2))
        for name in ("Seccomp", "NoNewPrivs", "CapInh", "CapAmb"):
            self.assertEqual(status[name], STATUS[name], name)

    def test_fatal_signal(self):
        """The terminal's mode is restored."""
        for user, mode in self.modes():
            for signum in (signal.SIGTERM, signal.SIGQUIT, signal.SIGSEGV, signal.SIGSYS):
                with self.subTest(user=user, mode=mode, signum=signum):
                    process = self.start(mode, user, RAISE=str(int(signum)))
                    self.assertEqual(process.wait(PATIENCE), -signum, self.log())
                    self.assertFalse(self.is_raw())


if __name__ == "__main__":
    main()
