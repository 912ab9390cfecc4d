# SPDX-License-Identifier: Apache-2.0
"""virtiod-net and virtiod-switch, next to what others have for that (run --net)."""
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import testpmd
from backend import FAILURES, PATIENCE, Failed, Running, describe, pin
from flood import flood
from report import Line, Section

PROGRAMS = ("daemon/virtiod-net", "tools/switch/virtiod-switch", "tests/bench/net_load",
            "tests/bench/switch_bench")
PACED = 0.1  # of what net_vhost takes at most
BURST = 32  # frames, as testpmd has it
SIZES = (64, 1514, 9014)
GUEST_TCP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest_tcp.py")


def output(argv, cpus=None, patience=PATIENCE):
    done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=patience,
                          check=False, preexec_fn=pin(cpus))
    if done.returncode != 0:
        raise Failed(f"{argv[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()


class Net:
    """What is measured with: programs, CPUs, how long."""

    def __init__(self, programs, folder, front_cpus, back_cpus, seconds):
        self.daemon, self.switch, self.net_load, self.switch_bench = programs
        self.socket = os.path.join(folder, "s")
        self.front_cpus, self.back_cpus, self.seconds = front_cpus, back_cpus, seconds

    @contextmanager
    def ours(self, generates):
        """The pid of a virtiod-net that discards, or generates."""
        argv = [self.daemon, f"--socket-path={self.socket}", "--backend=null",
                "--log-level=warning", *(["--generate=64"] if generates else [])]
        with Running(argv, self.socket, self.back_cpus) as back_end:
            yield back_end.pid

    @contextmanager
    def theirs(self, generates):
        mode = "txonly" if generates else "rxonly"
        with testpmd.net_vhost(self.socket, mode, min(self.back_cpus)) as back_end:
            back_end.start()
            yield back_end.pid
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def full(self, side, generates):
        """As testpmd.measure()."""
        with side(generates) as pid:
            return testpmd.measure(self.socket, pid, "RX" if generates else "TX",
                                   min(self.front_cpus), self.seconds)

    def load(self, side, direction, rate):
        """(frames in a second, for a CPU second, CPU %) by our own front-end."""
        with side(direction == "rx"):
            frames, seconds, cpu, _ = map(float, output(
                [self.net_load, self.socket, direction, "64", str(int(rate)), str(BURST),
                 f"{self.seconds:g}"], self.front_cpus).split())
        return frames / seconds, frames / cpu, 100 * cpu / seconds

    def switched(self, argv, size):
        """(frames in a second, ns of the switch for each)"""
        text = output([self.switch_bench, *argv, str(size)])
        rate, cpu = re.search(r"(\d+) frames/s(?:.* (\d+) ns)?", text).groups()
        return float(rate), float(cpu or 0)


def rounds_of(n, sides, measure, what, errors):
    """Samples of each side, in turn; what fails is not tried again."""
    samples = [[] for _ in sides]
    order = list(range(len(sides)))
    try:
        for i in range(n):
            for side in order if i % 2 else reversed(order):
                samples[side].append(measure(sides[side]))
    except FAILURES as e:
        errors.append(f"{what}: {describe(e)}")
        return [[] for _ in sides]
    print(what, file=sys.stderr)
    return samples


def column(samples, i, scale=1.0):
    return [s[i] * scale for s in samples]


def frames(net, n, errors):
    """64-byte frames, to nowhere and from nowhere."""
    section = Section("64-byte frames, one core", "virtiod-net", "DPDK net_vhost")
    sides = net.ours, net.theirs
    for generates, title in ((False, "guest to null"), (True, "null to guest")):
        ours, theirs = rounds_of(n, sides, lambda s, g=generates: net.full(s, g),
                                 f"virtio-user, {title}", errors)
        section.lines += [
            Line(f"virtio-user, {title}", "M/CPU s", column(ours, 1, 1e-6),
                 column(theirs, 1, 1e-6), (">=", 1)),
            Line("", "M/s", column(ours, 0, 1e-6), column(theirs, 0, 1e-6))]
    for direction, title in (("tx", "guest to null"), ("rx", "null to guest")):
        ours, theirs = rounds_of(n, sides, lambda s, d=direction: net.load(s, d, 0),
                                 f"net_load, {title}", errors)
        section.lines.append(Line(f"net_load, {title}", "M/CPU s", column(ours, 1, 1e-6),
                                  column(theirs, 1, 1e-6)))
        if direction == "tx":
            most = max(column(theirs, 0), default=0)
    if most:
        ours, theirs = rounds_of(n, sides, lambda s: net.load(s, "tx", PACED * most), "paced",
                                 errors)
        section.lines.append(Line(f"{PACED:.0%} of that, {BURST} at a time", "CPU %",
                                  column(ours, 2), column(theirs, 2), ("<=", 0.25)))
    return section


def switch(net, n, errors):
    section = Section("switch, port to port", "virtiod-switch", "Linux bridge, taps")
    sides = ("stream", net.switch), ("bridge",)
    for size in SIZES:
        ours, theirs = rounds_of(n, sides, lambda argv, size=size: net.switched(argv, size),
                                 f"switch, {size}", errors)
        section.lines += [Line(f"{size}-byte frames", "k/s", column(ours, 0, 1e-3),
                               column(theirs, 0, 1e-3), (">=", 1)),
                          Line("", "ns a frame", column(ours, 1))]
    return section


def tcp(way, theirs):
    """A part: one TCP stream of a guest, from it and to it."""
    def part(net, n, errors):
        section = Section(f"TCP by {way}, guest by TCG", "virtiod-net", theirs)
        try:
            text = output(["unshare", "-n", sys.executable, GUEST_TCP, net.daemon, way, str(n),
                           f"{net.seconds:g}"], patience=PATIENCE * (2 + n))
            sides = json.loads(text.splitlines()[-1])
        except FAILURES as e:
            errors.append(f"{way}: {describe(e)}")
            return section
        for direction, title in enumerate(("from the guest", "to the guest")):
            ours, others = ([sample[direction] for sample in side] for side in sides)
            cpu = column(others, 1) if any(column(others, 1)) else ()
            section.lines += [
                Line(title, "MB/s", column(ours, 0), column(others, 0), (">=", 1)),
                Line("", "CPU s/GB", column(ours, 1), cpu)]
        print(way, file=sys.stderr)
        return section
    return part


PARTS = {"frames": frames, "switch": switch, "flood": flood, "tap": tcp("tap", "QEMU, vhost=off"),
         "passt": tcp("passt", "passt --vhost-user")}
