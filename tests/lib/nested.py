# SPDX-License-Identifier: Apache-2.0
"""The machine that has KVM: QEMU's TCG plays it, for x86_64 or aarch64."""

import re

import arm64
import initrd
import pvh
from guest import Guest

STUCK_SECONDS = 50  # the kernel reports a CPU from half of that on


class Stuck(Exception):
    """A CPU of the machine waits in its kernel for ever.

    No program in it can cause that: it is the emulated machine, which presumably has lost an
    interrupt from one CPU to the other. Nothing but a new machine goes on.
    """


class Console(Guest):
    def line(self, deadline):
        text = super().line(deadline)
        found = re.search(r"soft lockup - CPU#\d+ stuck for (\d+)s", text or "")
        if found and int(found.group(1)) >= STUCK_SECONDS:
            raise Stuck
        return text


class Machine:
    """What differs between architectures."""

    def __init__(self, name):
        self.name = name
        if name == "x86_64":
            self.kernel = initrd.cached("linux-cloud-amd64")
            self.root = "/"
            self.modules = ["kvm-amd", "fuse"]
            self.bare = pvh.vmlinux
            # A loaded machine's TCG may fail its test of the timer.
            self.console = "ttyS0 no_timer_check"
            # Two were in a soft lockup for good at times, also without a report of it.
            self.cpus = "1"
            self.qemu = ["qemu-system-x86_64", "-machine", "q35", "-cpu", "EPYC,+svm"]
        else:
            self.kernel = self.root = initrd.cached("arm64")
            self.modules = ["fuse"]
            self.bare = arm64.image
            self.console = "ttyAMA0"
            self.cpus = "2"
            self.qemu = ["qemu-system-aarch64", "-machine",
                         "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a57"]

    def initrd(self, folder):
        return initrd.Initrd(folder, self.root, self.name)

    def start(self, image, append=""):
        return Console([
            initrd.program(self.qemu[0]), *self.qemu[1:], "-accel", "tcg", "-smp", self.cpus,
            "-m", "2G", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
            "-kernel", initrd.kernel_image(self.kernel), "-initrd", image,
            "-append", f"console={self.console} quiet panic=-1 {append}"])
