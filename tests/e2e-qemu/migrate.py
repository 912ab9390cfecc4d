#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unmodified QEMU migrates a guest that writes to virtiod-blk, from one instance to the next.

Usage: migrate.py VIRTIOD_BLK split|packed TIMES [CACHED]: with the QEMU in the folder CACHED of the
cache. Exits 77 (skipped) where QEMU or the kernel is missing.
"""

import hashlib
import os
import tempfile
import time

import stock  # finds the others
from guest import check
from qemu import Daemon, Monitor

MIB = 1 << 20
DISK = 16 * MIB
BASE, PART = 8 * MIB, 2 * MIB  # as in init-migrate
LOCKED = "is locked: the guest runs here"
UNLOCKED = "is not locked any more"
# Before 9.0 (its commit 03bfc2188f) QEMU loses what a guest of TCG writes while it is migrated, if
# the size of its memory is a multiple of 256 KiB.
MEMORY = f"{(256 << 10) + 8}K"
RETURN_PATH = [{"capability": "return-path", "state": True}]


class World:
    """What all hosts of the guest share; here that is one machine."""

    def __init__(self, folder, blk, rings, qemu):
        self.folder, self.blk, self.qemu = folder, blk, qemu
        self.packed = rings == "packed"
        self.disk = stock.make_disk(folder, "disk.img", DISK)
        self.image = stock.make_initrd(folder, "init-migrate", ["virtio_pci", "virtio_blk"])
        self.hosts = []


class Host:
    """A virtiod-blk and a QEMU, in which the guest starts, or to which it is migrated."""

    def __init__(self, world, queues=2):
        incoming = bool(world.hosts)
        self.name = f"host{len(world.hosts)}"
        self.path = os.path.join(world.folder, self.name)
        self.back_end = self.guest = None
        world.hosts.append(self)
        with open(self.path + ".log", "wb") as log:
            self.back_end = Daemon(
                world.folder, world.blk, "--blk-file=" + world.disk, "--num-queues=2",
                *(["--incoming"] if incoming else []), socket_name=self.name, log=log)
        self.guest = world.qemu.start(
            world.image, MEMORY, f"{self.path}.qmp",
            "-chardev", f"socket,id=blk,path={self.back_end.socket}",
            "-device", f"vhost-user-blk-pci,chardev=blk,num-queues={queues}"
                       + (",packed=on" if world.packed else ""),
            *(["-incoming", "defer"] if incoming else []))
        self.monitor = Monitor(self.path + ".qmp")
        if incoming:
            self.monitor.run("migrate-set-capabilities", capabilities=RETURN_PATH)
            self.monitor.run("migrate-incoming", uri=f"unix:{self.path}.migration")

    def logged(self, words):
        """How many lines of the back-end have these words."""
        with open(self.path + ".log", encoding="utf-8") as log:
            return sum(words in line for line in log)

    def send(self, to, bandwidth=0):
        """Begins a migration; bandwidth: bytes a second, 0: unlimited."""
        self.monitor.run("migrate-set-capabilities", capabilities=RETURN_PATH)
        self.monitor.run("migrate-set-parameters", max_bandwidth=bandwidth or 1 << 40,
                         downtime_limit=500)
        self.monitor.run("migrate", uri=f"unix:{to.path}.migration")

    def migration(self, *statuses):
        """Waits until the migration has one of these statuses, and returns it."""
        deadline = time.monotonic() + 120
        while (status := self.monitor.run("query-migrate").get("status")) not in statuses:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: migration is {status}, not {statuses}")
            time.sleep(0.02)
        return status

    def works(self, rounds=2):
        """The guest goes on, and what it reads is what it wrote."""
        first = int(self.guest.wait("round", 120))
        for n in range(1, rounds):
            check(int(self.guest.wait("round", 120)) == first + n,
                  f"{self.name}: round {first + n}")

    def end(self):
        """Of a host that the guest has left."""
        self.guest.kill()
        self.back_end.stop()

    def kill(self):
        if self.guest:
            self.guest.kill()
        if self.back_end and self.back_end.process.poll() is None:
            self.back_end.process.kill()
            self.back_end.process.wait()


def moves(world, source):
    """A migration that succeeds; returns where the guest is."""
    to = Host(world)
    check(to.logged(LOCKED) == 0, f"{to.name} starts while {source.name} has the image locked")
    begin = time.monotonic()
    source.send(to)
    check(source.migration("completed", "failed", "cancelled") == "completed",
          f"{source.name} to {to.name} in {time.monotonic() - begin:.1f} s")
    check(source.logged(UNLOCKED) >= 1, f"{source.name} has given up the lock")
    to.works()
    check(to.logged(LOCKED) == 1, f"{to.name} has taken the lock")
    source.end()
    return to


def is_cancelled(world, source):
    to = Host(world)
    source.send(to, MIB)
    source.migration("active")
    source.works()
    source.monitor.run("migrate_cancel")
    check(source.migration("cancelled", "completed") == "cancelled", "a migration is cancelled")
    source.works()
    to.end()


def breaks(world, source):
    to = Host(world)
    source.send(to, MIB)
    source.migration("active")
    to.guest.kill()
    check(source.migration("failed", "completed") == "failed",
          "a migration fails with its destination")
    source.works()
    to.end()


def fails_late(world, source):
    """The destination has another device, which it learns when the source has stopped."""
    to = Host(world, queues=1)
    before = source.logged(UNLOCKED), source.logged(LOCKED)
    source.send(to)
    check(source.migration("failed", "completed") == "failed",
          "a migration fails in its last step")
    source.works()
    check((source.logged(UNLOCKED), source.logged(LOCKED)) == (before[0] + 1, before[1] + 1),
          "the source has dropped the lock, and has taken it again")
    to.end()


def finish(world, host):
    """The guest ends; what it wrote is in the image."""
    with open(world.disk, "r+b") as file:
        file.seek(DISK - 512)
        file.write(b"end".ljust(512, b"\0"))
    while not (text := host.guest.line(time.monotonic() + 120) or "?").startswith("@ done"):
        check(text.startswith("@ round"), f"the guest goes on: {text}")
    rounds, *sums = text.split()[2:]
    check(host.guest.process.wait(60) == 0, f"QEMU ends with status 0, after {rounds} rounds")
    host.back_end.stop()
    with open(world.disk, "rb") as file:
        data = [file.read(size) for size in (BASE, PART, PART)]
    check([hashlib.sha256(part).hexdigest() for part in data] == sums,
          "the image holds what the guest wrote")


def main(blk, rings, times, cached_qemu=None):
    with tempfile.TemporaryDirectory(prefix="migrate-") as folder:
        world = World(folder, blk, rings, stock.Qemu(cached_qemu))
        try:
            host = Host(world)
            queues, packed = host.guest.wait("ready", 120).split()
            check((queues, packed) == ("2", str(int(world.packed))), f"two queues, {rings} rings")
            host.works()
            for failure in is_cancelled, breaks, fails_late:
                failure(world, host)
            for _ in range(int(times)):
                host = moves(world, host)
            finish(world, host)
        finally:
            for one in world.hosts:
                one.kill()


if __name__ == "__main__":
    stock.run(main)
