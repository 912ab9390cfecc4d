# SPDX-License-Identifier: Apache-2.0
"""dpdk-testpmd as a front-end (virtio-user) and as a back-end (net_vhost), without huge pages."""
import os
import re
import select
import subprocess
import sys
import time

from backend import PATIENCE, Failed, activity, listens, pin

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import initrd  # noqa: E402

RING = 1024


def find():
    try:
        return os.path.join(initrd.cached("dpdk"), "bin/dpdk-testpmd")
    except initrd.Missing as missing:
        raise Failed(str(missing)) from None


def argv(device, mode, cpu, name):
    """Both of its threads are on one CPU: the first one only reads commands."""
    return [find(), "--lcores", f"0@{cpu},1@{cpu}", "-m", "256", "--no-huge", "--no-pci",
            "--no-shconf", f"--file-prefix=bench-{os.getpid()}-{name}", "--log-level=lib.eal:4",
            f"--vdev={device}", "--", "-i", f"--forward-mode={mode}", "--total-num-mbufs=4096",
            "--no-mlockall", f"--txd={RING}", f"--rxd={RING}"]


class Testpmd:
    """One that runs, and obeys commands; at the end of its scope it is ended."""

    def __init__(self, device, mode, cpu, name):
        # It writes whole buffers to what is no terminal.
        self.terminal, slave = os.openpty()
        self.process = subprocess.Popen(argv(device, mode, cpu, name), stdin=subprocess.PIPE,
                                        stdout=slave, stderr=slave, preexec_fn=pin({cpu}))
        os.close(slave)
        self.pid = self.process.pid
        self.text = ""

    def command(self, words):
        self.process.stdin.write(words.encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, pattern):
        """The match of what it prints from here on."""
        end = time.monotonic() + PATIENCE
        while True:
            match = re.search(pattern, self.text)
            if match:
                self.text = self.text[match.end():]
                return match
            left = end - time.monotonic()
            if left < 0 or not select.select([self.terminal], [], [], left)[0]:
                raise Failed(f"dpdk-testpmd does not print '{pattern}': {self.text[-1000:]}")
            try:
                self.text += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:
                raise Failed(f"dpdk-testpmd has ended: {self.text[-1000:]}") from None

    def start(self):
        self.command("start")
        self.wait("packet forwarding - ports")

    def frames(self, direction):
        """How many frames its port has sent ("TX") or received ("RX")."""
        self.command("show port stats 0")
        return int(self.wait(direction + r"-packets: (\d+)")[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.command("quit")
            self.process.stdin.close()
            # Until it ends there is somebody who reads what it prints.
            while self.process.poll() is None and select.select([self.terminal], [], [], 3)[0]:
                os.read(self.terminal, 65536)
        except OSError:
            pass
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


def net_vhost(socket, mode, cpu):
    """A back-end that listens, and discards ("rxonly") or generates ("txonly")."""
    back_end = Testpmd(f"net_vhost0,iface={socket},queues=1", mode, cpu, "back")
    end = time.monotonic() + PATIENCE
    while not listens(socket):
        if time.monotonic() > end or back_end.process.poll() is not None:
            with back_end:
                raise Failed("dpdk-testpmd: net_vhost does not listen")
        time.sleep(0.01)
    return back_end


def measure(socket, back_end_pid, direction, cpu, seconds):
    """(frames in a second, for a CPU second of the back-end) by virtio-user."""
    mode = "txonly" if direction == "TX" else "rxonly"
    device = f"net_virtio_user0,path={socket},queues=1,queue_size={RING}"
    with Testpmd(device, mode, cpu, "front") as front_end:
        front_end.start()
        time.sleep(0.3)
        before = activity(back_end_pid)["ns"], front_end.frames(direction), time.monotonic()
        time.sleep(seconds)
        after = activity(back_end_pid)["ns"], front_end.frames(direction), time.monotonic()
    cpu_ns, frames, passed = (b - a for a, b in zip(before, after))
    if not frames:
        raise Failed("virtio-user: no frame was sent or received")
    return frames / passed, frames / (cpu_ns / 1e9)
