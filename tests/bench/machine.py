# SPDX-License-Identifier: Apache-2.0
"""The machine that is measured on: what it is, whether it is quiet, files and CPUs to measure with.
"""
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


def busy_share(seconds=1):
    """What part of the CPUs is at work, without us."""
    def times():
        with open("/proc/stat", encoding="ascii") as f:
            fields = list(map(int, f.readline().split()[1:9]))
        return sum(fields), fields[3] + fields[4]
    total, idle = times()
    time.sleep(seconds)
    total_after, idle_after = times()
    return 1 - (idle_after - idle) / (total_after - total)


def facts(theirs):
    """Of the machine, and of that qemu-storage-daemon; says them, too."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        models = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    version = subprocess.run([theirs, "--version"], capture_output=True, check=True).stdout
    known = {"cpu": models[0] if models else platform.machine(), "cpus": os.cpu_count(),
             "kernel": platform.release(), "load": os.getloadavg(), "busy": busy_share(),
             "qemu-storage-daemon": version.decode().splitlines()[0]}
    print(f"{known['cpu']}, {known['cpus']} CPUs, Linux {known['kernel']}; load average "
          f"{known['load'][0]:.2f}, {known['busy']:.0%} busy; {known['qemu-storage-daemon']}")
    if known["busy"] > BUSY:
        print("WARNING: the machine is busy; these figures are not worth much")
    return known


def choose_cpus():
    """(front-end's, back-end's)"""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        print("WARNING: one CPU for both sides")
    return {cpus[0]}, {cpus[min(1, len(cpus) - 1)]}


