#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Connections to a daemon: one at a time, again and again, given by path, fd or activation."""
import os
import socket
import subprocess
import sys
import time

from harness import (BLK, BUSY, MIB, PATIENCE, RNG, VIRTIOCTL, Client, Daemon, LoopTest, main,
                     open_fds, pattern, sha256, sha256_file, wait_until)

# Runs argv[2:] as systemd would, with the socket argv[1] as fd 3.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Session(LoopTest):
    def listening_socket(self, name="fd"):
        path = self.file(name)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(sock.close)
        sock.bind(path)
        sock.listen()
        return path, sock

    def test_one_at_a_time(self):
        d = self.rng()
        with Client(d.path) as first:
            first.features()
            for _ in range(20):
                with Client(d.path) as second:
                    self.assertIsNone(second.receive())
            self.ctl("probe", d.path, expect=BUSY)
            first.features()
        self.ctl("probe", d.path)
        self.stop(d)

    def test_same_socket_after_disconnect(self):
        d = self.rng()
        before = os.stat(d.path)
        for _ in range(5):
            self.ctl("probe", d.path)
        with Client(d.path) as client:
            client.features()
        with Client(d.path):
            pass  # says nothing at all
        self.ctl("probe", d.path)
        after = os.stat(d.path)
        self.assertEqual((before.st_ino, before.st_dev), (after.st_ino, after.st_dev))
        self.stop(d)

    def test_next_is_never_turned_away(self):
        """Who has left does not count, even if the daemon had no time yet to notice."""
        image = self.file("img", pattern(MIB))
        d = self.blk(image)
        for _ in range(20):
            self.ctl("probe", d.path)
            self.ctl("read", d.path, "/dev/null")
            with Client(d.path) as client:
                for _ in range(100):
                    client.send(Client.GET_FEATURES)  # much to do before the end of the stream
        self.ctl("probe", d.path)
        self.stop(d)

    def test_damaged_framing(self):
        """The connection ends, the daemon does not."""
        d = self.rng()
        for garbage in (b"\0", b"\xff" * 12, b"\x01\0\0\0\x01\0\0\0\xff\xff\xff\x7f", b"x" * 5000):
            with Client(d.path) as client:
                client.sock.sendall(garbage)
            self.ctl("probe", d.path)
        self.stop(d)

    def test_one_off(self):
        d = self.daemon(RNG, "--one-off")
        self.ctl("probe", d.path)
        self.assertEqual(d.wait(), 0, d.log())
        self.assertFalse(os.path.exists(d.path))

    def test_connected_fd(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        d = Daemon(self, [RNG, f"--fd={theirs.fileno()}"], None, pass_fds=(theirs.fileno(),))
        theirs.close()
        with Client(sock=ours) as client:
            self.assertTrue(client.features() >> 32 & 1)
        self.assertEqual(d.wait(), 0, d.log())

    def test_listening_fd(self):
        path, sock = self.listening_socket()
        image = self.file("img", pattern(MIB))
        d = Daemon(self, [BLK, f"--fd={sock.fileno()}", f"--blk-file={image}"], path,
                   pass_fds=(sock.fileno(),))
        self.assertEqual(sha256(self.ctl("read", path)[0]), sha256_file(image))
        self.ctl("probe", path)  # it goes on listening
        self.stop(d)
        self.assertTrue(os.path.exists(path))  # it was not the daemon's

    def test_activation(self):
        path, sock = self.listening_socket()
        image = self.file("img", pattern(MIB))
        argv = [sys.executable, "-c", ACTIVATE, str(sock.fileno()), BLK, f"--blk-file={image}"]
        d = Daemon(self, argv, path, pass_fds=(sock.fileno(),))
        # A connection may come before the daemon; virtioctl does not wait for one to start.
        with Client(path) as client:
            client.features()
        self.assertEqual(sha256(self.ctl("read", path)[0]), sha256_file(image))
        self.ctl("probe", path)
        self.stop(d)
        self.assertTrue(os.path.exists(path))

    def test_says_ready(self):
        """READY=1 comes when the socket listens, not before; then that the loop still runs."""
        name = self.file("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(name)
            notify.settimeout(PATIENCE)
            path = self.file("sock")
            d = Daemon(self, [RNG, f"--socket-path={path}"], path,
                       env={**os.environ, "NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"})
            self.assertIn(b"READY=1", notify.recv(4096).split(b"\n"))
            self.ctl("probe", path)
            for _ in range(3):
                self.assertEqual(notify.recv(4096), b"WATCHDOG=1")
            self.stop(d)

    def test_client_killed_while_writing(self):
        image = self.file("img", size=64 * MIB)
        d = self.blk(image)
        for n in range(3):
            ctl = subprocess.Popen([VIRTIOCTL, "write", "--request-size=4K", "--depth=128",
                                    "--queue-size=1024", d.path, "/dev/zero"],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(0.02 * (n + 1))
            ctl.kill()
            ctl.communicate()
            data = pattern(MIB, seed=n)
            self.ctl("write", f"--offset={n}M", d.path, data=data)
            self.assertEqual(self.ctl("read", f"--offset={n}M", "--length=1M", d.path)[0], data)
        self.stop(d)

    def fds_in_session(self, d):
        """How many fds the daemon has while a connection that says little is served."""
        with Client(d.path) as client:
            client.features()
            return open_fds(d.pid)

    def test_nothing_leaks(self):
        """50 sessions, the tidy and the untidy: no fd more than at first."""
        image = self.file("img", pattern(MIB))
        d = self.blk(image, "--num-queues=2")
        for queue in "0", "1":  # each worker makes its fds when it starts
            self.ctl("read", "--queue=" + queue, d.path)
        fds = self.fds_in_session(d)
        for n in range(50):
            if n % 5 == 0:
                with Client(d.path) as client:
                    client.sock.sendall(b"\x01\0\0")  # ends in the middle of a header
            elif n % 5 == 1:
                self.ctl("probe", d.path)
            elif n % 5 == 2:
                self.ctl("read", "--queue=1", d.path)
            elif n % 5 == 3:
                self.ctl("write", d.path, data=pattern(1000, seed=n))
            else:
                with Client(d.path) as client:
                    self.send_stray_fds(client)
        wait_until(lambda: self.fds_in_session(d) == fds, "as many open fds as at first")
        self.stop(d)

    def send_stray_fds(self, client):
        """fds with a message that has none, and as many as one message can carry."""
        message = b"\x01\0\0\0\x01\0\0\0\0\0\0\0"
        with open("/dev/null", "rb") as null:
            socket.send_fds(client.sock, [message], [null.fileno()] * 3)
            try:
                socket.send_fds(client.sock, [message], [null.fileno()] * 253)
            except (BrokenPipeError, ConnectionResetError):
                pass


if __name__ == "__main__":
    main()
