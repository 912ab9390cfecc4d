#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TCP of stock Linux guests, one stream: virtiod-net, and what QEMU and passt have for that.

Usage: guest_tcp.py VIRTIOD_NET tap|passt ROUNDS SECONDS, as root, in a network namespace of its own
(unshare -n). Prints JSON: for each of two sides what was measured in each round, in turn: MB/s from
the guest, and to it, each with the CPU seconds for a GB of the processes behind the device.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack

from backend import Failed, Running, activity

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../e2e-qemu"), os.path.join(HERE, "../lib")]
import initrd  # noqa: E402
import stock  # noqa: E402

WARM_UP = 0.3
DEVICE = "virtio-net-pci,netdev=net,vectors=0"


def sh(command):
    subprocess.run(command, shell=True, check=True)


def make_tap(name, address):
    sh(f"ip tuntap add {name} mode tap vnet_hdr && ip addr add {address}/24 dev {name} && "
       f"ip link set {name} up")


def end_connection(peer, buf):
    """Before the guest is stopped: passt does not send the end of one again that finds no room."""
    peer.shutdown(socket.SHUT_WR)
    try:
        while peer.recv_into(buf):
            pass
    except ConnectionResetError:
        pass


class Guest:
    """One guest, the host as it sees it, and the processes behind its device, but for QEMU."""

    def __init__(self, listen, *pids):
        self.listen, self.pids = listen, pids

    def rate(self, port, seconds):
        """(MB/s, CPU seconds for each GB)"""
        with socket.create_server((self.listen, port)) as server:
            server.settimeout(60)
            with server.accept()[0] as peer:
                server.close()
                peer.settimeout(20)
                buf = bytearray(1 << 18)
                move = (lambda: peer.recv_into(buf)) if port == 5001 else (lambda: peer.send(buf))
                end = time.monotonic() + WARM_UP
                while time.monotonic() < end:
                    move()
                done, begin, cpu = 0, time.monotonic(), self.cpu()
                while time.monotonic() < begin + seconds:
                    done += move()
                passed, cpu = time.monotonic() - begin, self.cpu() - cpu
                end_connection(peer, buf)
        return done / passed / 1e6, cpu / (done / 1e9)

    def cpu(self):
        return sum(activity(pid)["ns"] for pid in self.pids) / 1e9


def start(stack, folder, image, name, address, peer, *options):
    guest = stock.Qemu().start(image, "256M", os.path.join(folder, f"qmp-{name}"), *options,
                               "-device", DEVICE, append=f"address={address} peer={peer}")
    stack.callback(guest.kill)
    return guest


def vhost_user(path):
    return ["-chardev", f"socket,id=net,path={path}",
            "-netdev", "vhost-user,id=net,chardev=net"]


def tap(stack, folder, image, program):
    """virtiod-net at a tap, and QEMU itself at another."""
    make_tap("vb0", "10.9.0.1")
    make_tap("vb1", "10.9.1.1")
    path = os.path.join(folder, "net")
    back_end = stack.enter_context(Running([program, f"--socket-path={path}", "--tap=vb0"], path))
    guests = [start(stack, folder, image, "0", "10.9.0.2", "10.9.0.1", *vhost_user(path)),
              start(stack, folder, image, "1", "10.9.1.2", "10.9.1.1", "-netdev",
                    "tap,id=net,ifname=vb1,script=no,downscript=no,vhost=off")]
    return guests, [Guest("10.9.0.1", back_end.pid), Guest("10.9.1.1")]


def passt(stack, folder, image, program):
    """virtiod-net at passt, and passt itself as the back-end."""
    root = initrd.cached("others")
    command = [f"{root}/usr/lib64/ld-linux-x86-64.so.2", "--library-path",
               f"{root}/usr/lib/x86_64-linux-gnu", f"{root}/usr/bin/passt", "--foreground",
               "--quiet", "--runas=0:0", "--gateway=10.9.0.1", "--address=10.9.0.2"]
    make_tap("vb0", "10.9.0.2")
    sh("ip route add default via 10.9.0.1 dev vb0")
    paths = [os.path.join(folder, name) for name in ("stream", "net", "passt")]
    stream = stack.enter_context(Running([*command, "--socket", paths[0]], paths[0]))
    ours = stack.enter_context(Running([program, f"--socket-path={paths[1]}",
                                        f"--stream=unix:{paths[0]}"], paths[1]))
    theirs = stack.enter_context(Running([*command, "--vhost-user", "--socket", paths[2]],
                                         paths[2]))
    guests = [start(stack, folder, image, "0", "10.9.0.2", "10.9.0.1", *vhost_user(paths[1])),
              start(stack, folder, image, "1", "10.9.0.2", "10.9.0.1", *vhost_user(paths[2]))]
    return guests, [Guest("127.0.0.1", ours.pid, stream.pid), Guest("127.0.0.1", theirs.pid)]


def main(program, way, rounds, seconds):
    sh("ip link set lo up")
    samples = [], []
    with tempfile.TemporaryDirectory(prefix="vb", dir="/dev/shm") as folder, ExitStack() as stack:
        image = stock.make_initrd(folder, os.path.join(HERE, "guest-tcp"),
                                  ["virtio_pci", "virtio_net"])
        guests, sides = {"tap": tap, "passt": passt}[way](stack, folder, image, program)
        for guest in guests:
            guest.wait("ready", 120)
        for n in range(int(rounds)):
            for i in (0, 1) if n % 2 else (1, 0):
                # The other one must not come to these ports.
                guests[1 - i].process.send_signal(signal.SIGSTOP)
                samples[i].append([sides[i].rate(port, float(seconds)) for port in (5001, 5002)])
                guests[1 - i].process.send_signal(signal.SIGCONT)
        for guest in guests:
            guest.kill()
    print(json.dumps(samples))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Failed, initrd.Missing) as e:
        sys.exit(str(e))
