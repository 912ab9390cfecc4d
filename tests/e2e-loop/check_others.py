#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks other projects' back-ends by `virtioctl check`: the table of docs/checking.md.

    check_others.py VIRTIOCTL [NAME...]    those of these names; each that is here: by PATH, or in
                                           the cache that ./check fills (deps.sh)

Prints a row for each: its name and version, the number of cases that passed, and those that failed;
then the same with --hostile, with the cases that failed only there.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import initrd  # noqa: E402

QSD = ("{program} --blockdev driver=file,node-name=f,filename={folder}/img "
       "--blockdev driver=raw,node-name=d,file=f --export type=vhost-user-blk,id=e,node-name=d,"
       "writable=on,num-queues=2,addr.type=unix,addr.path={socket}")
# What it is, the folder in the cache (None: this machine's), the program there, whether by the
# libraries there, its command, and options of the check.
OTHERS = {
    "qemu-storage-daemon": (None, "qemu-storage-daemon", False, QSD,
                            ["--device-id=block", "--write"]),
    "qemu-storage-daemon-10": ("qemu-10", "bin/qemu-storage-daemon", False, QSD,
                               ["--device-id=block", "--write"]),
    "vhost-user-blk": ("qemu-sample", "vhost-user-blk", False,
                       "{program} --socket-path={socket} --blk-file={folder}/img",
                       ["--device-id=block", "--write"]),
    "virtiofsd-7": (None, "/usr/lib/qemu/virtiofsd", False,
                    "{program} -f --socket-path={socket} -o source={folder}/shared "
                    "-o sandbox=chroot", ["--device-id=fs"]),
    "virtiofsd": ("others", "usr/libexec/virtiofsd", True,
                  "{program} --socket-path={socket} --shared-dir={folder}/shared --sandbox=none",
                  ["--device-id=fs"]),
    "passt": ("others", "usr/bin/passt", True,
              "{program} --foreground --vhost-user --socket {socket}", ["--device-id=net"]),
    "dpdk-testpmd": ("dpdk", "bin/dpdk-testpmd", False,
                     "{program} -l 0,1 -m 512 --no-huge --no-pci --no-shconf --file-prefix=check "
                     "--vdev=net_vhost0,iface={socket},queues=1 -- --forward-mode=rxonly "
                     "--stats-period=3600 --total-num-mbufs=2048 --no-mlockall",
                     ["--device-id=net"]),
}


def find(cached, path, own_libraries):
    """The command that runs it."""
    if not cached:
        return initrd.program(path)
    root = initrd.cached(cached)
    path = os.path.join(root, path)
    if not own_libraries:
        return path
    return (f"{root}/usr/lib64/ld-linux-x86-64.so.2 --library-path {root}/usr/lib/x86_64-linux-gnu "
            + path)


def version(program):
    text = subprocess.run(program.split() + ["--version"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False).stdout
    return text.split("\n")[0]


def check(virtioctl, command, options):
    """Returns (number of passed cases, names of those that failed)."""
    with tempfile.TemporaryDirectory(prefix="others-") as folder:
        path = os.path.join(folder, "socket")
        os.mkdir(os.path.join(folder, "shared"))
        with open(os.path.join(folder, "img"), "wb") as file:
            file.truncate(16 << 20)
        start = command.format(socket=path, folder=folder)
        done = subprocess.run([virtioctl, "check", "--json", *options, f"--start={start}", path],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False)
    cases = json.loads(done.stdout)["cases"]
    return (sum(case["result"] == "pass" for case in cases),
            [case["name"] for case in cases if case["result"] == "fail"])


def main(virtioctl, *names):
    for name in names or OTHERS:
        cached, path, own_libraries, command, options = OTHERS[name]
        try:
            program = find(cached, path, own_libraries)
        except initrd.Missing as missing:
            print(f"| {name} | {missing} |", flush=True)
            continue
        command = command.replace("{program}", program)
        passed, failed = check(virtioctl, command, options)
        print(f"| {name}: {version(program)} | {passed} | {', '.join(failed)} |", flush=True)
        passed, worse = check(virtioctl, command, [*options, "--hostile"])
        worse = [case for case in worse if case not in failed]
        print(f"| {name}, with --hostile | {passed} | {', '.join(worse)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
