#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guest's ext4 under fio --verify sees a pause, and no error, when the host cannot write.

Usage: pause.py CAUSE VIRTIOD_BLK VIRTIOCTL
full: the image's tmpfs fills, and is enlarged; failing: the disk is a loop device that fails, while
fio writes and while it reads, and comes back.
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
DISK = 128 * MIB
PAUSE = 3  # seconds, at least
ENOUGH = 200
PATIENCE = 120


def run(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def own_mounts():
    """Only this process sees what it mounts, from now on."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
        raise initrd.Missing("mounting takes root")
    run("mount", "--make-rprivate", "/")


def make_ext4(path):
    run(initrd.program("mkfs.ext4"), "-q", "-F", "-E", "nodiscard", path)
    return path


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} in {PATIENCE} s")
        time.sleep(0.05)


class Full:
    """A tmpfs that has no space for what the guest writes."""

    options = ()
    pauses = (None,)

    def __init__(self, folder):
        self.folder = os.path.join(folder, "small")

    def disk(self):
        os.mkdir(self.folder)
        run("mount", "-t", "tmpfs", "-o", "size=40M", "none", self.folder)
        return make_ext4(stock.make_disk(self.folder, "image", DISK))

    def begin(self):
        pass

    def end(self):
        run("mount", "-t", "tmpfs", "-o", "remount,size=256M", "none", self.folder)

    def close(self):
        run("umount", "-l", self.folder)


class Failing:
    """A loop device on a file that nbdfuse gets from nbdkit, whose filter fails while asked to."""

    options = ("--direct",)
    pauses = ("write", "read")

    def __init__(self, folder):
        self.folder, self.flag = folder, os.path.join(folder, "fail")
        self.mount, self.device, self.servers = os.path.join(folder, "nbd"), None, []
        if not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
            raise initrd.Missing("this kernel has no FUSE or no loop devices")

    def serve(self, path, *argv):
        self.servers.append(subprocess.Popen(argv))
        wait_until(lambda: os.path.exists(path), path)

    def disk(self):
        programs = [initrd.program(name) for name in ("nbdkit", "nbdfuse", "losetup")]
        socket, file = os.path.join(self.folder, "nbd.sock"), os.path.join(self.mount, "disk")
        image = make_ext4(stock.make_disk(self.folder, "image", DISK))
        os.mkdir(self.mount)
        self.serve(socket, programs[0], "-f", "-U", socket, "--filter=error", "file", image,
                   "error=EIO", "error-rate=100%", "error-file=" + self.flag)
        self.serve(file, programs[1], file, "--unix", socket)
        self.device = run(programs[2], "-f", "--show", file).strip()
        return self.device

    def begin(self):
        with open(self.flag, "wb"):
            pass

    def end(self):
        os.unlink(self.flag)

    def close(self):
        if self.device:
            run("losetup", "-d", self.device)
        subprocess.run(["umount", "-l", self.mount], check=False)
        for server in reversed(self.servers):
            server.terminate()
            server.wait()


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


def metric(virtioctl, control, name, labels=""):
    text = run(virtioctl, "metrics", control)
    return float(re.search(rf"(?m)^virtiod_{name}{{.*{labels}}} (\S+)$", text)[1])


def held(virtioctl, control):
    """How many requests, and for how many seconds."""
    return tuple(metric(virtioctl, control, "held_" + name) for name in ("requests", "seconds"))


def pause(cause, kind, virtioctl, control):
    """Begins the cause, ends it when requests have been held for a while; waits for their end."""
    def done():
        return metric(virtioctl, control, "request_duration_seconds_count", f'type="{kind}"')
    if kind:
        before = done()
        wait_until(lambda: done() >= before + ENOUGH, f"{ENOUGH} requests to {kind}")
    cause.begin()
    wait_until(lambda: held(virtioctl, control)[1] >= PAUSE, "held request")
    number, _ = held(virtioctl, control)
    check(number > 0, f"{number:.0f} requests are held")
    cause.end()
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


def main(cause, blk_program, virtioctl):
    qemu = stock.Qemu()
    own_mounts()
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:
        image, control = pause_initrd(folder), os.path.join(folder, "control")
        cause = {"full": Full, "failing": Failing}[cause](folder)
        started = []
        try:
            disk = cause.disk()
            blk = Daemon(folder, blk_program, "--blk-file=" + disk, *cause.options,
                         "--werror=stop", "--rerror=stop", "--control=" + control)
            started.append(blk)
            guest = qemu.start(
                image, "1G", os.path.join(folder, "qmp"),
                "-chardev", f"socket,id=blk,path={blk.socket}",
                "-device", "vhost-user-blk-pci,chardev=blk,num-queues=1")
            started.append(guest)
            guest.wait("fio", PATIENCE)
            for kind in cause.pauses:
                pause(cause, kind, virtioctl, control)
            verified(guest)
            blk.stop()
            run(initrd.program("e2fsck"), "-fn", disk)
        finally:
            end_all(started)
            cause.close()


if __name__ == "__main__":
    stock.run(main)
