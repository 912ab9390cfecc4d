#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guests of a real Xen, in the lab, on virtiod-xen and our back-ends.

Usage: run.py [--stock=KERNELS] BUILD TOOLS SCENARIO[-ARGUMENT...]...: what meson installs from the
folder BUILD, the folder TOOLS with load, probe_fd, take_fd and hostile.bin, and functions below,
with "foreign" or "grants" as their first argument; all in one dom0. KERNELS: "dom0" has Debian's
own kernel, or "all" have. Exits 77 (skipped) where the lab is missing.

A limit of time is a multiple of what the same dom0 needs for something like it in the same minute:
on a loaded machine all takes longer.
"""

import re
import sys
import tempfile
import time

from daemons import back_end, blk, device, disk, other, start_xen, worker
from dom0 import PATIENCE, Dom0, Guest, LostTimer, initrd, scenario_files
from guest import check

ATTACKS_LIMIT = 500  # times as long as dom0 takes to boot
DESTROY_LIMIT = 8  # times as long as with a guest without devices; a timeout is 15 times as long


def end_all(dom0, xen, back_ends):
    """No guest is left; everything of ours ends well."""
    check("(null)" not in dom0.sh("xl list"), "no domain is left behind")
    dom0.end("virtiod-xen", xen)
    for name, pid in back_ends:
        check("disconnected" in dom0.log(name), f"{name} was let go")
        dom0.end(name, pid)
    check(dom0.sh("pidof virtiod-xen virtiod-blk virtiod-rng", status=None) == "",
          "no process of ours is left")


def loaded(guest):
    """What the load that runs in the guest has to say at its end."""
    found = re.match(r"(\d+) errors (\d+) longest (\d+)", guest.wait("loaded"))
    count, errors, longest = map(int, found.groups())
    check(errors == 0, f"{count} requests verified; the longest took {longest} ms")
    return count


def data(dom0, memory):
    """Three devices on one ioreq server: all of their data, their drivers' life, a reboot."""
    xen = start_xen(dom0)
    back_ends = [blk(dom0, "a", 0, 128), back_end(dom0, "a", 1, "virtiod-rng")]
    print("ok: virtiod-blk is " + dom0.sh("sha256sum $(which virtiod-blk)"), flush=True)
    dom0.sh("truncate -s 32M /tmp/second.img")
    disks = [disk(memory, "/tmp/second.img")]
    a = Guest(dom0, "a", [device(memory), device(memory)], disks).create()
    a.wait("up")
    check(a.sh("grep -c ^processor /proc/cpuinfo") == "2", "two vCPUs")
    first, second = a.sh("disk 128"), a.sh("disk 32")
    check(a.sh("packed") == "1 1", "both disks have packed rings")
    random = a.sh("random")
    a.sh(f"/host/mke2fs -q -t ext4 -F {first} && mount -t ext4 {first} /mnt")
    a.sh("dd if=/dev/urandom of=/tmp/data bs=1M count=32 && "
         "dd if=/tmp/data of=/mnt/data bs=1M conv=fsync")
    written = a.sh("sha /tmp/data")
    a.sh(f"rm /tmp/data; umount /mnt && drop_caches && mount -t ext4 {first} /mnt")
    check(a.sh("sha /mnt/data") == written, "32 MiB are the same after a remount: " + written)
    for _ in range(3):
        a.sh("umount /mnt && rebind_all")
        a.sh(f"disk 32 && mount -t ext4 $(disk 128) /mnt && load {second} 16 200")
        print("ok: both disks work after their drivers were unbound and bound", flush=True)
        check(a.sh("random") != random, "so does the source of random numbers")
    check(a.sh("umount /mnt; complaints", status=1) == "", "no complaint in the guest's log")

    domid = a.domid()
    a.send("reboot -f")
    a.rebooted(domid)
    check(a.sh("random") != random, "other random numbers after the reboot")
    a.sh("mount -t ext4 $(disk 128) /mnt")
    check(a.sh("sha /mnt/data") == written, "the same data after the reboot")
    a.sh("umount /mnt")
    check(a.sh("complaints", status=1) == "", "no complaint in the guest's log")
    a.send("poweroff -f")
    a.gone()
    dom0.sh("mount -o loop,ro -t ext4 /tmp/a0.img /mnt")
    check(dom0.sh("sha256sum </mnt/data").split()[0] == written, "dom0's file holds the same")
    dom0.sh("umount /mnt")
    end_all(dom0, xen, back_ends)


def pair(dom0, memory):
    """Guests at a time: paused, destroyed under load; a back-end that dies; two formats."""
    rule = r"[b]\ndomain=b\nsocket=/run/virtiod/%%n/%%i.sock\npacked=off\n"
    dom0.sh(f"printf '{rule}' >/tmp/xen.conf")
    xen = start_xen(dom0, "--config=/tmp/xen.conf")
    memories = {"a": memory, "b": other(memory)}
    back_ends = {name: blk(dom0, name, 0) for name in memories}
    guests = {name: Guest(dom0, name, [device(memories[name])]).create() for name in memories}
    for guest in guests.values():
        guest.wait("up")
        guest.sh("load $(disk 32) 8 1000000 &")
    check([guest.sh("disk 32 && packed").split()[1] for guest in guests.values()] == ["1", "0"],
          "the one's rings are packed, the other's split")
    check(len({worker(dom0, name) for name in guests}) == 2, "each guest has a worker of its own")
    dom0.sh("sleep 1; xl pause a; sleep 0.5; xl unpause a; sleep 0.5")
    for guest in guests.values():
        guest.sh("pidof load")

    name, pid = back_ends.pop("b")
    dom0.sh(f"kill -9 {pid}")
    dom0.wait_log("xen", "domain b (.*device 0: lost the back-end")
    guests["b"].sh("uptime")
    guests["a"].sh("pidof load")
    print("ok: " + dom0.sh("grep 'domain b .*: lost the back-end' /tmp/xen.log"), flush=True)

    # What takes long under load is xl itself, with any guest.
    usual = destroy(Guest(dom0, "c").create("-p"))
    for name, guest in guests.items():
        took = destroy(guest)
        check(took < DESTROY_LIMIT * usual, f"xl destroy of {name}, {memories[name]}, under load: "
              f"{took:.1f} s; of a guest without devices: {usual:.1f}")
    end_all(dom0, xen, back_ends.values())


def destroy(guest):
    """The seconds that xl takes for it."""
    start = time.monotonic()
    output = guest.dom0.sh(f"xl destroy {guest.name}")
    took = time.monotonic() - start
    # It complains when it has waited 10 s for a back-end that says nothing.
    check(output == "", f"xl destroy of {guest.name}: the devices leave in time")
    guest.gone()
    return took


def replaced(dom0, memory, eventfds, kills="20"):
    """The guest's worker is killed again and again, unnoticed by the guest."""
    kills = int(kills)
    xen = start_xen(dom0, "" if eventfds == "eventfds" else "--no-eventfds")
    name, pid = blk(dom0, "a", 0)
    a = Guest(dom0, "a", [device(memory)]).create()
    a.wait("up")
    a.sh("load $(disk 32) 8 1000000 & load=$!")
    victim = worker(dom0, "a")
    for _ in range(kills):
        start = time.monotonic()
        dom0.sh(f"kill -9 {victim}")
        victim = worker(dom0, "a", victim)
        # Time to begin, in which most but not all get to serve something.
        time.sleep(max(time.monotonic() - start, 0.2))
    a.send("kill $load; wait $load")
    count = loaded(a)
    a.result()
    check(count > kills, f"{count} requests over {kills} deaths of the worker")
    log = dom0.log(name)
    check("disconnected" not in log and log.count("connected") == 1, "the back-end saw none of it")
    check(a.sh("complaints", status=1) == "", "nor did the guest")
    a.send("poweroff -f")
    a.gone()
    end_all(dom0, xen, [(name, pid)])


def killed(dom0, memory, kills):
    """The back-end is killed again and again; the guest's driver goes on as it is."""
    kills = int(kills)
    xen = start_xen(dom0)
    name, pid = blk(dom0, "a", 0)
    a = Guest(dom0, "a", [device(memory)]).create()
    a.wait("up")
    a.sh("load $(disk 32) 8 1000000 & load=$!")
    bound = a.sh("cat /sys/block/vd*/diskseq")
    for n in range(kills):
        start = time.monotonic()
        dom0.sh(f"kill -9 {pid}; rm /run/virtiod/a/0.sock")
        name, pid = blk(dom0, "a", 0, options="--engine=" + ("sync" if n % 2 else "auto"))
        if n % 4:  # the others die before or while they are connected to
            dom0.wait_log(name, "front-end: connected")
            time.sleep(max(time.monotonic() - start, 0.2))
    a.send("kill $load; wait $load")
    count = loaded(a)
    a.result()
    check(count > kills, f"{count} requests over {kills} kill -9 of virtiod-blk")
    check(a.sh("complaints", status=1) == "", "no complaint in the guest's log")
    check(a.sh("cat /sys/block/vd*/diskseq") == bound, "the driver was not bound again")
    a.send("poweroff -f")
    a.gone()
    end_all(dom0, xen, [(name, pid)])


def statistics(dom0, name, pid, end, ends=1):
    """What a program says on SIGUSR1, as text: up to so many lines with that end."""
    before = int(dom0.sh(f"wc -l </tmp/{name}.log"))
    new = f"tail -n +{before + 1} /tmp/{name}.log"
    dom0.sh(f"kill -USR1 {pid}; said() {{ [ $({new} | grep -c '{end}') = {ends} ]; }}")
    dom0.wait_for("said")
    return dom0.sh(new)


def numbers(text, pattern):
    """The sum of all matches."""
    return sum(int(n) for n in re.findall(pattern, text))


def cost(dom0, guest, path, depth, blk, xen):
    """
    What load's requests cost the back-end blk and virtiod-xen, of which the arguments of
    statistics() are given; the interrupts that came.
    """
    count = "awk '/virtio/ { n += $2 + $3 } END { print n }' /proc/interrupts"
    before = statistics(dom0, *blk), statistics(dom0, *xen), int(guest.sh(count))
    # One after the other, each takes as long as all of a batch.
    guest.sh(f"load {path} {depth} {100 if depth == 1 else 500} 2")
    after = statistics(dom0, *blk), statistics(dom0, *xen), int(guest.sh(count))
    served, calls, copies, maps = (
        difference(before[0], after[0], pattern) for pattern in
        (r"(\d+) requests served", r"(\d+) system calls", r"(\d+) copies", r"(\d+) maps"))
    print(f"depth {depth}: {served} requests; {calls} system calls for memory, "
          f"{calls / served:.3f} a request; {maps} maps, {copies} copied pages", flush=True)
    traps = [difference(before[1], after[1], pattern) for pattern in TRAPS]
    return calls / served, traps, after[2] - before[2]


def counters(dom0, memory):
    """What a request costs: in traps, and in system calls for the guest's memory."""
    xen = start_xen(dom0)
    disks = [blk(dom0, "a", 0)]
    if memory == "grants":
        disks.append(blk(dom0, "a", 1, 48, "--xen-copy=0"))
    a = Guest(dom0, "a", [device(memory) for _ in disks]).create()
    a.wait("up")
    path = a.sh("disk 32")
    a.sh(f"load {path} 32 500")
    ask = [(*disk, "Xen memory:") for disk in disks]
    ask_xen = "xen", xen, "accesses=", len(disks)
    for depth, most in (1, 2), (32, 0.2):
        calls, (reads, acks, kicks, rest), interrupts = cost(dom0, a, path, depth, ask[0], ask_xen)
        check(calls <= most or memory == "foreign",
              f"depth {depth}: {calls:.3f} system calls a request for memory")
        print(f"depth {depth}: {interrupts} interrupts; {reads} InterruptStatus reads, "
              f"{acks} ACKs, {kicks} notify traps, {rest} others", flush=True)
        check(kicks == 0 and rest == 0, f"depth {depth}: no traps but for interrupts")
        check(reads == acks <= interrupts, "one InterruptStatus read and one ACK per interrupt")
    for depth in (1, 32) if memory == "grants" else ():
        print("mapping instead of copying: ", end="")
        cost(dom0, a, a.sh("disk 48"), depth, ask[1], ask_xen)
    a.send("poweroff -f")
    a.gone()
    end_all(dom0, xen, disks)


TRAPS = (r"status_reads=(\d+)", r"acks=(\d+)", r"notifies=(\d+)", r"(?:config|other)=(\d+)")


def difference(before, after, pattern):
    return numbers(after, pattern) - numbers(before, pattern)


def privileges(dom0, memory):
    """What a back-end or a worker that was taken over could do."""
    xen = start_xen(dom0)
    name, pid = blk(dom0, "a", 0)
    guests = [Guest(dom0, n, [device("foreign")] if n == "a" else []).create() for n in "ab"]
    for guest in guests:
        guest.wait("up")
    guests[0].sh("load $(disk 32) 8 500")
    check(dom0.sh(f"ls -A /proc/{pid}/root/") == "", "the back-end's root is empty")
    check("65534\t65534\t65534\t65534" in dom0.sh(f"grep Uid /proc/{pid}/status"),
          "it is an unprivileged user")
    check(set(dom0.sh(f"sed -n 's/^Cap[^B].*:.//p' /proc/{pid}/status").split()) == {"0" * 16},
          "it has no capability")
    for process in pid, worker(dom0, guests[0].name):
        dom0.sh(f"/payload/take_fd {process} /dev/xen/privcmd "
                f"/payload/probe_fd 9 {guests[0].domid()}")
    for guest in guests:
        dom0.sh(f"xl destroy {guest.name}")
        guest.gone()
    end_all(dom0, xen, [(name, pid)])


def absent(dom0, memory):
    """A device without a back-end, one with another back-end than the guest was promised."""
    xen = start_xen(dom0, wait=3 * dom0.slowness)
    back_ends = [blk(dom0, "a", 0), back_end(dom0, "a", 2, "virtiod-rng")]
    a = Guest(dom0, "a", [device(memory), device(memory), device(memory, "device2")]).create()
    a.wait("up")
    check(a.sh("ls /sys/bus/virtio/devices") == "virtio0",
          "the guest boots with the device that works")
    a.sh("load $(disk 32) 8 500")
    for devid in 1, 2:
        line = dom0.sh(f"grep 'domain a .*device {devid}: given up' /tmp/xen.log")
        print("ok: " + line, flush=True)
    a.send("poweroff -f")
    a.gone()
    end_all(dom0, xen, back_ends)


def attached(dom0, memory):
    """A device that is served by hand, its node or not."""
    name, pid = blk(dom0, "a", 0)
    a = Guest(dom0, "a", [device(memory)]).create("-p")
    grants = "--grants" if memory == "grants" else ""
    xen = dom0.start("xen", f"virtiod-xen attach --wait={PATIENCE} --domid={a.domid()} "
                     f"--base=0x2000000 --irq=33 --socket=/run/virtiod/a/0.sock {grants}")
    dom0.sh("sleep 0.5; xl unpause a")
    a.wait("up")
    a.sh("load $(disk 32) 8 500")
    a.send("poweroff -f")
    a.wait("ended")
    dom0.end("virtiod-xen attach", xen)
    a.gone()
    dom0.end(name, pid)


def hostile(dom0, memory):
    """A bare-metal guest attacks one of its two disks, and works with the other."""
    xen = start_xen(dom0)
    back_ends = [blk(dom0, "a", devid, 4) for devid in range(2)]
    dom0.sh("xl vcpu-pin 0 all 0")
    a = Guest(dom0, "a", [device(memory)] * 2, vcpus=1, kernel="/boot/hostile").create()
    first = worker(dom0, "a")
    said = "/var/log/xen/console/guest-a.log"
    dom0.wait_for(f"grep -qE 'passed|FAILED' {said}", int(ATTACKS_LIMIT * dom0.boot))
    check("hostile: passed" in dom0.sh(f"cat {said}"),
          "a guest's attacks on one of its disks leave the other one alone")
    a.gone()
    check(worker(dom0, "a") == first, "its worker lived through it")
    check("needs a reset" in dom0.log("xen"), "the attacked device needed a reset")
    end_all(dom0, xen, back_ends)
    dom0.sh("xl vcpu-pin 0 all all")


def cpus(scenario):
    """A guest that polls all the time needs one of its own: dom0 loses its timers beside it."""
    return 2 if scenario.startswith("hostile") else 1


def run(dom0, scenario, *arguments):
    start = time.monotonic()
    dom0.sh("rm -f /tmp/*.img /tmp/*.log")
    print(f"== {scenario} {' '.join(arguments)}", flush=True)
    globals()[scenario](dom0, *arguments)
    print(f"{scenario} {' '.join(arguments)}: {time.monotonic() - start:.0f} s", flush=True)


def run_all(stock, build, tools, scenarios):
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:
        dom0 = Dom0(folder, build, scenario_files(folder, tools, stock == "all"), bool(stock),
                    max(map(cpus, scenarios)))
        try:
            while scenarios:
                run(dom0, *scenarios[0].split("-"))
                scenarios.pop(0)
        except LostTimer:
            raise
        except BaseException:
            dom0.diagnose()
            raise
        finally:
            dom0.close()


def main(stock, build, tools, *scenarios):
    left = list(scenarios)
    try:
        run_all(stock, build, tools, left)
    except LostTimer as lost:
        print(f"THE MACHINE IS REPLACED, once: {lost.__doc__}", flush=True)
        run_all(stock, build, tools, left)


if __name__ == "__main__":
    argv = sys.argv[1:]
    stock = argv.pop(0).removeprefix("--stock=") if argv[0].startswith("--stock=") else None
    try:
        main(stock, *argv)
    except initrd.Missing as missing:
        print(f"SKIPPED: {missing}", flush=True)
        sys.exit(77)
