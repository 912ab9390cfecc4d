# SPDX-License-Identifier: Apache-2.0
"""What the tests of stock Linux guests under unmodified QEMU share: which QEMU, and its guest."""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import initrd  # noqa: E402
from guest import Guest  # noqa: E402

KERNEL = "linux-cloud-amd64"


class Qemu:
    """This machine's QEMU, or that in a folder of the cache."""

    def __init__(self, cached=None):
        self.program = (os.path.join(initrd.cached(cached), "bin/qemu-system-x86_64") if cached
                        else initrd.program("qemu-system-x86_64"))
        text = subprocess.run([self.program, "--version"], check=True, stdout=subprocess.PIPE,
                              text=True).stdout
        print(text, flush=True)
        self.version = tuple(int(n) for n in re.search(r"version (\d+)\.(\d+)", text).groups())

    def command(self, image, memory, kernel, append=""):
        """
        To start a guest of two vCPUs, with so much memory ("256M") and this folder's kernel, whose
        console is the standard input and output.
        """
        return [
            self.program, "-accel", "tcg", "-machine", "q35,memory-backend=ram", "-cpu", "max",
            "-object", f"memory-backend-memfd,id=ram,size={memory},share=on", "-m", memory,
            "-smp", "2", "-nodefaults", "-nographic", "-serial", "stdio",
            "-kernel", initrd.kernel_image(kernel), "-initrd", image,
            # A loaded machine's TCG may fail the kernel's test of the timer.
            "-append", f"console=ttyS0 no_timer_check quiet panic=-1 {append}"]

    def start(self, image, memory, monitor, *options, append=""):
        """Starts it, with QMP at the path monitor."""
        return Guest([*self.command(image, memory, initrd.cached(KERNEL), append),
                      "-qmp", f"unix:{monitor},server=on,wait=off", *options])


def make_initrd(folder, init, modules, *programs):
    """Returns the path of an initrd in this folder that runs the script init of this one."""
    path = os.path.join(folder, "initrd")
    content = initrd.Initrd(os.path.join(folder, "root"))
    content.add_init(os.path.join(HERE, init))
    content.add_modules(initrd.modules(initrd.cached(KERNEL), modules))
    for program in programs:
        content.add_program(program)
    content.pack(path)
    return path


def make_disk(folder, name, size):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def run(main):
    """Runs main(ARGUMENT...); the test is skipped (exit status 77) where something is missing."""
    try:
        main(*sys.argv[1:])
    except initrd.Missing as missing:
        print(f"SKIPPED: {missing}", flush=True)
        sys.exit(77)
