#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a program inherits is not trusted: closed standard fds, other fds, sockets of any kind."""
import os
import socket
import subprocess
import unittest

from harness import BLK, MIB, PATIENCE, RNG, USAGE, Client, LoopTest, main

XEN = os.environ.get("VIRTIOD_XEN")

# Runs argv[3:] without the standard fds in argv[1]; argv[2] "N FDS": with fd N as fd 3, by socket
# activation as of LISTEN_FDS=FDS.
LAUNCH = """
import os, sys
closed, activated = (list(map(int, arg.split())) for arg in sys.argv[1:3])
if activated:
    os.dup2(activated[0], 3)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(activated[1]))
for fd in closed:
    os.close(fd)
os.execv(sys.argv[3], sys.argv[3:])
"""


def launcher(closed="", activated=""):
    return ["python3", "-c", LAUNCH, closed, activated]


def link(pid, fd):
    return os.readlink(f"/proc/{pid}/fd/{fd}")


class Inherited(LoopTest):
    def run_to_end(self, argv, **kwargs):
        return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False,
                              stdin=subprocess.DEVNULL, **kwargs)

    def test_standard_fds_closed(self):
        """No image, socket or memory takes the place of standard error."""
        for closed in ("0", "1", "2", "0 1", "0 1 2"):
            data = b"\xe5" * MIB
            image = self.file("img", data)
            d = self.daemon(BLK, f"--blk-file={image}", "--log-level=debug",
                            wrapper=launcher(closed))
            for fd in map(int, closed.split()):
                self.assertEqual(link(d.pid, fd), "/dev/null")
            with Client(d.path) as client:
                client.features()
            self.stop(d)
            self.assertEqual(self.contents(image), data)

    def test_other_fds_closed(self):
        """All but the named ones: a socket of the parent would never see its end."""
        mine, theirs = socket.socketpair()
        with mine, theirs:
            d = self.daemon(RNG, pass_fds=[theirs.fileno()])
            theirs.close()
            mine.settimeout(PATIENCE)
            self.assertEqual(mine.recv(1), b"")
            self.stop(d)

    def test_named_fds_kept(self):
        """The shell's <(command) is a path to an inherited fd."""
        image = self.file("img", size=MIB)
        with open(image, "r+b") as f:
            d = self.daemon(BLK, f"--blk-file=/dev/fd/{f.fileno()}",
                            pass_fds=[f.fileno()])
            self.stop(d)

    @unittest.skipUnless(XEN, "built without virtiod-xen")
    def test_worker_gets_two_sockets(self):
        a, b, other = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3))
        keep = [s[1].fileno() for s in (a, b, other)]
        argv = [XEN, "worker", str(keep[0]), str(keep[1]), "info", "x"]
        with subprocess.Popen(argv, pass_fds=keep, stdin=subprocess.DEVNULL) as worker:
            for pair in (a, b, other):
                pair[1].close()
            other[0].settimeout(PATIENCE)
            self.assertEqual(other[0].recv(1), b"")  # while the worker runs
            self.assertIsNone(worker.poll())
            a[0].close()
            self.assertEqual(worker.wait(PATIENCE), 0)
        b[0].close()
        other[0].close()

    def bad_socket(self, sock, words, *options, activated=0, status=1):
        """Refused by name, before the image is opened: it does not exist."""
        n = sock.fileno() if sock else -1
        wrapper = launcher(activated=f"{n} {activated}") if activated else ()
        argv = [*wrapper, BLK, f"--blk-file={self.file('missing')}", *options]
        done = self.run_to_end(argv, pass_fds=[n] if sock else [])
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(words, done.stderr)

    def test_socket_neither_listening_nor_connected(self):
        words = "neither listening nor connected"
        with socket.socket(socket.AF_UNIX) as s:
            self.bad_socket(s, f"socket fd {s.fileno()}: {words}", f"--fd={s.fileno()}")
            self.bad_socket(s, f"socket fd 3: {words}", activated=1)

    def test_no_socket(self):
        with open(self.file("plain", b"x"), "rb") as f, socket.socket() as tcp:
            for fd, why in ((f, "Socket operation on non-socket"), (tcp, "not a Unix stream")):
                self.bad_socket(fd, f"socket fd {fd.fileno()}: {why}", f"--fd={fd.fileno()}")
        self.bad_socket(None, "socket fd 99: Bad file descriptor", "--fd=99")

    def test_activation_excludes_others(self):
        path = self.file("s")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            for option in (f"--socket-path={path}2", f"--fd={s.fileno()}"):
                words = (f"{option.partition('=')[0]} and a socket passed by socket activation "
                         "(LISTEN_FDS) exclude each other")
                self.bad_socket(s, words, option, activated=1, status=USAGE)
            self.bad_socket(s, "socket activation passed 2 sockets (LISTEN_FDS): one is needed",
                            activated=2)
        self.assertFalse(os.path.exists(path + "2"))


if __name__ == "__main__":
    main()
