#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stock Linux guest under virtiod-kvm, on nested KVM: QEMU plays the machine that has KVM.

Usage: run.py [--JOB=N] MACHINE PROGRAM...; MACHINE: x86_64 or aarch64, which the programs are built
for: virtiod-kvm, virtiod-blk, virtiod-rng, virtiod-shm, hostile-back-end and the code of guests
(NAME.bin). With a JOB nothing else is tested: storm, what becomes of the guest while its back-ends
are killed N times, in any order; plug, a disk that comes and goes N times; attacks, what a hostile
guest and N hostile back-ends can do.
Exits 77 (skipped) where QEMU or the kernel is missing.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import initrd  # noqa: E402
import pvh  # noqa: E402
from guest import check  # noqa: E402
from nested import Machine, Stuck  # noqa: E402

GUEST_MODULES = ["virtio_mmio", "virtio_blk", "virtio-rng", "virtio_net", "virtiofs"]
LIMIT = 200  # times as long as the machine takes to boot, for all that follows
# Ports by which a guest restarts an x86 machine, and what it writes there.
RESETS = {0x602: 1, 0x64: 0xfe, 0xcf9: 6}


def add_resets(content):
    for port, value in RESETS.items():
        with open(os.path.join(content.folder, f"guest/reset-{port:x}"), "wb") as file:
            file.write(pvh.vmlinux(pvh.out(port, value)))


def add_guest(machine, content, binary):
    """Its zeroes, and its stack, are not in the file."""
    with open(binary, "rb") as file:
        code = file.read().ljust(256 << 10, b"\0")
    name = os.path.basename(binary).removesuffix(".bin")
    with open(os.path.join(content.folder, "guest", name), "wb") as file:
        file.write(machine.bare(code))


def add_foreign(content):
    try:
        root = initrd.cached("others")
    except initrd.Missing as missing:
        print(f"SKIPPED: passt and virtiofsd: {missing}", flush=True)
        return
    content.add_foreign("usr/bin/passt", root)
    content.add_foreign("usr/libexec/virtiofsd", root)


def build_image(machine, folder, programs):
    """The initrd of the machine, with all that its guest needs."""
    guest = machine.initrd(os.path.join(folder, "guest"))
    guest.add_init(os.path.join(HERE, "guest-initrd"))
    guest.add_modules(initrd.modules(machine.kernel, GUEST_MODULES))
    guest_image = os.path.join(folder, "guest-initrd")
    guest.pack(guest_image)

    top = os.path.join(folder, "machine")
    content = machine.initrd(top)
    machine.initrd(os.path.join(top, "guest/root")).add_init(os.path.join(HERE, "guest-root"))
    content.add_init(os.path.join(HERE, "machine"))
    content.add_modules(initrd.modules(machine.kernel, machine.modules))
    content.add(guest_image, "guest/initrd")
    content.add(initrd.kernel_image(machine.kernel), "guest/vmlinuz")
    if machine.name == "x86_64":
        vmlinux = os.path.join(folder, "vmlinux")
        if subprocess.run([os.path.join(HERE, "../kvm-stub/vmlinux.py"),
                           initrd.kernel_image(machine.kernel), vmlinux]).returncode == 0:
            content.add(vmlinux, "guest/vmlinux")
        add_resets(content)
        add_foreign(content)
    for program in programs + ["mke2fs"]:
        if program.endswith(".bin"):
            add_guest(machine, content, program)
        else:
            content.add_program(program)
    if machine.root == "/":
        content.add_program("qemu-storage-daemon")
    for kind, name in ("block", "virtiod-blk"), ("rng", "virtiod-rng"):
        file = os.path.join(top, f"usr/share/qemu/vhost-user/50-{name}.json")
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="utf-8") as out:
            json.dump({"description": name, "type": kind, "binary": "/host/" + name}, out)
    image = os.path.join(folder, "initrd")
    content.pack(image)
    return image


def run(machine, image, job, count):
    qemu = machine.start(image, f"{job}={count}" if job else "")
    start = time.monotonic()
    try:
        qemu.wait("up", 600)
        boot = time.monotonic() - start
        # For 20 hostile back-ends it is 4 times that, for a hostile guest about 45 times.
        qemu.wait("done", max(360, LIMIT * boot) + 20 * int(count))
        print(f"up after {boot:.0f} s, done {time.monotonic() - start - boot:.0f} s later",
              flush=True)
        check(qemu.process.wait(30) == 0, "QEMU ends with status 0")
    finally:
        qemu.kill()


def main(job, count, name, *programs):
    machine = Machine(name)
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:
        image = build_image(machine, folder, list(programs))
        try:
            run(machine, image, job, count)
        except Stuck as stuck:
            print(f"THE MACHINE IS REPLACED, once: {stuck.__doc__}", flush=True)
            run(machine, image, job, count)


if __name__ == "__main__":
    argv = sys.argv[1:]
    found = re.match("--(storm|plug|attacks)=([0-9]+)$", argv[0])
    if found:
        argv.pop(0)
    try:
        main(*(found.groups() if found else ("", 0)), *argv)
    except initrd.Missing as missing:
        print(f"SKIPPED: {missing}", flush=True)
        sys.exit(77)
