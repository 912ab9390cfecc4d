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
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from backend import PATIENCE, Failed, Running, Virtiod

ENGINES = (("sync", False), ("uring", False), ("mmap", False), ("uring", True))  # --direct?
WORKERS = (1, 2)
ON_OFF = ("on", "off")
QUEUES = (1, 2, 4)
DEPTHS = (1, 32, 256)
REGION = 8 << 20
BLOCK_SIZES = (4096, 16384, 512)

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

    def __str__(self):
        return (f"packed={self.packed} indirect={self.indirect} queues={self.queues} "
                f"depth={self.depth}")


SHAPES = [Shape(*s) for s in itertools.product(ON_OFF, ON_OFF, QUEUES, DEPTHS)]


def run_shape(virtioctl, socket, n, shape, requests):
    """None, or what went wrong."""
    # Each depth must be reached, in each queue.
    requests = max(requests, 2 * shape.depth * shape.queues)
    mode = "polling" if n % 3 == 2 else "blocking"
    argv = [virtioctl, "bench", "--json", "--verify", "--rw=mixed", f"--requests={requests}",
            f"--block-size={BLOCK_SIZES[n % 2]}", f"--length={REGION}", f"--mode={mode}",
            f"--packed={shape.packed}", f"--indirect={shape.indirect}",
            f"--queues={shape.queues}", f"--depth={shape.depth}", f"--seed={n + 1}", socket]
    try:
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False,
                              timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"not within {PATIENCE} s"
    if done.returncode != 0:
        return f"exit status {done.returncode}: {done.stderr.decode(errors='replace').strip()}"
    return None


def lacking(engine, image, direct):
    """Why this machine cannot do that, or None."""
    if direct:
        try:
            os.close(os.open(image, os.O_RDWR | os.O_DIRECT))
        except OSError as e:
            return f"{image}: O_DIRECT: {e.strerror}"
    return no_io_uring() if engine == "uring" else None


def run_shapes(virtioctl, argv, socket, shapes, requests):
    """What went wrong with which of them. One back-end serves them all."""
    failures = []
    with Running(argv, socket) as back_end:
        for n, shape in shapes:
            wrong = run_shape(virtioctl, back_end.socket, n, shape, requests)
            if wrong:
                failures.append(f"{shape}: {wrong}")
    return failures


def verify(virtioctl, virtiod_blk, folder, disk, requests=400, thorough=True):
    """(how many runs there were, failures, what was skipped). folder holds the file, disk that for
    O_DIRECT. Thorough: every shape with each number of workers; else they take turns."""
    runs, failures, skipped = 0, [], []
    socket = os.path.join(folder, "v")
    for (engine, direct), (turn, workers) in itertools.product(ENGINES, enumerate(WORKERS)):
        image = os.path.join(disk if direct else folder, "verified")
        what = f"engine={engine}{' direct' if direct else ''} workers={workers}"
        argv = Virtiod(virtiod_blk).argv(image, socket, direct, max(QUEUES), workers, engine)
        with open(image, "wb") as f:
            f.truncate(REGION)
        lack = lacking(engine, image, direct)
        if lack:
            skipped.append(f"{what}: {lack}")
            continue
        shapes = [s for s in enumerate(SHAPES) if thorough or s[0] % len(WORKERS) == turn]
        runs += len(shapes)
        try:
            failures += [f"{what} {f}"
                         for f in run_shapes(virtioctl, argv, socket, shapes, requests)]
        except (Failed, OSError) as e:
            failures.append(f"{what}: {e}")
        os.unlink(image)
    return runs, failures, skipped


def main():
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vv", dir="/tmp") as folder:
        runs, failures, skipped = verify(os.environ["VIRTIOCTL"], os.environ["VIRTIOD_BLK"],
                                         folder, folder, thorough=False)
    for words in skipped:
        print(f"SKIPPED: {words}", file=sys.stderr)
    for words in failures:
        print(f"FAILED: {words}", file=sys.stderr)
    print(f"{runs} runs, {len(failures)} failed, {time.monotonic() - begin:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
