#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guest's ext4 under fio --verify sees a pause, and no error, when the host cannot write.

Usage: pause.py VIRTIOD_BLK VIRTIOCTL: the image's tmpfs fills, and is enlarged.
Exits 77 (skipped) where something is missing.
"""

import ctypes
import os
import re
import subprocess
import tempfile
import time

import stock  # finds the others
import initrd
from guest import check
from qemu import Daemon, end_all

MIB = 1 << 20
CLONE_NEWNS = 0x20000
PAUSE = 3  # seconds, at least
PATIENCE = 120


def run(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def own_mounts():
    """Only this process sees what it mounts, from now on."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
        raise initrd.Missing("mounting takes root")
    run("mount", "--make-rprivate", "/")


def make_image(folder):
    """Returns an ext4 of 128 MiB in a tmpfs that has no space for what the guest writes."""
    os.mkdir(folder)
    run("mount", "-t", "tmpfs", "-o", "size=40M", "none", folder)
    path = stock.make_disk(folder, "image", 128 * MIB)
    run(initrd.program("mkfs.ext4"), "-q", "-F", "-E", "nodiscard", path)
    return path


def pause_initrd(folder):
    """fio's libraries are in several folders: where the loader finds them."""
    path = os.path.join(folder, "initrd")
    content = initrd.Initrd(os.path.join(folder, "root"))
    content.add_init(os.path.join(stock.HERE, "init-pause"))
    content.add_modules(initrd.modules(initrd.cached(stock.KERNEL), ["virtio_pci", "virtio_blk"]))
    fio = initrd.program("fio")
    content.add(fio, "host/fio")
    for library in re.findall(r"(/\S+) \(0x", run("ldd", fio)):
        content.add(library, library.lstrip("/"))
    content.pack(path)
    return path


def held(virtioctl, control):
    """How many requests, and for how many seconds."""
    text = run(virtioctl, "metrics", control)
    return tuple(float(re.search(rf"(?m)^virtiod_held_{name}{{.*}} (\S+)$", text)[1])
                 for name in ("requests", "seconds"))


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} in {PATIENCE} s")
        time.sleep(0.05)


def pause(virtioctl, control, small):
    """Waits until requests are held, and have been for a while; makes space; waits for the end."""
    wait_until(lambda: held(virtioctl, control)[1] >= PAUSE, "held request")
    number, _ = held(virtioctl, control)
    check(number > 0, f"{number:.0f} requests are held")
    run("mount", "-t", "tmpfs", "-o", "remount,size=256M", "none", small)
    begin = time.monotonic()
    wait_until(lambda: held(virtioctl, control) == (0, 0), "end of the pause")
    print(f"pause: {PAUSE} s, and {time.monotonic() - begin:.1f} s after the cause had gone")


def verified(guest):
    check(guest.wait("status", 300) == "0", "fio ends with status 0")
    errors = guest.wait("errors").split()
    check(errors and set(errors) == {"0"}, "fio has found no error")
    print("fio: KiB read, written, trimmed: " + guest.wait("kbytes"))
    check(guest.wait("messages") == "0", "the guest's kernel tells of no error")
    check("rw" in guest.wait("mount").split()[3].split(","), "the file system is still writable")
    guest.wait("done")
    check(guest.process.wait(60) == 0, "QEMU ends with status 0")


def main(blk_program, virtioctl):
    qemu = stock.Qemu()
    own_mounts()
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:
        image = pause_initrd(folder)
        small, control = os.path.join(folder, "small"), os.path.join(folder, "control")
        disk = make_image(small)
        started = []
        try:
            blk = Daemon(folder, blk_program, "--blk-file=" + disk, "--werror=stop",
                         "--rerror=stop", "--control=" + control)
            started.append(blk)
            guest = qemu.start(
                image, "1G", os.path.join(folder, "qmp"),
                "-chardev", f"socket,id=blk,path={blk.socket}",
                "-device", "vhost-user-blk-pci,chardev=blk,num-queues=1")
            started.append(guest)
            guest.wait("fio", PATIENCE)
            pause(virtioctl, control, small)
            verified(guest)
            blk.stop()
            run(initrd.program("e2fsck"), "-fn", disk)
        finally:
            end_all(started)
            run("umount", "-l", small)


if __name__ == "__main__":
    stock.run(main)
