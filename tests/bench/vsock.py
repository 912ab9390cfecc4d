# SPDX-License-Identifier: Apache-2.0
"""virtiod-vsock, next to vhost-device-vsock and to plain Unix sockets (run --vsock)."""
import os
import sys

from backend import Running
from net import column, output, rounds_of
from report import Line, Section

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import initrd  # noqa: E402

PROGRAMS = ("daemon/virtiod-vsock", "tests/bench/vsock_load")
PEER = "vhost-device-vsock"
# mode of vsock_load: title, unit, scale
MODES = {"tx": ("stream from the guest", "MB/s", 1e-6), "rx": ("stream to the guest", "MB/s", 1e-6),
         "connect": ("connections of the guest", "k/s", 1e-3)}


def find_peer():
    """Its path, or None."""
    try:
        return initrd.program(PEER)
    except initrd.Missing:
        pass
    try:
        return os.path.join(initrd.cached(PEER), "bin", PEER)
    except initrd.Missing as missing:
        print(f"no {PEER}: {missing}")
        return None


class Peer(Running):
    """It ends at once, by any signal."""

    def stop(self):
        self.kill()


class Vsock:
    """What is measured with: programs, CPUs, how long."""

    def __init__(self, programs, folder, front_cpus, back_cpus, seconds):
        self.daemon, self.vsock_load = programs
        self.socket, self.path = (os.path.join(folder, name) for name in "sv")
        self.front_cpus, self.back_cpus, self.seconds = front_cpus, back_cpus, seconds
        self.peer = find_peer()

    def load(self, socket, mode):
        """(bytes or connections in a second, CPU seconds of the back-end for 10^9 of them)"""
        done, seconds, cpu = map(float, output(
            [self.vsock_load, socket, self.path, mode, f"{self.seconds:g}"],
            self.front_cpus).split())
        return done / seconds, cpu / done * 1e9

    def device(self, kind, argv, mode):
        argv = [*argv, "--guest-cid=3", f"--uds-path={self.path}"]
        with kind(argv, self.socket, self.back_cpus):
            result = self.load(self.socket, mode)
        if os.path.exists(self.path):
            os.unlink(self.path)
        return result

    def ours(self, mode):
        return self.device(
            Running, [self.daemon, f"--socket-path={self.socket}", "--log-level=warning"], mode)

    def theirs(self, mode):
        return self.device(Peer, [self.peer, f"--socket={self.socket}"], mode)

    def sockets(self, mode):
        return self.load(f"unix:{min(self.back_cpus)}", mode)


def compare(vsock, n, errors):
    """Sections: with the peer, if it is here, and with Unix sockets."""
    sides = [vsock.ours, vsock.sockets, *([vsock.theirs] if vsock.peer else [])]
    others = [("Unix sockets alone", None), (PEER, (">=", 1))][:len(sides) - 1]
    sections = [Section("sockets, one core", "virtiod-vsock", name) for name, _ in others]
    for mode, (title, unit, scale) in MODES.items():
        ours, *theirs = rounds_of(n, sides, lambda side, mode=mode: side(mode), title, errors)
        for section, samples, (_, required) in zip(sections, theirs, others):
            section.lines.append(Line(title, unit, column(ours, 0, scale),
                                      column(samples, 0, scale), required))
            # A process of its own makes connections of virtiod-vsock.
            if mode != "connect":
                section.lines.append(Line("", "CPU s/GB", column(ours, 1), column(samples, 1),
                                          required and ("<=", 1)))
    return sections
