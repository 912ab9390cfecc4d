#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtiod-vsock --native in a guest by TCG, whose kernel has a loopback for AF_VSOCK.

Usage: vsock_native.py TEST VIRTIOD_VSOCK: the program test_vsock_native.c, which plays the driver.
Exits 77 (skipped) where QEMU or the kernel is missing.
"""

import os
import tempfile

import stock
from guest import check

PATIENCE = 240


def main(test, daemon):
    qemu = stock.Qemu()
    with tempfile.TemporaryDirectory() as folder:
        image = stock.make_initrd(folder, "init-vsock", ["vsock_loopback"], test, daemon)
        guest = qemu.start(image, "512M", os.path.join(folder, "qmp"))
        try:
            passed = guest.wait("passed", PATIENCE)
        finally:
            guest.kill()
        check(int(passed) > 0, f"{passed} tests passed")


if __name__ == "__main__":
    stock.run(main)
