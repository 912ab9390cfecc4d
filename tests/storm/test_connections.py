#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Thousands of connections that have no use, while a front-end is served and while none is.

The served front-end's rate is compared with that while the same connections meet another daemon:
both take the same CPU time of the machine.
"""
import os
import re
import signal
import statistics
import subprocess
import sys
import time

from harness import (BLK, LONG, MIB, PATIENCE, RNG, SANITIZED, VIRTIOCTL, Client, LoopTest, main,
                     open_fds, wait_until)

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS, AT_ONCE = (10000, 1000) if LONG else (1000, 100)
PAIRS, MOST_PAIRS = 10, 60  # more than the least only if others disturb too much
LEAST_REQUESTS = 100  # to speak of a rate
LEAST_RATE = 0.8  # of what it is while the other daemon is stormed
RSS_KIB = 512  # that the allocator may keep
INTERRUPTED = 128 + signal.SIGINT


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s*(\d+) kB", f.read()).group(1))


class Storm:
    """connect.py as a process."""

    def __init__(self, test, seed=1):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "connect.py"), str(AT_ONCE), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        test.addCleanup(self.process.communicate)

    def at(self, path):
        """Returns the number of connections."""
        print(path, file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


class Connections(LoopTest):
    def setUp(self):
        super().setUp()
        self.storm = Storm(self)

    def make(self, kind):
        if kind == RNG:
            return self.rng()
        return self.blk(self.file(f"img{next(self.numbers)}", size=16 * MIB))

    def front_end(self, kind, path):
        """A process that drives the device until its input ends or it is interrupted."""
        argv = [VIRTIOCTL, "bench", "--verify", "--seconds=3600", "--warmup=0", path]
        if kind == RNG:
            argv = [sys.executable, os.path.join(HERE, "entropy.py"), path]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def end(self, kind, process):
        if kind == BLK:
            process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=PATIENCE)[1]
        self.assertEqual((process.returncode, err), (INTERRUPTED if kind == BLK else 0, ""))

    def rate(self, daemon, path):
        """(connections there, requests of daemon in each second meanwhile)"""
        before, begin = daemon.served(), time.monotonic()
        n = requests = 0
        while requests < LEAST_REQUESTS and time.monotonic() < begin + PATIENCE:
            n += self.storm.at(path)
            requests = daemon.served() - before
        self.assertGreaterEqual(requests, LEAST_REQUESTS, "the front-end stands still")
        return n, requests / (time.monotonic() - begin)

    def check_as_before(self, daemon, fds, rss):
        # Those of connections that had just ended may have been open before.
        wait_until(lambda: open_fds(daemon.pid) <= fds, "no more open fds than before")
        if not SANITIZED:  # freed memory is kept then
            self.assertLess(rss_kib(daemon.pid), rss + RSS_KIB)

    def check_log(self, daemon, connections):
        """Not a line for each."""
        self.assertLess(daemon.log().count("front-end"), connections / 4, daemon.log())

    def compare(self, daemon, twin):
        """(connections to daemon, its rate then as a part of that while twin has them)"""
        total, ratios, ratio = 0, [], 0
        while total < CONNECTIONS or len(ratios) < PAIRS or (
                ratio < LEAST_RATE and len(ratios) < MOST_PAIRS):
            order = (daemon, twin) if len(ratios) % 2 else (twin, daemon)
            rates = {d: self.rate(daemon, d.path) for d in order}
            total += rates[daemon][0]
            ratios.append(rates[daemon][1] / rates[twin][1])
            ratio = statistics.median(ratios)
        return total, ratio

    def check_served(self, kind):
        daemon, twin = self.make(kind), self.make(kind)
        process = self.front_end(kind, daemon.path)
        with Client(twin.path) as client:
            client.features()
            wait_until(lambda: daemon.served() > 1000, "requests")
            self.storm.at(daemon.path)
            fds, rss = open_fds(daemon.pid), rss_kib(daemon.pid)
            total, ratio = self.compare(daemon, twin)
            self.check_as_before(daemon, fds, rss)
            client.features()
        self.end(kind, process)
        print(f"{os.path.basename(kind)}: {total} connections, {AT_ONCE} at once: {ratio:.2f} of "
              "the rate", file=sys.stderr)
        self.assertGreaterEqual(ratio, LEAST_RATE)
        self.check_log(daemon, total)
        self.ctl("probe", daemon.path)
        self.stop(daemon)
        self.stop(twin)

    def test_served(self):
        for kind in BLK, RNG:
            with self.subTest(kind=kind):
                self.check_served(kind)

    def test_idle(self):
        """Nothing of them is left, and the next front-end is served."""
        for kind in BLK, RNG:
            daemon, total = self.make(kind), 0
            self.storm.at(daemon.path)
            self.ctl("probe", daemon.path)
            with Client(daemon.path) as client:
                client.features()
                fds, rss = open_fds(daemon.pid), rss_kib(daemon.pid)
            while total < CONNECTIONS:
                total += self.storm.at(daemon.path)
                self.ctl("probe", daemon.path)
            with Client(daemon.path) as client:
                client.features()
                self.check_as_before(daemon, fds, rss)
            self.check_log(daemon, total)
            self.stop(daemon)


if __name__ == "__main__":
    main()
