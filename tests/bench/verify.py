#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl bench --verify of virtiod-blk: every block engine with every form of virtqueue. What is
written must be what is read.

As a program, for meson: VIRTIOCTL and VIRTIOD_BLK come from the environment.
"""
import ctypes
import errno
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from backend import FAILURES, PATIENCE, Failed, Running, Virtiod, describe

ENGINES = (("sync", False), ("uring", False), ("mmap", False), ("uring", True))  # --direct?
ON_OFF = ("on", "off")
QUEUES = (1, 2, 4)
DEPTHS = (1, 32, 256)
BLOCK_SIZES = (512, 4096, 16384)
REQUESTS = 200
REGION = 32 << 20  # each queue has blocks of its own: enough for the depth

IO_URING_SETUP = 425


def no_io_uring():
    """Why this kernel has no io_uring for us, or None."""
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(120)
    fd = libc.syscall(IO_URING_SETUP, 1, params)
    if fd >= 0:
        os.close(fd)
        return None
    return os.strerror(ctypes.get_errno()) if ctypes.get_errno() in (
        errno.ENOSYS, errno.EPERM) else None


@dataclass(frozen=True)
class Shape:
    """What one run of virtioctl differs in from the next."""
    packed: str
    indirect: str
    queues: int
    depth: int


SHAPES = [Shape(*s) for s in itertools.product(ON_OFF, ON_OFF, QUEUES, DEPTHS)]
if "SANITIZED" in os.environ:
    SHAPES = SHAPES[::4]  # each value of each


def run_shape(virtioctl, socket, n, shape):
    """What is no part of the shape is chosen at random, the same for the same n."""
    choose = random.Random(n).choice
    # Each depth must be reached, in each queue.
    requests = max(REQUESTS, 2 * shape.depth * shape.queues)
    # On a busy machine, polling for each single request takes a turn of the scheduler's.
    modes = ("blocking", "polling") if shape.depth > 1 else ("blocking",)
    argv = [virtioctl, "bench", "--json", "--verify", "--rw=mixed", "--read-percent=50",
            f"--requests={requests}", f"--packed={shape.packed}", f"--indirect={shape.indirect}",
            f"--queues={shape.queues}", f"--depth={shape.depth}", f"--seed={n + 1}",
            f"--threads={min(shape.queues, 2)}", f"--block-size={choose(BLOCK_SIZES)}",
            f"--event-idx={choose(ON_OFF)}", f"--inflight={choose(('auto', 'off'))}",
            f"--mode={choose(modes)}", f"--flush-every={choose((0, 50))}"]
    done = subprocess.run([*argv, socket], capture_output=True, stdin=subprocess.DEVNULL,
                          check=False, timeout=PATIENCE)
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv[1:])}: exit status {done.returncode}: "
                     f"{done.stderr.decode(errors='replace').strip()}")


def lacking(engine, image, direct):
    """Why this machine cannot do that, or None."""
    if direct:
        try:
            os.close(os.open(image, os.O_RDWR | os.O_DIRECT))
        except OSError as e:
            return f"{image}: O_DIRECT: {e.strerror}"
    return no_io_uring() if engine == "uring" else None


def verify(virtioctl, virtiod_blk, folder, disk, workers=(1, 2)):
    """(how many runs passed, failures, what was skipped). folder holds the file, disk that for
    O_DIRECT. One back-end serves all shapes, up to its first failure."""
    passed, failures, skipped = 0, [], []
    socket = os.path.join(folder, "v")
    for (engine, direct), n_workers in itertools.product(ENGINES, workers):
        image = os.path.join(disk if direct else folder, "verified")
        argv = Virtiod(virtiod_blk).argv(image, socket, direct, max(QUEUES), n_workers, engine)
        options = " ".join(argv[3:])
        with open(image, "wb") as f:
            f.truncate(REGION)
        lack = lacking(engine, image, direct)
        if lack:
            skipped.append(f"{options}: {lack}")
            continue
        try:
            with Running(argv, socket) as back_end:
                for n, shape in enumerate(SHAPES):
                    run_shape(virtioctl, back_end.socket, n, shape)
                    passed += 1
        except FAILURES as e:
            failures.append(f"{options}: {describe(e)}")
        os.unlink(image)
    return passed, failures, skipped


def main():
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vv", dir="/tmp") as folder:
        passed, failures, skipped = verify(os.environ["VIRTIOCTL"], os.environ["VIRTIOD_BLK"],
                                           folder, folder, workers=(2,))
    for words in skipped:
        print(f"SKIPPED: {words}", file=sys.stderr)
    for words in failures:
        print(f"FAILED: {words}", file=sys.stderr)
    print(f"{passed} passed, {len(failures)} failed, {time.monotonic() - begin:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
