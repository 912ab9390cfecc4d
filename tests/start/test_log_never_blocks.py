#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A log that is read by nobody stops neither requests nor signals: lines are dropped, counted."""
import os
import pty
import signal
import socket
import subprocess

from harness import BLK, MIB, PATIENCE, VIRTIOCTL, Client, LoopTest, listens, main, wait_until

ROUNDS = 1500  # more lines than a pipe, terminal or socket of the default size holds


class LogNeverBlocks(LoopTest):
    def check(self, reader, writer):
        """Fills the log from a front-end, and then reads it."""
        path = self.file(f"s{next(self.numbers)}")
        argv = [BLK, f"--socket-path={path}", f"--blk-file={self.image}", "--log-level=debug"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=writer) as p:
            self.addCleanup(p.kill)
            os.close(writer)
            wait_until(lambda: listens(path) or p.poll() is not None, "listening")
            for _ in range(ROUNDS):
                p.send_signal(signal.SIGUSR1)
                with Client(path) as client:
                    client.features()
            got = self.read_some(reader, "log lines were dropped", p, path)
            self.assertIn("warning: ", got)
            p.terminate()
            self.assertEqual(p.wait(PATIENCE), 0)
        os.close(reader)

    def read_some(self, reader, words, p, path):
        """Reads until these words, while statistics go on being asked for."""
        got = ""
        os.set_blocking(reader, False)

        def came():
            nonlocal got
            p.send_signal(signal.SIGUSR1)
            with Client(path) as client:
                client.features()
            try:
                got += os.read(reader, 1 << 20).decode(errors="replace")
            except BlockingIOError:
                pass
            return words in got

        wait_until(came, words)
        return got

    def setUp(self):
        super().setUp()
        self.image = self.file("img", size=MIB)

    def test_pipe(self):
        self.check(*os.pipe())

    def test_terminal(self):
        self.check(*pty.openpty())

    def test_socket(self):
        a, b = socket.socketpair()
        self.check(a.detach(), b.detach())

    def fill(self, writer):
        """From now on nothing can be written there."""
        os.set_blocking(writer, False)
        for size in (4096, 1):
            try:
                while True:
                    os.write(writer, b"x" * size)
            except BlockingIOError:
                pass
        os.set_blocking(writer, True)

    def test_command(self):
        """The progress of virtioctl, and its last words."""
        d = self.blk(self.image)
        for reader, writer in (pty.openpty(), os.pipe()):
            self.fill(writer)
            for args, status in ((("read", d.path, "/dev/null"), 0), (("probe", self.image), 4)):
                done = subprocess.run([VIRTIOCTL, *args], stdin=subprocess.DEVNULL, check=False,
                                      stdout=subprocess.DEVNULL, stderr=writer, timeout=PATIENCE)
                self.assertEqual(done.returncode, status)
            os.close(reader)
            os.close(writer)
        self.stop(d)

    def test_ends_while_nobody_reads(self):
        """SIGTERM, with a full pipe to the end."""
        reader, writer = os.pipe()
        self.fill(writer)
        path = self.file("s")
        with subprocess.Popen([BLK, f"--socket-path={path}", f"--blk-file={self.image}"],
                              stdin=subprocess.DEVNULL, stderr=writer) as p:
            self.addCleanup(p.kill)
            os.close(writer)
            wait_until(lambda: listens(path), "listening")
            self.ctl("probe", path)
            p.terminate()
            self.assertEqual(p.wait(PATIENCE), 0)
        os.close(reader)


if __name__ == "__main__":
    main()
