#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Xen on arm64 under QEMU's TCG: no virtualization needed, and up in a second or two.

Usage: lab.py [--console=FILE] [--stock] [--seconds=N] FOLDER COMMAND

Boots Xen and dom0, runs COMMAND (by busybox's sh, in a copy of FOLDER) and ends. Its output, both
streams, comes as it is written; its status is the result, 124 if the time ran out, or 125 if the
machine ended without a status. FILE gets the consoles of Xen and dom0. --stock: Debian's own kernel
in dom0 (deps.sh's xen_lab_stock fetches it). In dom0, /boot/Image is a kernel for guests.

QEMU loads Xen, and by two guest-loader devices dom0's kernel and initrd, which Xen finds by the
/chosen/module@ nodes that these add. RAM starts at 0x40000000; QEMU puts Xen there and the device
tree at 0x48000000. 2 GiB of RAM, since dom0's memory is mapped 1:1 and wants a contiguous piece.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import initrd  # noqa: E402

STOCK_MODULES = ["virtio_mmio", "virtio_console", "xen-privcmd", "xen-evtchn", "xen-gntdev",
                 "xen-gntalloc", "xenfs", "loop", "ext4"]


def cpio(folder, output):
    """Appends the folder's archive to the file; the kernel unpacks one after the other."""
    names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=folder, check=True,
                           capture_output=True).stdout
    with open(output, "ab") as out:
        subprocess.run([initrd.program("cpio"), "--quiet", "-o", "-H", "newc", "-R", "0:0"],
                       cwd=folder, input=names, stdout=out, check=True)


class Lab:
    """
    A folder whose content dom0 gets; qemu() is the machine. Beside other work a test takes a third
    of the time with one CPU (31 s, not 101), and no interrupt between CPUs can be lost: machines of
    two have stood still for good under load, with GICv2 and with GICv3.
    """

    def __init__(self, folder, stock=False, cpus=1):
        self.cpus = cpus
        self.cache = initrd.cached("xen-lab")
        self.kernel = os.path.join(self.cache, "Image")
        self.folder = folder
        self.root = os.path.join(folder, "dom0")
        self.console = os.path.join(folder, "console")
        self.status_file = os.path.join(folder, "status")
        os.makedirs(self.root)
        shutil.copy(os.path.join(HERE, "dom0-init"), os.path.join(self.root, "init"))
        if stock:
            kernel = initrd.cached("xen-lab-stock")
            self.kernel = initrd.kernel_image(kernel)
            initrd.copy_modules(initrd.modules(kernel, STOCK_MODULES),
                                os.path.join(self.root, "modules"))

    def add(self, file, name):
        target = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(file, target)

    def command(self, text):
        path = os.path.join(self.root, "payload/command")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text + "\n")

    def qemu(self):
        """The command line of the machine; its stdin and stdout are the command's, and pipes."""
        image = os.path.join(self.folder, "initrd")
        shutil.copy(os.path.join(self.cache, "dom0.cpio"), image)
        cpio(self.root, image)
        for file in self.console, self.status_file:
            with open(file, "wb"):
                pass
        return [
            initrd.program("qemu-system-aarch64"),
            "-machine", "virt,virtualization=on,gic-version=3", "-accel", "tcg,thread=multi",
            "-cpu", "cortex-a57", "-smp", str(self.cpus), "-m", "2G", "-nodefaults", "-no-reboot",
            "-display", "none", "-serial", "file:" + self.console,
            "-kernel", os.path.join(self.cache, "xen"),
            "-append", f"console=dtuart dom0_mem=640M dom0_max_vcpus={self.cpus} bootscrub=0",
            "-device", f"guest-loader,addr=0x50000000,kernel={self.kernel},"
                       "bootargs=console=hvc0 quiet",
            "-device", f"guest-loader,addr=0x58000000,initrd={image}",
            "-device", "virtio-serial-device",
            "-chardev", "stdio,id=out,signal=off", "-device", "virtserialport,chardev=out,name=out",
            "-chardev", f"file,id=status,path={self.status_file}",
            "-device", "virtserialport,chardev=status,name=status"]

    def status(self):
        with open(self.status_file, encoding="utf-8") as file:
            return int(file.read().strip() or 125)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--console")
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("payload")
    parser.add_argument("text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xen-lab-") as folder:
        lab = Lab(folder, args.stock)
        shutil.copytree(args.payload, os.path.join(lab.root, "payload"), symlinks=True)
        lab.command(args.text)
        with subprocess.Popen(lab.qemu(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as qemu:
            alarm = threading.Timer(args.seconds, qemu.kill)
            alarm.start()
            while data := os.read(qemu.stdout.fileno(), 65536):
                os.write(1, data)
            alarm.cancel()
        status = 124 if qemu.returncode < 0 else lab.status()
        if args.console:
            shutil.copy(lab.console, args.console)
        elif status in (124, 125):
            with open(lab.console, encoding="utf-8", errors="replace") as file:
                sys.stderr.write("".join(file.readlines()[-40:]))
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except initrd.Missing as missing:
        sys.exit(str(missing))
