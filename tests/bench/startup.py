#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long virtiod-kvm takes to start a guest, with and without its sandbox, next to
QEMU's microvm: under the same nested KVM.

Usage: startup.py VIRTIOD_KVM [RUNS]. From exec to the guest's first instruction, and to /init of a
Linux guest with Debian's cloud kernel; medians. Under QEMU TCG all is slow: the ratios count.
"""

import os
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE, "../e2e-kvm")]
import initrd  # noqa: E402
from run import Machine  # noqa: E402

FIRMWARE = ("bios-microvm.bin", "qboot.rom", "linuxboot_dma.bin", "pvh.bin")


def firmware(name):
    for folder in "/usr/share/qemu", "/usr/share/seabios", "/usr/lib/ipxe/qemu":
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    raise initrd.Missing(f"no {name}")


def build_image(machine, folder, virtiod_kvm):
    guest = machine.initrd(os.path.join(folder, "guest"))
    guest.add_init(os.path.join(HERE, "startup-guest"))
    guest.pack(os.path.join(folder, "guest-initrd"))
    content = machine.initrd(os.path.join(folder, "machine"))
    content.add_init(os.path.join(HERE, "startup-machine"))
    content.add_modules(initrd.modules(machine.kernel, machine.modules))
    content.add(os.path.join(folder, "guest-initrd"), "guest/initrd")
    content.add(initrd.kernel_image(machine.kernel), "guest/vmlinuz")
    for program in virtiod_kvm, "qemu-system-x86_64":
        content.add_program(program)
    for name in FIRMWARE:
        content.add(firmware(name), "firmware/" + name)
    content.pack(os.path.join(folder, "initrd"))
    return os.path.join(folder, "initrd")


def main(virtiod_kvm, runs="5"):
    machine = Machine("x86_64")
    times = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        qemu = machine.start(build_image(machine, folder, virtiod_kvm), f"runs={runs}")
        try:
            for _ in range(4 * int(runs)):
                name, first, init = qemu.wait("time", 120).split()
                times.setdefault(name, []).append((int(first) / 1000, int(init) / 1000))
            qemu.wait("done")
        finally:
            qemu.kill()
    medians = {name: [statistics.median(t) for t in zip(*rows)] for name, rows in times.items()}
    ours = medians["virtiod-kvm"]
    print(f"{'':16}{'first instruction':>24}{'/init':>24}")
    for name, both in medians.items():
        print(f"{name:16}" + "".join(f"{t:15.1f} ms {t / our:4.2f}x" for t, our in zip(both, ours)))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except initrd.Missing as missing:
        print(f"cannot run here: {missing}", file=sys.stderr)
        sys.exit(1)
