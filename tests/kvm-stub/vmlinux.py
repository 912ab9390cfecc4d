#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vmlinux.py BZIMAGE VMLINUX: unpacks the ELF kernel that a bzImage carries.

Exit 77: compressed in a way that needs a program which is not here.
"""
import lzma
import struct
import subprocess
import sys
import zlib

PROGRAMS = ((b'\x28\xb5\x2f\xfd', 'zstd'), (b'\x02\x21\x4c\x18', 'lz4'))


def unpack(payload):
    if payload.startswith(b'\xfd7zXZ\0'):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b'\x1f\x8b'):
        return zlib.decompressobj(31).decompress(payload)
    for magic, program in PROGRAMS:
        if payload.startswith(magic):
            # Without the size that Linux puts behind the data.
            return subprocess.run([program, '-dcq'], input=payload[:-4], stdout=subprocess.PIPE,
                                  check=True).stdout
    raise FileNotFoundError(f'unknown compression {payload[:6].hex()}')


def main(bzimage, vmlinux):
    with open(bzimage, 'rb') as f:
        data = f.read()
    offset, length = struct.unpack_from('<II', data, 0x248)  # payload_offset, payload_length
    start = (data[0x1f1] + 1) * 512 + offset
    try:
        elf = unpack(data[start:start + length])
    except FileNotFoundError as e:
        print(e, file=sys.stderr)
        return 77
    if not elf.startswith(b'\x7fELF'):
        print('no ELF file in it', file=sys.stderr)
        return 1
    with open(vmlinux, 'wb') as f:
        f.write(elf)
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
