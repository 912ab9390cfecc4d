#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of the fuzz targets: inputs that get far, written as the targets read them.

seeds.py FOLDER TARGET...    writes those of each target to FOLDER/TARGET
"""
import os
import struct
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def u8(*values):
    return bytes(values)


def pack(layout, *values):
    return struct.pack('<' + layout, *values)


def string(text):
    text = text.encode() if isinstance(text, str) else text
    return u8(len(text)) + text


TARGETS = {}


def target(*names):
    def add(function):
        for name in names:
            TARGETS[name] = lambda: function(name)
        return function
    return add


# ring.c

def desc(table, i, place, length, flags, following):
    return u8(1, table, i, place, 0, 1, length) + pack('HB', flags, following)


SERVE, UNPOP, PUSH_ALL, RESTART = u8(3), u8(4), u8(5), u8(6)
NEXT, WRITE, INDIRECT = 1, 2, 4


@target('split', 'split_area')
def split(name):
    area = pack('H', 0) if name == 'split_area' else b''
    start = [u8(how) + pack('HQ', 4, features) + area
             for how in range(8) for features in (0, 1 << 28 | 1 << 29, 1 << 35)]
    request = desc(0, 0, 0, 16, NEXT, 1) + desc(0, 1, 2, 64, WRITE, 0) + u8(2, 0)
    table = (desc(1, 0, 0, 16, NEXT, 1) + desc(1, 1, 0, 64, WRITE, 0) +
             desc(0, 2, 1, 32, INDIRECT, 0) + u8(2, 2))
    yield from (s + request + SERVE + u8(0) for s in start)
    yield from (s + request + table + SERVE + u8(3) + UNPOP + SERVE + u8(2) + PUSH_ALL + RESTART +
                u8(1) + request + SERVE + u8(1) for s in start)
    if area:
        # One request in flight, as a previous owner left it.
        left = pack('QHHHH', 0, 1, 16, 0, 0) + pack('BxxxxxHQ', 1, 0, 1)
        yield u8(4) + pack('HQH', 4, 0, len(left)) + left + request + SERVE + u8(0)


def packed_desc(i, length, flags):
    return u8(2, i, flags, length, 0, 0)


@target('packed', 'packed_area')
def packed(name):
    area = pack('H', 0) if name == 'packed_area' else b''
    start = [u8(how) + pack('HQ', size, features) + area for how in range(8)
             for size in (4, 7) for features in (0, 1 << 28 | 1 << 29, 1 << 35)]
    request = packed_desc(0, 16, NEXT) + packed_desc(0, 64, WRITE)
    table = desc(1, 0, 0, 16, 0, 1) + desc(1, 1, 0, 64, WRITE, 0) + u8(2, 1, INDIRECT, 32, 1, 0)
    yield from (s + request + SERVE + u8(0) for s in start)
    yield from (s + table + request + SERVE + u8(3) + UNPOP + SERVE + u8(2) + PUSH_ALL + RESTART +
                u8(1) + request + SERVE + u8(1) for s in start)


# backend.c

MEMORY, SHORT, KICK, CALL, PIPE_READ, PIPE_WRITE, SOCKET, OTHER = range(8)
GPA, UVA, SIZE = 0x40000000, 0x7f0000000000, 0x200000
ALL_PROTOCOL = sum(1 << n for n in (0, 2, 3, 4, 5, 7, 9, 12, 13, 15, 16, 18, 19))


def message(request, payload=b'', files=(), flags=2):
    return u8(0, request, len(files), *files, flags) + pack('H', len(payload)) + payload


def memory(offset, content):
    return u8(2, len(content)) + pack('H', offset) + content


def session(ring_features=0, protocol=ALL_PROTOCOL):
    at = UVA
    yield message(1) + message(15) + message(16, pack('Q', protocol)) + message(3)
    yield message(17) + message(2, pack('Q', 1 << 32 | 1 << 30 | ring_features))
    yield message(5, pack('IIQQQQ', 1, 0, GPA, SIZE, UVA, 0), [MEMORY])
    for request in (8, 10):
        yield message(request, pack('II', 0, 16 if request == 8 else 0x80008000 *
                                    (ring_features >> 34)))
    yield message(9, pack('IIQQQQ', 0, 0, at, at + 0x2000, at + 0x1000, 0))
    yield message(13, pack('Q', 0), [CALL]) + message(12, pack('Q', 0), [KICK])
    yield message(18, pack('II', 0, 1)) + u8(4)


@target('backend')
def backend(_):
    start = b''.join(session())
    request = (memory(0, pack('QIHHQIHH', GPA + 0x3000, 16, NEXT, 1, GPA + 0x4000, 64, WRITE, 0)) +
               memory(0x3000, u8(1, 3) + bytes(14)) + memory(0x1000, pack('HHH', 0, 1, 0)) + u8(3))
    stop = message(11, pack('II', 0, 0)) + u8(4)
    config = pack('III', 4, 4, 0)
    yield start
    yield start + request + stop
    yield b''.join(session(1 << 34)) + stop
    yield b''.join(session(1 << 28 | 1 << 29)) + request + u8(7) + start
    yield start + message(31, pack('QQHHI', 0, 0, 2, 16, 0)) + u8(4)
    yield start + message(24, config + bytes(4)) + message(25, config + bytes(4)) + u8(4)
    for number in (26, 41, 42, 43, 44, 36, 40):
        yield start + message(number, bytes({26: 64, 41: 16}.get(number, 0))) + u8(4)
    yield start + message(39, u8(15) + bytes(7)) + message(40) + message(34) + u8(4)
    yield start + message(19, bytes(8)) + message(20, pack('Q', 1500)) + message(27, bytes(8))
    yield start + message(33, b'', [SOCKET]) + message(41, u8(1) + bytes(15))
    channel = start + message(21, b'', [SOCKET]) + u8(4)
    yield channel + request + u8(5, 9, 1, 8) + bytes(8) + request
    region = pack('QQQQQ', 0, GPA + SIZE, 0x4000, UVA + SIZE, 0)
    yield start + message(37, region, [SHORT]) + u8(8, 0) + message(38, region) + u8(4)
    save = start + stop + message(42, pack('II', 0, 0), [PIPE_WRITE])
    yield save + u8(4, 6, 0) + message(43) + u8(4)
    yield start + stop + message(42, pack('II', 1, 0), [PIPE_READ]) + u8(6, 32) + bytes(32) + \
        message(43) + u8(4)


# front.c and vmm.c: a back-end that does all right needs no bytes.

@target('front')
def front(_):
    for how in (0x10, 0x70, 0xd0, 0xf0):
        calls = u8(how) + u8(0, 0, 8, 1) + pack('Q', 1 << 32) + u8(2, 3, 1, 2, 3, 3, 1, 4, 0, 5,
                                                                   15, 6, 7, 0)
        yield string(calls)
        yield string(calls)
    for step in range(12):
        for wrong in range(1, 16):
            yield string(calls) + bytes(step) + u8(wrong, 9, 1, 0, 8, 1, 3, 0, 16)


def write(register, value):
    return u8(3, register, 6, value)


@target('vmm')
def vmm(_):
    status, select, size, ready, notify, first, second, third, sel, features = range(10)
    driver = b''.join(write(*w) for w in (
        (status, 0), (status, 1), (status, 3), (sel, 1), (features, 1), (status, 11), (select, 0),
        (size, 16)))
    driver += b''.join(u8(3, r, 6 | 16, 1) for r in (first, second, third))
    driver += write(ready, 1) + write(status, 15) + write(notify, 0) + u8(3, 11, 2, 0)
    for end in (b'', write(status, 0), u8(1) + u8(2), write(12, 1)):
        whole = driver + end
        yield pack('H', len(whole)) + whole
        for wrong in (2, 3, 10, 13, 15):
            for step in (3, 8, 20, 30):
                yield (pack('H', len(whole)) + whole +
                       string(bytes(step) + u8(wrong, 9, 1, 0, 8, 1, 3, 0, 16)))


@target('broker')
def broker(_):
    devices = u8(3, 0, 1, 0, 0)
    for kind in range(1, 5):
        yield devices + b''.join(u8(kind, device, 1, which, 1, 0, kind == 3, 0, 0)
                                 for device in range(3) for which in range(3))


@target('worker')
def worker(_):
    past = u8(0, 0, 0)
    commands = u8(1, 0) + u8(2, 0) + u8(2, 8) + u8(4, 0) + u8(3, 0)
    yield pack('H', len(past + commands)) + past + commands
    past = u8(1) + pack('HB', 0, 4) + pack('I', 1) + u8(1) + \
        pack('QQIIIHBB', 0x2000000, 0, 1, 4, 1, 0, 0x21, 1) + u8(1, 1)
    yield pack('H', len(past + commands)) + past + commands


# Files.

@target('xenstore')
def xenstore(_):
    with open(os.path.join(ROOT, 'data', 'xen.conf'), 'rb') as f:
        rules = f.read()
    own = b'[a]\nsocket=/run/%n/%i.sock\nprobe=off\npacked=on\nwait=10\ndomain=w*\nqueues=2\n'
    for kind in range(2):
        yield u8(0, kind)
        for key in range(11):
            yield u8(0, kind) + bytes(key) + u8(5) + b'x,'
    yield u8(1) + string('backend/virtio/3/0')
    yield u8(2) + string('web') + string('/srv/a.img') + u8(3) + pack('H', 0) + rules
    yield u8(2) + string('web') + string('/srv/a.img') + u8(0) + pack('H', len(own)) + own + rules
    yield u8(3) + string('a\\;b\\s;\\\\c\\n')


@target('discovery')
def discovery(_):
    json = b'{"type": "block", "binary": "/bin/true", "description": "x", "tags": ["a"]}'
    yield u8(1) + string('block') + json
    yield u8(9) + string('block') + string(b'') + json
    yield u8(2) + string('rng') + b'{"type": "rng", "binary": "x", "features": [{"a": 1.5e3}]}'


@target('device_file')
def device_file(_):
    first = b'# x\n[a/b]\ndevice=blk\nf=a b\\s\nuser=x:y\nafter=c\nafter=d/e\nwait=5\n'
    second = b'[a/c]\ndevice=rng\nsocket-mode=0660\nsocket-group=0\n[d/e]\ndevice=x\nafter=a/c\n'
    yield pack('H', len(first)) + first + second
    yield pack('H', 9) + second
    yield pack('H', 999) + second + b'[x/y]\ndevice=x\nafter=z\n[x/z]\ndevice=x\nafter=y\n'


@target('request')
def request(_):
    start = '{"jsonrpc":"2.0",'
    for rest in ('"id":7,"method":"set","params":{"line":7,"name":"\\u00e9\\n","on":false}}',
                 '"id":7,"method":"set","params":{"line":1,"level":-1}}',
                 '"id":"a\\"b","method":"set","params":{"line":"3","level":"9223372036854775808"}}',
                 '"id":null,"method":"set","params":[1.5e-3,{"a":[null,true]}]}',
                 '"id":7,"method":"set","params":{"line":1,"line":2,"x":{}}}',
                 '"method":"status"}', '"id":{}}'):
        yield (start + rest).encode()


@target('options')
def options(_):
    lines = ['--flag', '--on-off=off', '--word', 'two', '-sx', '--path=/x', '-p', '/y', '--fd=3',
             '-n', '64K', '--power=256', '--unset=-1', '--number64=0x10', '--bytes=1GiB',
             '--shifted=5', '--real=.5', '--mode=0640', '--parse=x', '--', 'file', '-fo', 'on']
    for i in range(0, len(lines), 2):
        yield u8(0) + b''.join(string(s) for s in lines[i:i + 8])
    yield u8(1) + b''.join(string(s) for s in ('queues', '4', 'queue-size', '256', 'probe', 'off',
                                              'packed', 'on', 'config-size', '24', 'device-id',
                                              '2', 'fallback-type', '3', 'x', 'y'))
    yield u8(2) + string('socket=/run/a,,b,queues=4')
    yield u8(2) + string('type=block,blk-file=/x,queue-size=64')
    for number in ('4096', '0x1000', '64KiB', '1.5', '1e3'):
        yield u8(3) + string(number) + pack('QQ', 0, 1 << 32)


def elf():
    """A vmlinux with one segment and a PVH note."""
    note = pack('III4sQ', 4, 8, 18, b'Xen\0', 0x1000040)
    headers = pack('IIQQQQQQ', 1, 5, 1024, 0x1000000, 0x1000000, 64, 4096, 0)
    headers += pack('IIQQQQQQ', 4, 4, 512, 0, 0, len(note), len(note), 4)
    head = b'\x7fELF\2\1\1' + bytes(9) + pack('HHIQQQIHHHHHH', 2, 62, 1, 0x1000000, 64, 0, 0, 64,
                                             56, 2, 0, 0, 0)
    return (head + headers).ljust(512, b'\0') + note.ljust(512, b'\0') + bytes(64)


def bzimage():
    head = bytearray(0x268)
    head[0x1f1] = 1
    struct.pack_into('<H', head, 0x1fe, 0xaa55)
    struct.pack_into('<I', head, 0x1f4, 16)
    head[0x200:0x202] = b'\xeb\x66'
    struct.pack_into('<4sH', head, 0x202, b'HdrS', 0x20f)
    head[0x211] = 1
    struct.pack_into('<I', head, 0x22c, 0x7fffffff)
    struct.pack_into('<IBBHI', head, 0x230, 0x200000, 1, 21, 3, 2047)
    struct.pack_into('<QI', head, 0x258, 0x1000000, 0x100000)
    return bytes(head).ljust(1280, b'\0')


@target('kernel')
def kernel(_):
    for image in (elf(), bzimage()):
        for how in (0, 3, 0x33):
            yield u8(2) + string('quiet') + u8(how, 0) + image


@target('kernel_arm64')
def kernel_arm64(_):
    image = pack('II6QII', 0, 0, 0, 0x200000, 0xa, 0, 0, 0, 0x644d5241, 0).ljust(256, b'\0')
    for how in (0, 3, 0x3b):
        yield u8(2) + string('quiet') + u8(how, 0) + image


# device.c

def request(queue, out, room, kick=1):
    cut = u8(2, 8, 8) if len(out) > 16 else u8(0)
    return (u8(0, queue) + pack('HH', len(out), room) + (cut if out else b'') +
            (u8(0) if room else b'') + out + u8(kick))


@target('switching')
def switching(_):
    def stream(member, data):
        return u8(0, member) + pack('H', len(data)) + data

    def frame(to, source, rest, size=46):
        data = bytes(5) + u8(to) + bytes(5) + u8(source) + rest + bytes(size)
        return struct.pack('>I', len(data)) + data

    plain, tag = b'\x88\xb5', b'\x81\0\0\x02'
    tagged = u8(3, 1, 1, 0, 0x0e)  # member 1: native 1, and 1, 2, 3 with a tag
    hello = [stream(n, frame(0xff, n + 1, plain)) for n in range(4)]
    yield b''.join(hello) + stream(0, frame(2, 1, plain) * 3 + frame(3, 1, plain)[:20])
    yield tagged + stream(1, frame(0xff, 1, tag + plain)) + stream(0, frame(1, 2, plain, 300))
    yield u8(2, 0) + pack('H', 1486) + u8(3, 1) + tag + plain + u8(5, 3) + hello[1]
    yield u8(4) + string('unix:/x,vlan=10,trunk=1:2-5,isolated=on,pcap=a,,b') + u8(1)
    yield u8(4) + string('tap=x,name=y') + u8(0)


@target('rng')
def rng(_):
    yield u8(0) + pack('Q', 0) + request(0, b'', 64) + u8(3, 4, 5) + request(0, b'', 5000)


@target('blk')
def blk(_):
    for way in range(3):
        for features in (0, 1 << 34, 1 << 28 | 1 << 29):
            start = u8(way) + pack('Q', features)
            yield start + request(0, pack('IIQ', 1, 0, 0) + bytes(512), 1) + \
                request(0, pack('IIQ', 0, 0, 8), 4097) + u8(3) + request(1, pack('IIQ', 4, 0, 0), 1)
            for kind in (8, 11, 13):
                yield start + request(0, pack('IIQ', kind, 0, 0) + pack('QII', 0, 8, 0), 21) + u8(3)
            yield start + request(0, pack('IIQ', 0, 0, 0), 513, 0) + u8(4) + u8(6, 0, 1) + u8(5)


@target('i2c')
def i2c(_):
    start = u8(0) + pack('Q', 0)
    for address in (0x50, 0x68, 0x48):
        write = pack('HHI', address << 1, 0, 1) + u8(1)
        read = pack('HHI', address << 1, 0, 2)
        yield start + request(0, write, 1, 0) + request(0, read, 9)
        yield start + request(0, write + bytes(8), 1) + u8(3, 4) + request(0, read, 1) + u8(5)


@target('gpio')
def gpio(_):
    for way in range(2):
        start = u8(way) + pack('Q', 0)
        yield start + b''.join(request(0, pack('HHI', kind, 1, 1), 64) for kind in range(8))
        unmask = request(1, pack('H', 0), 1)
        yield start + request(0, pack('HHI', 6, 0, 3), 2) + unmask + u8(4) + unmask + \
            request(0, pack('HHI', 6, 0, 0), 2) + request(0, pack('HHI', 6, 0, 8), 2) + \
            unmask + u8(5)


@target('rtc')
def rtc(_):
    for way in range(2):
        start = u8(way) + pack('Q', 0)
        for kind in (1, 2, 0x1000, 0x1001, 0x1002, 0x1003, 0x1005):
            yield start + request(0, pack('HxxxxxxHBxxxxx', kind, 1, 1), 24) + u8(4)
        alarm = request(0, pack('HxxxxxxQHBxxxxx', 0x1004, 1, 0, 1), 8)
        yield start + alarm + request(1, b'', 16) + u8(3) + alarm + request(1, b'', 8) + u8(5)


@target('spi')
def spi(_):
    def transfer(select, data, room):
        return request(0, u8(select, 8) + bytes(30) + data, room + 1)

    for way in range(2):
        start = u8(way) + pack('Q', 0)
        flash = 1 - way
        yield start + transfer(0, b'abc', 3) + transfer(0, b'', 5) + transfer(0, bytes(1500), 0)
        yield start + transfer(flash, b'\x06', 0) + transfer(flash, b'\x02\0\0\0abc', 0) + \
            transfer(flash, b'\x03\0\0', 0) + transfer(flash, b'\0', 0) + u8(4) + \
            transfer(flash, b'', 300)
        yield start + transfer(flash, b'\x06', 0) + transfer(flash, b'\x20\0\x10\0', 0) + \
            transfer(flash, b'\x9f\0\0\0', 4) + u8(5)


@target('console')
def console(_):
    def control(port, event, value):
        return request(3, pack('IHH', port, event, value), 0)

    for way in range(2):
        start = u8(way) + pack('Q', 7)
        yield start + request(0, b'', 64) + request(1, b'Hello', 0) + u8(3, 2) + u8(4, 0)
        yield start + b''.join(request(2, b'', 64) for _ in range(6)) + b''.join(
            control(*m) for m in ((0xffffffff, 0, 1), (0, 3, 1), (1, 3, 1), (0, 6, 1), (9, 6, 1))
        ) + u8(3) + request(5, b'x' * 600, 0) + u8(4)


@target('rproc-serial')
def rproc_serial(_):
    yield u8(0) + pack('Q', 0) + request(0, b'', 64) + request(1, b'Hello', 0) + u8(3)


@target('rpmsg')
def rpmsg(_):
    def message(destination, payload):
        return request(1, pack('IIIHH', 1030, destination, 0, len(payload), 0) + payload, 0)

    for way in range(2):
        for features in (0, 1):
            yield u8(way) + pack('Q', features) + \
                b''.join(request(0, b'', 512) for _ in range(5)) + message(1024, b'Hello') + \
                message(7, b'x') + message(53, b'mine'.ljust(40, b'\0')) + message(9, b'') + \
                u8(3) + message(1026, b'y' * 496) + u8(4)


@target('can')
def can(_):
    def frame(flags, ident, data):
        return request(0, pack('HHBBHII', 1, len(data), 0, 0, 0, flags, ident) + data, 1)

    start = u8(0) + pack('Q', 0) + request(2, pack('H', 0x201), 1)
    yield start + frame(0, 0x123, b'abc') + frame(0x8000, 0x12345, b'') + \
        frame(0x4000, 1, bytes(64)) + frame(0x2000, 1, b'xy') + request(1, b'', 80)
    yield start + request(1, b'', 80) * 3 + frame(0, 1, b'') + u8(4) + \
        request(2, pack('H', 0x202), 1) + frame(0, 1, b'') + u8(5)


@target('net')
def net(_):
    def frame(pair, length, flags=0):
        return request(2 * pair + 1, pack('BBHHHHH', flags, 0, 54, 1448, 14, 6, 0) +
                       bytes(length), 0)

    def command(kind, number, data):
        return request(4, u8(kind, number) + data, 1)

    start = u8(0) + pack('Q', 0)
    buffers = b''.join(request(2 * pair, b'', room) for pair in range(2)
                       for room in (1526, 1526, 65000))
    yield start + buffers + frame(0, 60) + frame(1, 500, 1) + u8(3, 4) + buffers + u8(5)
    yield start + b''.join(command(0, mode, u8(1)) for mode in range(6)) + \
        command(1, 0, pack('I6sI6s', 1, bytes(6), 1, u8(1, 0, 0, 0, 0, 1))) + \
        command(1, 1, bytes(6)) + command(2, 0, pack('H', 5)) + command(2, 1, pack('H', 5)) + \
        command(3, 0, b'') + command(4, 0, pack('H', 2)) + command(5, 0, bytes(8)) + \
        u8(3) + buffers + u8(4)

    def peer(data):
        return u8(8) + pack('H', len(data)) + data

    def framed(length, head=b''):
        return struct.pack('>I', len(head) + length) + head + b'\xff' * 12 + bytes(length - 12)

    leave, later, link = u8(9), u8(10), u8(11, 0, 1)
    head = pack('BBHHHHH', 0, 0, 0, 0, 0, 0, 0)
    for way, header in ((1, b''), (2, head), (4, b'')):
        start = u8(way) + pack('Q', 0)
        yield start + buffers + peer(framed(60, header) * 3 + framed(900, header)[:500]) + \
            peer(framed(900, header)[500:]) + frame(0, 60) * 12 + peer(b'') + later + u8(4) + \
            frame(0, 1000, 1) + peer(framed(1700, header)) * 12 + later + buffers + u8(3)
        yield start + peer(bytes(4)) + u8(3) + frame(0, 60) + later + peer(framed(60, header)) + \
            buffers + leave + frame(0, 60) + later + later + peer(framed(60)) + u8(5) + buffers
        yield start + buffers + link + string('down') + peer(framed(60, header)) + frame(0, 60) + \
            link + string('up') + link + string('no') + u8(11, 1) + peer(framed(60, header))
    start = u8(3) + pack('Q', 0)
    yield start + buffers + peer(framed(60)[4:]) + peer(b'') + frame(0, 60) * 20 + peer(b'x') + \
        u8(3) + frame(0, 900) + leave + frame(0, 60) + later + leave + later + frame(0, 60) + \
        peer(framed(60)[4:]) + u8(4) + peer(framed(1700)[4:]) + u8(5)


@target('vsock')
def vsock(_):
    def packet(op, data=b'', kind=1, port=1024, flags=0, size=None, cid=2):
        head = pack('QQIIIHHIII', 3, cid, 5000, port, len(data) if size is None else size, kind, op,
                    flags, 4096, 0)
        return request(1, head + data, 0)

    buffers = request(0, b'', 4140) * 4 + request(2, b'', 4)
    for way in range(5):
        start = u8(way) + pack('Q', 7) + buffers
        yield start + packet(1) + packet(5, b'data') + packet(4, flags=3) + packet(3)
        yield start + packet(1, kind=2) + packet(5, b'message', 2, flags=1) + packet(7) + u8(4) + \
            packet(6) + packet(2) + u8(5)
        yield start + packet(5, b'short', size=6) + packet(99, kind=9)
        # A sibling, from both of its ends, and one that there is not.
        for kind in (1, 2):
            yield start + packet(1, kind=kind, port=3) + u8(3) + \
                packet(5, b'CONNECT 5000 FROM 4 52\n', kind, 3, 1) + u8(3) * 3 + buffers + \
                packet(2, kind=kind, port=52, cid=4) + u8(3) * 2 + \
                packet(5, b'data', kind, 52, 1, cid=4) + u8(3) * 3 + packet(4, flags=3, port=3)
            yield start + packet(1, kind=kind, port=52, cid=4) + u8(3) * 4 + buffers


@target('input')
def input_device(_):
    event = request(0, b'', 8)
    for way in range(2):
        start = u8(way) + pack('Q', 0)
        yield start + event * 3 + request(1, pack('HHI', 0x11, 1, 1), 0) + u8(4) + event + u8(5)
        for select in (1, 3, 0x10, 0x11, 0x12):
            yield start + u8(6, 0, select, 1 if select > 0x10 else 0) + request(0, b'', 7)


def write_seeds(name, folder):
    os.makedirs(folder, exist_ok=True)
    for i, seed in enumerate([b''] + list(TARGETS[name]() if name in TARGETS else [])):
        with open(os.path.join(folder, 'seed-%u' % i), 'wb') as f:
            f.write(seed)


if __name__ == '__main__':
    for each in sys.argv[2:]:
        write_seeds(each, os.path.join(sys.argv[1], each))
    os.utime(sys.argv[1])  # for ninja
