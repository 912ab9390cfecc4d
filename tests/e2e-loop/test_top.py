#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl top in a terminal of its own: what the screen shows, its keys, and how it ends."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from harness import (FAILED, MIB, PATIENCE, SANITIZED, USAGE, VIRTIOCTL, LoopTest, main, pattern)

STRICT = "--sandbox=none" if SANITIZED else "--sandbox=strict"
SEQUENCE = re.compile(rb"\x1b\[(\??)(\d*)([A-Za-z])|\x1b(?:\[\??\d*)?\Z|([^\x1b])|(\x1b)", re.S)


class Screen:
    """A terminal that knows the sequences that top may use, and no others."""

    def __init__(self, rows, columns):
        self.alternate, self.cursor, self.rest = False, True, b""
        self.settled = True  # no text for the size before is on its way
        self.resize(rows, columns)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.reverse = [False] * rows
        self.row = self.column = 0
        self.inverse = False

    def feed(self, data):
        data, self.rest = self.rest + data, b""
        for match in SEQUENCE.finditer(data):
            private, number, end, char, odd = match.groups()
            assert not odd, data[match.start():]
            if char:
                self.put(char)
            elif end:
                self.control(private, number, end)
            else:
                self.rest = match.group()

    def put(self, char):
        if char == b"\r":
            self.column = 0
        elif char == b"\n":
            assert self.row + 1 < self.rows or not self.settled, "the screen would scroll"
            self.row = min(self.row + 1, self.rows - 1)
        else:
            assert b" " <= char <= b"~", char
            assert self.column < self.columns or not self.settled, "the line would wrap"
            self.column = min(self.column, self.columns - 1)
            self.cells[self.row][self.column] = char.decode()
            self.reverse[self.row] = self.inverse
            self.column += 1

    def control(self, private, number, end):
        what = (private + number + end).decode()
        if what == "H":
            self.row = self.column = 0
        elif what == "K":
            self.cells[self.row][self.column:] = [" "] * (self.columns - self.column)
        elif what == "J":
            self.cells[self.row][self.column:] = [" "] * (self.columns - self.column)
            for row in range(self.row + 1, self.rows):
                self.cells[row] = [" "] * self.columns
        elif what in ("7m", "m"):
            self.inverse = what == "7m"
        elif what in ("?25h", "?25l"):
            self.cursor = what == "?25h"
        else:
            assert what in ("?1049h", "?1049l"), what
            self.alternate = what == "?1049h"

    def lines(self):
        return ["".join(row).rstrip() for row in self.cells]


class Fake:
    """A daemon that has served so much more at each answer, by its own clock: one second."""

    def __init__(self, path, device, requests, in_flight=0, front_end="connected", state="running",
                 held=0):
        self.args = (device, requests, in_flight, front_end, state)
        self.held = held
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.closed, self.n, self.clients = False, 0, []
        threading.Thread(target=self.serve, daemon=True).start()

    def answer(self):
        device, requests, in_flight, front_end, state = self.args
        self.n += 1
        n = self.n * requests
        types = [{"type": "read", "requests": n, "bytes": n * 4096, "errors": 0,
                  "latency_ns": n, "latency": [0, 0, n // 2, n // 2]}]
        return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {
            "device": device, "front_end": front_end, "uptime_us": self.n * 1000000,
            "cpu_us": self.n * 250000, "held": self.held, "held_us": self.held,
            "queues": [{"queue": 0, "state": state, "in_flight": in_flight, "types": types}],
        }}).encode() + b"\n"

    def serve(self):
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients.append(client)
            with client, client.makefile("rb") as lines:
                for line in lines:
                    assert json.loads(line)["method"] == "stats"
                    client.sendall(self.answer())

    def close(self):
        self.closed = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for client in self.clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has left


class Top(LoopTest):
    def start(self, *args, rows=8, columns=110):
        self.screen = Screen(rows, columns)
        self.fd, terminal = pty.openpty()
        self.addCleanup(os.close, self.fd)
        self.addCleanup(os.close, terminal)
        self.terminal = terminal
        self.modes = termios.tcgetattr(terminal)
        self.resize(rows, columns)
        self.top = subprocess.Popen([VIRTIOCTL, "top", STRICT, "--interval=0.1", *args],
                                    stdin=terminal, stdout=terminal, stderr=subprocess.PIPE,
                                    start_new_session=True)
        self.addCleanup(self.end)

    def end(self):
        self.top.kill()
        self.top.wait()
        self.top.stderr.close()

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        self.screen.settled = False
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            self.screen.feed(os.read(self.fd, 65536))

    def until(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition(self.screen.lines()):
            self.assertLess(time.monotonic(), end, "\n".join(self.screen.lines()))
            self.assertIsNone(self.top.poll())
            self.read(1)
        self.screen.settled = True

    def keys(self, text):
        os.write(self.fd, text.encode())

    def finish(self, status=0):
        end = time.monotonic() + PATIENCE
        while self.top.poll() is None:
            self.assertLess(time.monotonic(), end)
            self.read(0.1)
        self.read(0.1)
        self.assertEqual((self.top.returncode, self.top.stderr.read()), (status, b""))
        self.assertFalse(self.screen.alternate)
        self.assertTrue(self.screen.cursor)
        self.assertEqual(termios.tcgetattr(self.terminal), self.modes)

    def fakes(self):
        self.folder = self.file("f")
        os.mkdir(self.folder)
        os.chdir(self.folder)  # short paths, the same every time
        self.addCleanup(os.chdir, "/")
        fakes = [Fake("a.control", "blk", 1000, in_flight=3),
                 Fake("b.control", "net", 5000, front_end="absent"),
                 Fake("c.control", "rng", 0, state="broken")]
        for fake in fakes:
            self.addCleanup(fake.close)
        return fakes

    ROW = "{:<31} {:<12} {:<9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>6}"
    TITLE = ROW.format("SOCKET", "DEVICE", "STATE", "IOPS", "MB/s", "P50 us", "P99 us", "IN FLIGHT",
                       "CPU %")
    A = ROW.format("./a.control", "blk", "connected", 1000, 4.1, "2.0", 4.1, 3, "25.0")
    B = ROW.format("./b.control", "net", "absent", 5000, 20.5, "2.0", 4.1, 0, "25.0")
    C = ROW.format("./c.control", "rng", "broken", 0, "0.0", "0.0", "0.0", 0, "25.0")

    def shows(self, by, *lines):
        wanted = [f"3 daemons, 6000 IOPS, 24.6 MB/s, by {by} (h: help)", self.TITLE, *lines]
        self.until(lambda screen: screen == wanted + [""] * (len(screen) - len(wanted)))

    def test_held(self):
        """What the guest waits for is seen, unless it is worse."""
        self.fakes()[0].held = 2
        self.start(".")
        self.shows("IOPS", self.B, self.A.replace("connected", "held     "), self.C)
        self.keys("q")
        self.finish()

    def test_screen(self):
        self.fakes()
        self.start(".")
        self.shows("IOPS", self.B, self.A, self.C)
        self.assertTrue(self.screen.alternate)
        self.assertFalse(self.screen.cursor)
        self.assertEqual(self.screen.reverse[:3], [False, True, False])
        for key, by, order in (("s", "MB/s", "BAC"), ("\x1b[D", "IOPS", "BAC"),
                               ("\x1b[D\x1b[D", "DEVICE", "ABC"), ("\x1bOC", "STATE", "BCA"),
                               ("sssss", "IN FLIGHT", "ABC"), ("ss", "SOCKET", "ABC"),
                               ("\x1b[D", "CPU %", "ABC")):
            self.keys(key)
            self.shows(by, *(getattr(self, name) for name in order))
        self.keys("h")
        self.until(lambda screen: screen[1].startswith("q   ") and "scroll" not in screen[4])
        self.keys("h")
        self.shows("CPU %", self.A, self.B, self.C)
        self.keys("q")
        self.finish()

    def test_size(self):
        self.fakes()
        self.start(".", rows=4)
        self.shows("IOPS", self.B, self.A)
        self.keys("\x1b[B\x1b[B\x1b[B\x1b[B")
        self.shows("IOPS", self.A, self.C)
        self.keys("\x1b[A")
        self.shows("IOPS", self.B, self.A)
        self.resize(6, 60)
        self.until(lambda screen: screen == [
            "3 daemons, 6000 IOPS, 24.6 MB/s, by IOPS (h: help)",
            "SOCKET       DEVICE       STATE          IOPS     MB/s    P5",
            "./b.control  net          absent         5000     20.5",
            "./a.control  blk          connected      1000      4.1",
            "./c.control  rng          broken            0      0.0", ""])
        for rows, columns in ((1, 1), (2, 10), (3, 300)):
            self.resize(rows, columns)
            self.until(lambda screen, n=columns: screen[0] == "3 daemons, 6000 IOPS, 24.6 MB/s, "
                       "by IOPS (h: help)"[:n].rstrip())
        self.keys("q")
        self.finish()

    def test_come_and_go(self):
        path = self.file("x.control")
        self.start(path)
        self.until(lambda screen: " gone " in screen[2])
        fake = Fake(path, "blk", 1000)
        self.until(lambda screen: " 1000      4.1 " in screen[2])
        fake.close()
        self.until(lambda screen: " gone " in screen[2] and " 0.0 " in screen[2])
        os.unlink(path)
        again = Fake(path, "blk", 2000)
        self.addCleanup(again.close)
        self.until(lambda screen: " 2000      8.2 " in screen[2])
        self.top.send_signal(signal.SIGTERM)
        self.finish(128 + signal.SIGTERM)

    def test_silent(self):
        path = self.file("x.control")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            self.start(path)
            self.until(lambda screen: " silent " in screen[2])
            self.top.send_signal(signal.SIGINT)
            self.finish(128 + signal.SIGINT)

    def test_stopped(self):
        """One that is stopped delays no other."""
        fake, control = self.fakes()[0], self.file("f/d.control")
        stopped = self.blk(self.file("img", pattern(MIB)), f"--control={control}", STRICT)
        self.start(".")
        self.until(lambda screen: "absent" in str(screen) and "./d.control" in str(screen)
                   and "6000 IOPS" in screen[0])
        stopped.process.send_signal(signal.SIGSTOP)
        self.until(lambda screen: " silent " in str(screen))
        before, start = fake.n, time.monotonic()
        self.until(lambda screen: fake.n >= before + 20)
        self.assertLess(time.monotonic() - start, 10)  # two, and 22 if each waited for it
        self.assertIn("6000 IOPS", self.screen.lines()[0])
        self.assertIn(" silent ", str(self.screen.lines()))
        stopped.process.send_signal(signal.SIGCONT)
        self.until(lambda screen: " silent " not in str(screen))
        self.keys("q")
        self.finish()

    def test_real(self):
        control = self.file("control")
        d = self.blk(self.file("img", pattern(4 * MIB)), f"--control={control}", STRICT)
        self.start(control)
        self.until(lambda screen: " blk          absent " in screen[2])
        with subprocess.Popen([VIRTIOCTL, "bench", "--seconds=1000", d.path],
                              stdout=subprocess.DEVNULL) as load:
            self.until(lambda screen: re.search(
                r" blk +connected +\d{2,} +\d+\.\d +\d+\.\d +\d+\.\d +\d+ +\d+\.\d$", screen[2])
                and not re.search(r" connected +\d+ +0\.0 ", screen[2]))
            load.send_signal(signal.SIGINT)
            load.wait(PATIENCE)
        self.keys("q")
        self.finish()

    def test_usage(self):
        for args in ((), ("--interval=0", "x"), ("--interval=x", "x"), ("--interval=3601", "x")):
            self.ctl("top", *args, expect=USAGE)
        self.assertIn("terminal", self.ctl("top", "x", expect=FAILED)[1])
        self.assertIn(".control", self.ctl("top", self.dir, expect=FAILED)[1])


if __name__ == "__main__":
    main()
