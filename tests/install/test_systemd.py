#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_systemd.py SOURCE [PACKAGES]: an administrator's walk in a machine with systemd.

Debian 12 boots under QEMU; there dpkg installs the packages of debian/, built from SOURCE or in the
folder PACKAGES, and the script walk uses them and reports. Exits 77 (skipped) where something is
missing.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from packages import build, run

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
sys.path.insert(0, os.path.join(HERE, "../e2e-qemu"))
import initrd  # noqa: E402
import stock  # noqa: E402
from guest import Guest  # noqa: E402

SIZE = 2 << 30
PATIENCE = 1200
MODULES = ["virtio_pci", "virtio_blk", "ext4"]


def need():
    for name in ("dpkg-buildpackage", "dh", "git", "mkfs.ext4"):
        initrd.program(name)
    if os.geteuid() != 0:
        raise initrd.Missing("only root can make root's files of a file system")


def next_version(package, folder):
    """The same package as a version that is newer."""
    root = os.path.join(folder, "next")
    run("dpkg-deb", "-R", package, root)
    control = os.path.join(root, "DEBIAN/control")
    with open(control, encoding="utf-8") as f:
        text = f.read()
    with open(control, "w", encoding="utf-8") as f:
        f.write(re.sub(r"^(Version: .*)", r"\1+next", text, flags=re.M))
    os.makedirs(os.path.join(folder, "upgrade"))
    run("dpkg-deb", "-b", root, os.path.join(folder, "upgrade/virtiod.deb"))


def make_image(folder, packages):
    """The path of a file system that boots into the walk."""
    root = os.path.join(folder, "system")
    run("cp", "-a", initrd.cached("debian-vm"), root)
    home = os.path.join(root, "root")
    os.makedirs(os.path.join(home, "packages"))
    for name in "virtiod", "virtiod-kvm":
        shutil.copy(packages[name], os.path.join(home, "packages"))
    next_version(packages["virtiod"], home)
    shutil.copy(os.path.join(HERE, "walk"), home)
    units = os.path.join(root, "etc/systemd/system")
    os.makedirs(os.path.join(units, "multi-user.target.wants"), exist_ok=True)
    shutil.copy(os.path.join(HERE, "walk.service"), units)
    os.symlink("../walk.service", os.path.join(units, "multi-user.target.wants/walk.service"))
    # What nobody logs in to.
    for name in ("serial-getty@ttyS0.service", "getty.target", "systemd-firstboot.service"):
        os.symlink("/dev/null", os.path.join(units, name))
    os.symlink("/lib/systemd/system/multi-user.target", os.path.join(units, "default.target"))
    with open(os.path.join(root, "etc/machine-id"), "w", encoding="ascii") as f:
        f.write("0123456789abcdef0123456789abcdef\n")
    image = stock.make_disk(folder, "system.img", SIZE)
    run(initrd.program("mkfs.ext4"), "-q", "-F", "-d", root, image)
    shutil.rmtree(root)
    return image


def make_initrd(folder):
    content = initrd.Initrd(os.path.join(folder, "initrd.d"))
    content.add_init(os.path.join(HERE, "init-systemd"))
    content.add_modules(initrd.modules(initrd.cached(stock.KERNEL), MODULES))
    path = os.path.join(folder, "initrd")
    content.pack(path)
    return path


def report(guest):
    """Prints what the guest says until its end; how many checks passed, and which failed."""
    passed, failed = 0, []
    deadline = time.monotonic() + PATIENCE
    while True:
        line = guest.line(deadline)
        if line is None:
            raise AssertionError(f"no end of the walk after {passed} checks; failed: {failed}")
        found = re.match(r"@ (ok|not-ok|end|failed) ?(.*)", line)
        if not found:
            continue
        if found[1] == "end":
            return passed, failed
        if found[1] == "ok":
            passed += 1
        else:
            failed.append(found[2])


def main(source, packages=None):
    need()
    initrd.cached("debian-vm")
    qemu = stock.Qemu()
    with tempfile.TemporaryDirectory(prefix="systemd-") as folder:
        debs = build(source, folder) if not packages else {
            os.path.basename(path).split("_")[0]: path
            for path in glob.glob(os.path.join(packages, "*.deb")) if "dbgsym" not in path}
        image = make_image(folder, debs)
        argv = qemu.command(make_initrd(folder), "1G", initrd.cached(stock.KERNEL),
                            "systemd.show_status=0")
        guest = Guest([*argv, "-drive", f"file={image},format=raw,if=virtio,cache=unsafe"])
        try:
            passed, failed = report(guest)
            guest.process.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError("the machine does not power off") from None
        finally:
            guest.kill()
    print(f"{passed} checks passed", *(f"\nnot ok: {text}" for text in failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    stock.run(main)
