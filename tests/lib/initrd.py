# SPDX-License-Identifier: Apache-2.0
"""Builds an initrd from busybox, programs of this machine, kernel modules and an init script."""

import os
import re
import shutil
import subprocess


class Missing(Exception):
    """Something this machine lacks; the test is to be skipped, saying so."""


def cached(name):
    """A folder of the cache that ./check fills (deps.sh)."""
    cache = os.environ.get("VIRTIOD_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "virtiod")
    path = os.path.join(cache, name)
    if not os.path.exists(os.path.join(path, "complete")):
        raise Missing(f"no {path} (./check puts it there)")
    return path


def program(name):
    """The path of a program of this machine."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Missing(f"{name} is not installed")
    return path


def kernel_image(kernel):
    boot = os.path.join(kernel, "boot")
    return os.path.join(boot, next(n for n in os.listdir(boot) if n.startswith("vmlinuz")))


def modules(kernel, names):
    """The .ko files of these modules and of what they need, in the order to load them."""
    version = os.listdir(os.path.join(kernel, "lib/modules"))[0]
    files = []
    for name in names:
        out = subprocess.run([program("modprobe"), "-d", kernel, "-S", version, "--show-depends",
                              name], check=True, capture_output=True, text=True).stdout
        for path in re.findall(r"^insmod (\S+)", out, re.M):
            if path not in files:
                files.append(path)
    return files


def build(folder, output, init, module_files=(), programs=()):
    """Packs folder (made here) into the cpio archive output; modules load in name order."""
    for name in ("bin", "host", "dev", "proc", "sys", "tmp", "mnt", "modules"):
        os.makedirs(os.path.join(folder, name))
    shutil.copy(program("busybox"), os.path.join(folder, "bin/busybox"))
    shutil.copy(init, os.path.join(folder, "init"))
    os.chmod(os.path.join(folder, "init"), 0o755)
    for i, path in enumerate(module_files):
        shutil.copy(path, os.path.join(folder, "modules", f"{i:02}-{os.path.basename(path)}"))
    for name in programs:
        add_program(folder, program(name))
    listing = subprocess.run(["find", "."], cwd=folder, check=True, capture_output=True).stdout
    with open(output, "wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=folder, input=listing,
                       stdout=out, check=True)


def add_program(folder, path):
    """Copies a program to /host, with its libraries; call it by path: busybox prefers its own."""
    shutil.copy(path, os.path.join(folder, "host", os.path.basename(path)))
    for line in subprocess.run(["ldd", path], capture_output=True, text=True).stdout.split("\n"):
        found = re.search(r"(/\S+) \(0x", line)
        if found:
            target = folder + found.group(1)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(found.group(1), target)
