# SPDX-License-Identifier: Apache-2.0
"""Builds an initrd from busybox, programs, kernel modules and an init script."""

import lzma
import os
import platform
import re
import shutil
import subprocess

LIB = os.path.dirname(os.path.abspath(__file__))


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


def program(name, root="/"):
    """The path of a program of this machine, or of another system below root."""
    folders = [os.path.join(root, d) for d in ("usr/bin", "bin", "usr/sbin", "sbin")]
    if root == "/":
        folders = os.environ["PATH"].split(":") + folders
    path = shutil.which(name, path=":".join(folders))
    if not path:
        raise Missing(f"{name} is not installed" + ("" if root == "/" else f" below {root}"))
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


def copy_modules(files, folder):
    """Into the folder, unpacked, to be loaded in the order of their names there."""
    os.makedirs(folder, exist_ok=True)
    for i, path in enumerate(files):
        name = os.path.basename(path).removesuffix(".xz")
        opened = lzma.open(path) if path.endswith(".xz") else open(path, "rb")
        with opened as source, open(os.path.join(folder, f"{i:02}-{name}"), "wb") as out:
            shutil.copyfileobj(source, out)


def libraries(file, root="/", machine=platform.machine()):
    """What a program of that machine loads, by the paths it has in its own system."""
    folders = [f"/{usr}lib{sub}" for sub in (f"/{machine}-linux-gnu", "64", "")
               for usr in ("", "usr/")]
    found, todo = set(), [file]
    while todo:
        out = subprocess.run([program("readelf"), "-ld", todo.pop()], check=True,
                             capture_output=True, text=True).stdout
        names = re.findall(r"\(NEEDED\).*\[(.*)\]", out)
        paths = re.findall(r"program interpreter: (.*)\]", out)
        for name in names:
            paths += [os.path.join(d, name) for d in folders
                      if os.path.exists(root + os.path.join(d, name))][:1]
        new = set(paths) - found
        found |= new
        todo += [root + path for path in new]
    return found


class Initrd:
    """A folder that becomes an initrd; root and machine: of the system that programs come from."""

    def __init__(self, folder, root="/", machine=platform.machine()):
        self.folder, self.root, self.machine = folder, root, machine
        for name in ("bin", "host", "dev", "proc", "sys", "tmp", "mnt", "modules"):
            os.makedirs(os.path.join(folder, name))
        self.add(program("busybox", root), "bin/busybox")
        self.add(os.path.join(LIB, "guest.sh"), "guest.sh")

    def add(self, file, name):
        """Copies a file, and follows links."""
        target = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(file, target)

    def add_init(self, script):
        self.add(script, "init")
        os.chmod(os.path.join(self.folder, "init"), 0o755)

    def add_modules(self, files):
        """They load in this order."""
        copy_modules(files, os.path.join(self.folder, "modules"))

    def add_program(self, name):
        """To /host, with its libraries; call it by path: busybox prefers its own."""
        path = name if "/" in name else program(name, self.root)
        self.add(path, "host/" + os.path.basename(path))
        for library in libraries(path, self.root, self.machine):
            self.add(self.root + library, library.lstrip("/"))

    def add_foreign(self, path, root):
        """To /foreign, a program of another release below root, with its libraries there."""
        for file in [path, *libraries(os.path.join(root, path), root, self.machine)]:
            self.add(os.path.join(root, file.lstrip("/")), "foreign/" + file.lstrip("/"))

    def pack(self, output):
        """Into a cpio archive."""
        listing = subprocess.run(["find", "."], cwd=self.folder, check=True,
                                 capture_output=True).stdout
        with open(output, "wb") as out:
            subprocess.run([program("cpio"), "--quiet", "-o", "-H", "newc"], cwd=self.folder,
                           input=listing, stdout=out, check=True)
