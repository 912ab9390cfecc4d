#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""AppArmor's profiles, enforced by Debian's kernel in a guest by TCG.

Usage: apparmor.py SOURCE BUILD VIRTIOCTL PROGRAM...: SOURCE, BUILD are the folders data/apparmor.
The programs do what they are for, in their sandboxes, without anything that is refused; and a file
that is not theirs is. Exits 77 (skipped) where QEMU, the kernel or AppArmor is missing.
"""

import os
import re
import tempfile

import stock  # finds the others
import initrd
from guest import check

PATIENCE = 300
SYSTEM = "/etc/apparmor.d"


class Profiles:
    def __init__(self, source, build):
        self.source = source
        self.files = [os.path.join(build, name) for name in sorted(os.listdir(build))
                      if ".virtiod" in name]
        if not os.path.exists(f"{SYSTEM}/abstractions/base"):
            raise initrd.Missing("no profiles of AppArmor's in " + SYSTEM)

    def paths(self):
        """The programs' paths by their names."""
        for file in self.files:
            with open(file, encoding="utf-8") as f:
                yield re.search(r"^profile (\S+) (\S+) ", f.read(), re.M).groups()

    def configuration(self):
        """The folder that virtiod reads, below the root directory."""
        file = next(name for name in self.files if name.endswith(".virtiod"))
        with open(file, encoding="utf-8") as f:
            return re.search(r"^  /(\S+/devices.d)/", f.read(), re.M).group(1)

    def add(self, content):
        for file in self.files:
            content.add(file, os.path.join(SYSTEM, os.path.basename(file))[1:])
        for root in SYSTEM, self.source:
            for folder in "abi", "abstractions", "tunables":
                for where, _, names in os.walk(os.path.join(root, folder)):
                    for name in names:
                        path = os.path.join(where, name)
                        content.add(path, SYSTEM[1:] + path[len(root):])
        os.makedirs(content.folder + SYSTEM + "/local")


def write(content, name, text):
    path = os.path.join(content.folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def make_initrd(folder, profiles, virtioctl, programs):
    """Its path, and the folder of the programs in it."""
    content = initrd.Initrd(os.path.join(folder, "root"))
    content.add_init(os.path.join(stock.HERE, "init-apparmor"))
    content.add_modules(initrd.modules(initrd.cached(stock.KERNEL), ["tun"]))
    content.add_program("apparmor_parser")
    content.add_program(virtioctl)
    paths = dict(profiles.paths())
    for program in programs:
        content.add_program(program)  # for its libraries
        name = os.path.basename(program)
        os.renames(os.path.join(content.folder, "host", name), content.folder + paths[name])
    profiles.add(content)
    write(content, "etc/passwd", "root:x:0:0::/:\nnobody:x:65534:65534::/:\n")
    write(content, "etc/group", "root:x:0:\nnogroup:x:65534:\n")
    write(content, profiles.configuration() + "/vm.conf",
          "[vm/disk]\ndevice=blk\nblk-file=/images/disk.img\nformat=raw\nuser=nobody\n"
          "sandbox=strict\ncontrol=/run/virtiod/disk.control\n")
    image = os.path.join(folder, "initrd")
    content.pack(image)
    return image, os.path.dirname(paths["virtiod"])


def confined(guest, programs):
    """Each program does its work."""
    check(guest.wait("profiles", PATIENCE) == str(len(programs)),
          f"{len(programs)} profiles are enforced")
    names = sorted(name for name in (os.path.basename(p)[len("virtiod-"):] for p in programs)
                   if name not in ("", "kvm", "metrics", "switch"))
    for name in sorted(names + ["net"]):  # with a tap, too
        check(guest.wait("device", PATIENCE) == f"{name} virtiod-{name} (enforce)",
              f"virtiod-{name} is confined, and serves")
        if name == "blk":
            written, read = guest.wait("blk", PATIENCE).split()
            check(written == read, "a disk is written and read")
    check(guest.wait("switch", PATIENCE) == "virtiod-switch (enforce)", "virtiod-switch serves")
    check(guest.wait("virtiod", PATIENCE) == "virtiod (enforce), virtiod-blk (enforce)",
          "virtiod starts, adds, restarts and replaces")
    if any(p.endswith("metrics") for p in programs):
        check(guest.wait("metrics", PATIENCE) == "virtiod-metrics (enforce)", "and is asked")
    else:
        guest.wait("metrics", PATIENCE)
    check(guest.wait("refused", PATIENCE) == "0", "nothing of that is refused")


def refused(guest):
    """Only what is theirs is opened."""
    check(guest.wait("system", PATIENCE) == "1 1", "a file of the system's is refused, and noted")
    check(guest.wait("elsewhere", PATIENCE) == "1 1",
          "with @{virtiod_files}=/images/** another one, too")
    for what in "what that names", "what the local file adds":
        check(guest.wait("device", PATIENCE) == "blk virtiod-blk (enforce)", what + " is served")
    guest.wait("done", PATIENCE)


def main(source, build, virtioctl, *programs):
    qemu = stock.Qemu()
    profiles = Profiles(source, build)
    with tempfile.TemporaryDirectory() as folder:
        image, path = make_initrd(folder, profiles, virtioctl, programs)
        guest = qemu.start(image, "1024M", os.path.join(folder, "qmp"),
                           append=f"apparmor=1 security=apparmor bin={path}")
        try:
            confined(guest, programs)
            refused(guest)
        finally:
            guest.kill()


if __name__ == "__main__":
    stock.run(main)
