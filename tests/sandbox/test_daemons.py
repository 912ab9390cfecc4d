#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a back-end that was taken over still reaches: virtiod-escape tries it, from inside.

Each row of the table "Back-ends" in docs/security.md is checked here.
"""
import os
import select
import signal
import socket
import struct
import subprocess
import unittest

from escape import FIONREAD, KERNEL, NOBODY, EscapeTest, as_user, status_of
from harness import BLK, MIB, RNG, Client, Daemon, main, wait_until

ESCAPE = os.environ["VIRTIOD_ESCAPE"]
NOT_CAUGHT = {
    "unlink_outside": "Permission denied",
    "unlink_sibling": "works",
    # Landlock knows these from Linux 6.12 on.
    "abstract_socket": "Operation not permitted" if KERNEL >= (6, 12) else "works",
}
SET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE = 2, 5, 8, 9, 10
SET_VRING_KICK = 12


class Sandbox(EscapeTest):
    def setUp(self):
        super().setUp()
        self.sockets = self.file("sockets")
        os.mkdir(self.sockets)
        for folder in (self.dir, self.sockets):
            os.chmod(folder, 0o777)

    def start(self, program, *options, user, env=None):
        path = os.path.join(self.sockets, f"s{next(self.numbers)}")
        argv = [*as_user(user), program, f"--socket-path={path}", *options]
        return self.ready(Daemon(self, argv, path, env={**os.environ, **(env or {})}))

    def ready(self, d):
        """It listens before it enters the sandbox; afterwards it tells."""
        wait_until(lambda: "listening at" in d.log() or d.process.poll() is not None, "ready")
        self.assertIsNone(d.process.poll(), d.log())
        return d

    def attempts(self, d):
        d.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "attempt: ioctls:" in d.log() or d.process.poll() is not None, "end")
        return self.results(d.log())

    def test_attempts(self):
        """Nothing but what the documentation names."""
        victim = self.start_victim()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as target, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            target.bind("\0virtiod-victim")
            manager.bind(self.file("notify"))
            os.chmod(self.file("notify"), 0o777)
            for user, mode in self.modes():
                self.check_attempts(user, mode, victim.pid)

    def check_attempts(self, user, mode, victim):
        for name in ("victim", "sockets/sibling"):
            self.file(name, b"")
        d = self.start(ESCAPE, f"--sandbox={mode}", f"--victim={victim}", user=user,
                       env={"NOTIFY_SOCKET": self.file("notify")})
        self.assertNotIn("the sandbox does without", d.log())
        self.check_status(d.pid)
        results = self.attempts(d)
        self.assertEqual(d.process.poll(), None, d.log())
        self.check_results(results, NOT_CAUGHT, [FIONREAD])
        self.assertEqual(os.listdir(self.sockets), [os.path.basename(d.path)])
        self.assertTrue(os.path.exists(self.file("victim")))
        with Client(d.path) as client:
            client.features()
        self.stop(d)
        self.assertEqual(os.listdir(self.sockets), [])

    def test_violation(self):
        """It is logged with the system call's name, and is the end."""
        for user, mode in self.modes():
            d = self.start(ESCAPE, f"--sandbox={mode}", "--carelessly", user=user)
            d.process.send_signal(signal.SIGHUP)
            self.assertEqual(d.wait(), -signal.SIGSYS)
            self.assertIn("the sandbox forbids the system call execve (", d.log())

    def test_none(self):
        """What --sandbox=none is for: nothing is given up."""
        d = self.start(RNG, "--sandbox=none", user=os.geteuid())
        status = status_of(f"/proc/{d.pid}/status")
        self.assertEqual((status["Seccomp"], status["CapEff"]),
                         ("0", status_of("/proc/self/status")["CapEff"]))
        self.assertEqual(os.readlink(f"/proc/{d.pid}/root"), "/")
        self.stop(d)

    def test_real_devices(self):
        """They serve; SIGHUP finds a new size, and a name that was lost."""
        image = self.file("img", size=MIB)
        os.chmod(image, 0o666)
        for user, mode in self.modes():
            d = self.start(RNG, f"--sandbox={mode}", user=user)
            self.check_status(d.pid)
            self.probe(d.path)
            self.stop(d)
            for engine in ("auto", "uring", "sync", "mmap"):
                os.truncate(image, MIB)
                d = self.start(BLK, f"--sandbox={mode}", f"--blk-file={image}",
                               f"--engine={engine}", user=user)
                self.check_status(d.pid)
                self.ctl("bench", "--requests=50", "--rw=mixed", d.path)
                os.truncate(image, 2 * MIB)
                os.rename(image, image + "2")
                d.process.send_signal(signal.SIGHUP)
                wait_until(lambda d=d: "4096 sectors now" in d.log(), "the new size")
                wait_until(lambda d=d: "has been renamed, removed or replaced" in d.log(), "that")
                os.rename(image + "2", image)
                self.stop(d)
                self.assertFalse(os.path.exists(d.path))

    def test_stale_notify_socket(self):
        """A service manager that is not there is not looked for again."""
        d = self.start(RNG, user=os.geteuid(), env={"NOTIFY_SOCKET": self.file("notify")})
        self.probe(d.path)
        self.stop(d)

    def test_kick_by_pipe(self):
        d = self.start(RNG, user=os.geteuid())
        size, memory = 1 << 16, os.memfd_create("memory")
        os.truncate(memory, size)
        read, write = os.pipe()
        with Client(d.path) as client:
            for request, payload, fds in (
                    (SET_FEATURES, struct.pack("=Q", 1 << 32), []),
                    (SET_MEM_TABLE, struct.pack("=II4Q", 1, 0, 0, size, 0, 0), [memory]),
                    (SET_VRING_NUM, struct.pack("=II", 0, 16), []),
                    (SET_VRING_ADDR, struct.pack("=II4Q", 0, 0, 0, 0x2000, 0x1000, 0), []),
                    (SET_VRING_BASE, bytes(8), []),
                    (SET_VRING_KICK, bytes(8), [read])):
                message = struct.pack("=III", request, 1, len(payload)) + payload
                socket.send_fds(client.sock, [message], fds)
            os.write(write, bytes(8))
            wait_until(lambda: not select.select([read], [], [], 0)[0]
                       or d.process.poll() is not None, "that the kick is taken")
            client.features()
        for fd in memory, read, write:
            os.close(fd)
        self.stop(d)

    @unittest.skipUnless(os.geteuid() == 0, "only root can forbid it")
    def test_not_permitted(self):
        """Without namespaces: auto does without and says so, strict refuses."""
        path = self.file("s")
        argv = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", f"--reuid={NOBODY}",
                f"--regid={NOBODY}", "--clear-groups", "--", "python3", "-c", NO_NAMESPACES, RNG,
                f"--socket-path={path}"]
        d = self.ready(Daemon(self, [*argv, "--sandbox=auto"], path))
        words = ("network namespace (Operation not permitted), IPC namespace (Operation not "
                 "permitted), empty root directory (Operation not permitted)")
        self.assertEqual(d.log().count("the sandbox does without: "), 1)
        self.assertIn("the sandbox does without: " + words, d.log())
        self.assertEqual(status_of(f"/proc/{d.pid}/status")["Seccomp"], "2")
        self.probe(d.path)
        self.stop(d)
        done = subprocess.run([*argv, "--sandbox=strict"], capture_output=True, text=True,
                              check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--sandbox=strict: this machine does not permit: " + words, done.stderr)
        self.assertFalse(os.path.exists(path))


# Runs argv[1:] where unshare() fails, as in a container.
NO_NAMESPACES = """
import ctypes, os, struct, sys
UNSHARE = {"x86_64": 272, "aarch64": 97}[os.uname().machine]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, UNSHARE), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
text = b"".join(struct.pack("=HBBI", *c) for c in code)
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(text)
program = struct.pack("@HP", len(code), ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""

if __name__ == "__main__":
    main()
