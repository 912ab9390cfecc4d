#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three stock Linux guests under unmodified QEMU at virtiod-switch: two in one VLAN, one not.

Usage: switch.py VIRTIOD_NET VIRTIOD_SWITCH MIB [CACHED]: how much the two send each other, during
which the switch is killed and started again; the folder of the cache with another QEMU. Exits 77
(skipped) where QEMU or the kernel is missing.
"""

import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

import stock  # finds the others
from guest import check
from qemu import Daemon, check_running, end_all

VLANS = {1: 10, 2: 10, 3: 20}  # of guests, by number
MAC = "52:54:00:00:00:0"


class Switch:
    """Killed and started again, it has the same ports."""

    def __init__(self, folder, program):
        self.paths = {vlan: os.path.join(folder, f"vlan{vlan}") for vlan in (10, 20)}
        self.trunk = os.path.join(folder, "trunk")
        self.argv = [program, *(f"--listen=unix:{path},vlan={vlan}"
                                for vlan, path in self.paths.items()),
                     f"--listen=unix:{self.trunk},trunk=10:20"]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.argv)

    def kill(self):
        check_running(self.process, "virtiod-switch")
        self.process.kill()
        self.process.wait()


class Trunk(threading.Thread):
    """At the trunk port: collects VLAN and guest (the last byte of its address) of all frames."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.seen, self.failure = path, set(), None
        self.start()

    def run(self):
        while True:
            with socket.socket(socket.AF_UNIX) as sock:
                try:
                    sock.connect(self.path)
                    self.read(sock.makefile("rb"))
                except OSError:
                    time.sleep(0.01)  # the switch is not there

    def read(self, stream):
        while head := stream.read(4):
            if len(head) < 4:
                return
            frame = stream.read(*struct.unpack(">I", head))
            if frame[12:14] != b"\x81\0":
                self.failure = "an untagged frame"
            self.seen.add((struct.unpack(">H", frame[14:16])[0] & 0xFFF, frame[11]))


def start_guest(folder, qemu, image, n, back_end, mib):
    # Half of its memory is for files: those that it sends and gets.
    return qemu.start(
        image, f"{128 + 5 * int(mib)}M", os.path.join(folder, f"qmp{n}"),
        "-chardev", f"socket,id=net,path={back_end.socket}",
        "-netdev", "vhost-user,id=net,chardev=net",
        # With MSI-X QEMU 7.2 crashes by TCG as soon as the back-end of a network is used.
        "-device", f"virtio-net-pci,netdev=net,vectors=0,mac={MAC}{n}",
        append=f"number={n} mib={mib}")


def use(guests, switch, trunk):
    sent = {n: guest.wait("ready", 120) for n, guest in guests.items()}
    for n in 1, 2:
        guests[n].wait("sending")
    switch.kill()
    switch.start()
    for n in 1, 2:
        check(guests[n].wait("got", 120) == sent[3 - n],
              f"guest {n} got what the other one of its VLAN sent, over a kill -9 of the switch")
    for n in 1, 2, 3:
        guests[n].wait("alone")
    check(True, "none reaches a guest of another VLAN")
    check(trunk.failure is None and trunk.seen == {(vlan, n) for n, vlan in VLANS.items()},
          f"the trunk port sees both VLANs, with their tags: {sorted(trunk.seen)}")
    for n, guest in guests.items():
        check(guest.process.wait(60) == 0, f"QEMU {n} ends with status 0")


def main(net_program, switch_program, mib, cached=None):
    qemu = stock.Qemu(cached)
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:
        image = stock.make_initrd(folder, "init-switch", ["virtio_pci", "virtio_net"])
        started, guests = [], {}
        try:
            switch = Switch(folder, switch_program)
            started.append(switch)
            trunk = Trunk(switch.trunk)
            back_ends = [Daemon(folder, net_program, f"--stream=unix:{switch.paths[vlan]}",
                                socket_name=f"net{n}") for n, vlan in VLANS.items()]
            started += back_ends
            for n, back_end in zip(VLANS, back_ends):
                guests[n] = start_guest(folder, qemu, image, n, back_end, mib)
                started.append(guests[n])
            use(guests, switch, trunk)
            for back_end in back_ends:
                back_end.stop()
        finally:
            end_all(started)


if __name__ == "__main__":
    stock.run(main)
