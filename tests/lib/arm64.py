# SPDX-License-Identifier: Apache-2.0
"""Kernels of bare metal for arm64, in the format of Linux's Image."""

import struct

CODE = 0x100000  # from the start of RAM: where the code is linked to run
HEADER = 0x1000
BRANCH = 0x14000000  # b, by words


def image(code):
    """The header branches to the code, which is followed by what it needs to be zero."""
    header = struct.pack("<IIQQQQQQII", BRANCH + HEADER // 4, 0, CODE - HEADER, HEADER + len(code),
                         0, 0, 0, 0, int.from_bytes(b"ARM\x64", "little"), 0)
    return header.ljust(HEADER, b"\0") + code
