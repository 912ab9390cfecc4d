# SPDX-License-Identifier: Apache-2.0
"""Kernels of a few instructions for virtiod-kvm on x86."""

import struct

XEN_ELFNOTE_PHYS32_ENTRY = 18


def vmlinux(code, address=0x100000):
    """An ELF file with the PVH note and this code."""
    note = struct.pack("<III4sI", 4, 4, XEN_ELFNOTE_PHYS32_ENTRY, b"Xen\0", address)
    offset = 64 + 2 * 56
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, address, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, offset, address, address, len(code), len(code), 1)
    notes = struct.pack("<IIQQQQQQ", 4, 4, offset + len(code), 0, 0, len(note), len(note), 4)
    return header + load + notes + code + note


def out(port, value):
    """32-bit code: a byte to a port, then nothing more."""
    return bytes([0x66, 0xba, *port.to_bytes(2, "little"), 0xb0, value, 0xee, 0xf4, 0xeb, 0xfd])
