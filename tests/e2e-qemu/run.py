#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stock Linux guest under unmodified QEMU uses virtiod-blk and virtiod-rng.

Usage: run.py VIRTIOD_BLK VIRTIOD_RNG split|packed KILLS [CACHED]: the disk's rings; how often the
disk's back-end is killed at least; with the QEMU in the folder CACHED of the cache. From
version 11 on a generic device serves the random numbers and a second disk.
Exits 77 (skipped) where QEMU or the kernel is missing.
"""

import hashlib
import os
import random
import signal
import subprocess
import tempfile
import time

import stock  # finds the others
import initrd
from guest import check
from qemu import Daemon, Monitor, end_all

MIB = 1 << 20
DISK = 256 * MIB
GROWN = 320 * MIB
HAMMER = 2.5  # seconds of writes for each kill, at the most
SERIAL = "virtiod-e2e-0001"
GENERIC = "vhost-user-test-device-pci"


def generic(virtio_id, name, back_end, options=""):
    """QEMU's device that knows nothing of its type but what is said here."""
    return ["-chardev", f"socket,id={name},path={back_end.socket}",
            "-device", f"{GENERIC},chardev={name},virtio-id={virtio_id}{options}"]


def start_guest(folder, qemu, image, blk, rng, packed, kills, second):
    if second:
        others = generic(4, "rng", rng) + generic(2, "second", second, ",config_size=60")
    else:
        others = ["-chardev", f"socket,id=rng,path={rng.socket}",
                  "-device", "vhost-user-rng-pci,chardev=rng"]
    # Both names in one release: from 9.2 on, until 10.1.
    reconnect = "reconnect-ms=100" if qemu.version >= (9, 2) else "reconnect=1"
    guest = qemu.start(
        image, "512M", os.path.join(folder, "qmp"),
        "-chardev", f"socket,id=blk,path={blk.socket},{reconnect}",
        "-device", "vhost-user-blk-pci,chardev=blk,num-queues=2" + (",packed=on" if packed else ""),
        *others, append=f"hammer={HAMMER * (kills + 1):.0f}")
    guest.monitor_path = os.path.join(folder, "qmp")
    return guest


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(MIB), b""):
            digest.update(block)
    return digest.hexdigest()


def pause_during_io(guest):
    """Stops and continues the VM until the guest is through with its writes; counts the pauses."""
    monitor = Monitor(guest.monitor_path)
    pauses = 0
    while pauses < 20 and guest.quiet():
        monitor.run("stop")
        time.sleep(0.1)
        if not guest.quiet():
            monitor.run("cont")
            break
        monitor.run("cont")
        pauses += 1
        time.sleep(0.05)
    return pauses


def kill_during_io(guest, blk):
    """Replaces the back-end until the guest is through with its work; counts how often."""
    kills = 0
    while guest.quiet():
        time.sleep(random.uniform(0.2, 1.5))
        if guest.quiet():
            blk.kill()
            blk.start("--engine=" + ("sync" if kills % 2 else "uring"))
            kills += 1
        time.sleep(1)
    return kills


def identify(guest, sectors, packed, second):
    check(guest.wait("serial") == SERIAL, "GET_ID gives the serial number")
    check(guest.wait("queues") == "2", "two queues")
    check(guest.wait("sectors") == str(sectors), f"capacity is {sectors} sectors")
    check(guest.wait("packed").split()[0] == str(int(packed)),
          "packed rings" if packed else "split rings")
    check(guest.wait("rng").startswith("virtio_rng"), "hw_random uses the virtio device")
    size, digest = guest.wait("random").split()
    check(size == "1024", "1024 bytes read from /dev/hwrng")
    if second:
        written, read = guest.wait("generic").split()
        check(written == read == sha256(second),
              "a second disk is written and read through QEMU's generic device")
    return digest


def boot_and_work(guest, disk, blk, packed, at_least, second):
    first_random = identify(guest, DISK // 512, packed, second)
    written = guest.wait("writing")
    pauses = pause_during_io(guest)
    guest.wait("written")
    check(pauses > 0, f"writes go on over {pauses} pauses by QMP stop and cont")
    check(guest.wait("reread", 120).split() == [written, written],
          "the same after a remount: " + written)
    full = os.stat(disk).st_blocks * 512
    guest.wait("hammering")
    kills = kill_during_io(guest, blk)
    rounds = guest.wait("hammered")
    check(kills >= at_least,
          f"{kills} kill -9 of virtiod-blk while the guest wrote {rounds} times 16 MiB")
    guest.wait("trim")
    guest.wait("trimmed")
    trimmed = os.stat(disk).st_blocks * 512
    check(trimmed <= full - 15 * MIB,
          f"discard freed {(full - trimmed) // MIB} MiB in the host's file")

    guest.wait("resize")
    os.truncate(disk, GROWN)
    blk.process.send_signal(signal.SIGHUP)
    check(guest.wait("sectors") == str(GROWN // 512),
          "the guest sees the larger disk without a reboot")
    guest.wait("rebooting")
    check(identify(guest, GROWN // 512, packed, second) != first_random,
          "other random bytes after the reboot")
    check(guest.wait("rebooted") == written, "the data is there after the reboot")
    guest.wait("uptime")
    check(guest.process.wait(30) == 0, "QEMU ends with status 0")
    return written


def check_disk(folder, disk, written):
    """The file system is whole, and its file holds what the guest wrote."""
    subprocess.run([initrd.program("e2fsck"), "-fn", disk], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    data = os.path.join(folder, "data")
    subprocess.run([initrd.program("debugfs"), "-R", f"dump /data {data}", disk], check=True,
                   stderr=subprocess.DEVNULL)
    check(sha256(data) == written, "the host's file holds what the guest wrote")


def main(blk_program, rng_program, rings, kills, cached_qemu=None):
    packed, kills = rings == "packed", int(kills)
    qemu = stock.Qemu(cached_qemu)
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:
        image = stock.make_initrd(folder, "init", ["virtio_pci", "virtio_blk", "virtio-rng"],
                                  "mke2fs")
        disk = stock.make_disk(folder, "disk.img", DISK)
        second_disk = stock.make_disk(folder, "second.img", 4 * MIB)
        started = []
        try:
            blk = Daemon(folder, blk_program, "--blk-file=" + disk, "--serial=" + SERIAL,
                         "--num-queues=2")
            started.append(blk)
            rng = Daemon(folder, rng_program)
            started.append(rng)
            second = qemu.version >= (11,) and Daemon(
                folder, blk_program, "--blk-file=" + second_disk, socket_name="second")
            started += [second] if second else []
            guest = start_guest(folder, qemu, image, blk, rng, packed, kills, second)
            started.append(guest)
            written = boot_and_work(guest, disk, blk, packed, kills, second and second_disk)
            for back_end in blk, rng, second:
                if back_end:
                    back_end.stop()
        finally:
            end_all(started)
        check_disk(folder, disk, written)


if __name__ == "__main__":
    stock.run(main)
