# SPDX-License-Identifier: Apache-2.0
"""The machine that is measured on: what it is, whether it is quiet, files and CPUs to measure with.
"""
import contextlib
import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass, field

from backend import Failed

BUSY = 0.05  # of all CPUs, from where on we complain


@dataclass
class Machine:
    virtioctl: str
    folder: str  # in memory: sockets, and the file that is served
    image: str
    direct_image: str
    front_cpus: set
    back_cpus: set
    seconds: float
    runs: list = field(default_factory=list)  # all of virtioctl's reports
    others: float = 0.0  # what part of the CPUs was at work for others while we compared


def file_system(path):
    """The type of that which holds path."""
    best = "", "?"
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            fields, _, rest = line.partition(" - ")
            point = fields.split()[4]
            inside = os.path.realpath(path) + "/"
            if inside.startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
                best = point, rest.split()[0]
    return best[1]


def fill(path, mib):
    """A file that has all its blocks, written through and out of the page cache."""
    room = shutil.disk_usage(os.path.dirname(path)).free >> 20
    if room < mib + 256:
        raise Failed(f"{path}: {mib} MiB are needed, {room} MiB are free (--size, --disk)")
    block = os.urandom(1 << 20)
    with open(path, "wb") as f:
        for _ in range(mib):
            f.write(block)
        f.flush()
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Others:
    """Within its scope: what part of all CPUs is at work, but for us and those we waited for."""

    def __init__(self):
        self.share = 0.0

    @staticmethod
    def seconds():
        """(that have passed, at work, of these ours), of all CPUs together."""
        with open("/proc/stat", encoding="ascii") as f:
            fields = [int(n) / os.sysconf("SC_CLK_TCK") for n in f.readline().split()[1:9]]
        idle = fields[3] + fields[4]
        return sum(fields), sum(fields) - idle, sum(os.times()[:4])

    def __enter__(self):
        self.begin = self.seconds()
        return self

    def __exit__(self, *_):
        passed, work, ours = (b - a for a, b in zip(self.begin, self.seconds()))
        self.share = max(0.0, work - ours) / passed if passed else 0.0

    def complain(self):
        if self.share > BUSY:
            print("WARNING: the machine is busy; these figures are not worth much")


@contextlib.contextmanager
def urgent():
    """We and our children, and our session, come before all others. Needs the right to it."""
    group, nice = "/proc/self/autogroup", None
    if os.path.exists(group):
        with open(group, "r+", encoding="ascii") as f:
            nice = f.read().split()[-1]
            f.write("-20")
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    try:
        yield
    finally:
        if nice is not None:
            with open(group, "w", encoding="ascii") as f:
                f.write(nice)


def facts(theirs):
    """Of the machine, and of that qemu-storage-daemon; says them, too."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        models = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    with Others() as others:
        time.sleep(1)
    version = subprocess.run([theirs, "--version"], capture_output=True, check=True).stdout
    known = {"cpu": models[0] if models else platform.machine(), "cpus": os.cpu_count(),
             "kernel": platform.release(), "load": os.getloadavg(), "busy": others.share,
             "qemu-storage-daemon": version.decode().splitlines()[0]}
    print(f"{known['cpu']}, {known['cpus']} CPUs, Linux {known['kernel']}; load average "
          f"{known['load'][0]:.2f}, {known['busy']:.0%} busy; {known['qemu-storage-daemon']}")
    others.complain()
    return known


def choose_cpus():
    """(front-end's, back-end's)"""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        print("WARNING: one CPU for both sides")
    return {cpus[0]}, {cpus[min(1, len(cpus) - 1)]}


