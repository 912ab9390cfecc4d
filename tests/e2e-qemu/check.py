#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""QEMU as a front-end keeps the rules of "virtioctl check --frontend": its firmware drives a disk.

Usage: check.py VIRTIOCTL [CACHED]: with the QEMU in the folder CACHED of the cache.
Exits 77 (skipped) where QEMU is missing.
"""

import json
import os
import subprocess
import tempfile
import time

import stock  # finds the others
from guest import check
from qemu import Daemon, Monitor, check_running

RULES = 19
PATIENCE = 120  # seconds
STATUS = "/machine/peripheral/disk/virtio-backend"


class Checker(Daemon):
    """A back-end that is played."""

    def __init__(self, folder, virtioctl):
        self.name = "virtioctl check"
        self.log = None
        self.socket = os.path.join(folder, "checked.sock")
        self.argv = [virtioctl, "check", "--json", "--device-id=block",
                     "--frontend=" + self.socket]
        self.start(stdout=subprocess.PIPE)


def drive(qemu, folder, path):
    """Starts QEMU, and ends it when its firmware has the disk's driver running."""
    monitor_path = os.path.join(folder, "qmp")
    process = subprocess.Popen([
        qemu.program, "-accel", "tcg", "-machine", "q35,memory-backend=ram", "-m", "64M",
        "-object", "memory-backend-memfd,id=ram,size=64M,share=on", "-nodefaults", "-nographic",
        "-qmp", f"unix:{monitor_path},server=on,wait=off", "-chardev", f"socket,id=c,path={path}",
        "-device", "vhost-user-blk-pci,chardev=c,id=disk"])
    try:
        monitor = Monitor(monitor_path)
        deadline = time.monotonic() + PATIENCE
        while "DRIVER_OK" not in json.dumps(monitor.run("x-query-virtio-status", path=STATUS)):
            check_running(process, "QEMU")
            if time.monotonic() > deadline:
                raise AssertionError("the firmware does not drive the disk")
            time.sleep(0.05)
        monitor.run("quit")
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


def main(virtioctl, cached_qemu=None):
    qemu = stock.Qemu(cached_qemu)
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:
        checker = Checker(folder, virtioctl)
        try:
            drive(qemu, folder, checker.socket)
            cases = json.loads(checker.process.communicate(timeout=PATIENCE)[0])["cases"]
        finally:
            checker.process.kill()
        for case in cases:
            print(case["result"], case["name"], case.get("record", "")
                  if case["result"] == "fail" else "", flush=True)
        kept = [case["result"] for case in cases].count("pass")
        check(kept == len(cases) == RULES, f"{kept} rules of {len(cases)} are kept")
        check(checker.process.returncode == 0, "the checker finds no fault")


if __name__ == "__main__":
    stock.run(main)
