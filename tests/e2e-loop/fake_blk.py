# SPDX-License-Identifier: Apache-2.0
"""A block back-end in a thread of the test, which may lie: what a front-end must notice."""
import mmap
import os
import select
import socket
import struct
import threading

# Requests of vhost-user.
GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = 15, 16, 17, 18
GET_CONFIG = 24

FEATURES = 1 << 32 | 1 << 30 | 1 << 9  # VERSION_1, protocol features, FLUSH
PROTOCOL_FEATURES = 1 << 0 | 1 << 3 | 1 << 9  # MQ, REPLY_ACK, CONFIG
NEED_REPLY = 8

READ, WRITE, FLUSH = 0, 1, 4
DESC_NEXT, DESC_WRITE = 1, 2


def index_at(ring):
    """An index, to be read or written by one access: struct zeroes before it writes."""
    memory, at = ring
    return memoryview(memory)[at + 2:at + 4].cast("H")


class Ring:
    def __init__(self):
        self.size = self.seen = self.used = 0
        self.addresses = None
        self.kick = self.call = -1


class FakeBlk:
    """Serves one connection from memory; tests override the methods that requests go through."""

    def __init__(self, test, size, queues=1):
        self.path = test.file(f"fake{next(test.numbers)}")
        self.data = bytearray(size)
        self.rings = [Ring() for _ in range(queues)]
        self.regions = []
        self.fds = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        test.addCleanup(self.close)

    def close(self):
        self.listener.close()
        self.thread.join(10)

    # What may be a lie.

    def read(self, offset, length):
        return bytes(self.data[offset:offset + length])

    def write(self, offset, data):
        self.data[offset:offset + len(data)] = data

    def status(self, kind, offset):
        return 0

    def used_id(self, head):
        return head

    # The wire.

    def serve(self):
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        with sock:
            while True:
                kicks = [r.kick for r in self.rings if r.kick >= 0]
                ready = select.select([sock, *kicks], [], [], 60)[0]
                for ring in self.rings:
                    if ring.kick in ready:
                        os.read(ring.kick, 8)
                        self.run(ring)
                if not ready or (sock in ready and not self.message(sock)):
                    break
        for memory in [m for _, _, _, m in self.regions]:
            memory.close()
        for fd in self.fds:
            os.close(fd)

    def message(self, sock):
        header, fds, _, _ = socket.recv_fds(sock, 12, 8)
        if len(header) < 12:
            return False
        self.fds += fds
        request, flags, size = struct.unpack("=III", header)
        body = sock.recv(size, socket.MSG_WAITALL) if size else b""
        reply = self.handle(request, body, fds)
        if reply is None and flags & NEED_REPLY:
            reply = struct.pack("=Q", 0)
        if reply is not None:
            sock.sendall(struct.pack("=III", request, 5, len(reply)) + reply)
        return True

    def handle(self, request, body, fds):
        if request == GET_FEATURES:
            return struct.pack("=Q", FEATURES)
        if request == GET_PROTOCOL_FEATURES:
            return struct.pack("=Q", PROTOCOL_FEATURES)
        if request == GET_QUEUE_NUM:
            return struct.pack("=Q", len(self.rings))
        if request == GET_CONFIG:
            offset, size, flags = struct.unpack_from("=III", body)
            space = struct.pack("<Q", len(self.data) // 512).ljust(256, b"\0")
            return struct.pack("=III", offset, size, flags) + space[offset:offset + size]
        if request == SET_MEM_TABLE:
            for i, fd in enumerate(fds):
                gpa, length, user, at = struct.unpack_from("=QQQQ", body, 8 + 32 * i)
                self.regions.append((gpa, user, length, mmap.mmap(fd, at + length)))
        elif SET_VRING_NUM <= request <= SET_VRING_ERR:
            return self.handle_ring(request, body, fds)
        return None

    def handle_ring(self, request, body, fds):
        index, value = struct.unpack_from("=II", body)
        ring = self.rings[index & 0xff]
        if request == SET_VRING_NUM:
            ring.size = value
        elif request == SET_VRING_BASE:
            ring.seen = ring.used = value
        elif request == SET_VRING_ADDR:
            ring.addresses = struct.unpack_from("=QQQ", body, 8)  # descriptors, used, avail
        elif request == SET_VRING_KICK:
            ring.kick = fds[0]
        elif request == SET_VRING_CALL:
            ring.call = fds[0]
        elif request == GET_VRING_BASE:
            ring.kick = -1
            return struct.pack("=II", index, ring.seen)
        return None

    # The ring, split and without indirect descriptors.

    def find(self, address, which):
        for region in self.regions:
            if region[which] <= address < region[which] + region[2]:
                return region[3], address - region[which]
        raise AssertionError(f"no memory at {address:#x}")

    def run(self, ring):
        table, used, avail = [self.find(address, 1) for address in ring.addresses]
        while ring.seen != index_at(avail)[0]:
            head, = struct.unpack_from("<H", avail[0], avail[1] + 4 + 2 * (ring.seen % ring.size))
            ring.seen = (ring.seen + 1) & 0xffff
            written = self.request(self.chain(table, head))
            struct.pack_into("<II", used[0], used[1] + 4 + 8 * (ring.used % ring.size),
                             self.used_id(head), written)
            ring.used = (ring.used + 1) & 0xffff
            index_at(used)[0] = ring.used
            os.write(ring.call, struct.pack("=Q", 1))

    def chain(self, table, at):
        """(memory, offset, length, written by the device) of each descriptor."""
        while True:
            address, length, flags, following = struct.unpack_from("<QIHH", table[0],
                                                                   table[1] + 16 * at)
            yield *self.find(address, 0), length, bool(flags & DESC_WRITE)
            if not flags & DESC_NEXT:
                return
            at = following

    def request(self, chain):
        header, *data, status = chain
        kind, _, sector = struct.unpack_from("<IIQ", *header[:2])
        offset, written = sector * 512, 1
        for memory, at, length, _ in data:
            if kind == READ:
                memory[at:at + length] = self.read(offset, length)
                written += length
            elif kind == WRITE:
                self.write(offset, memory[at:at + length])
            offset += length
        status[0][status[1]] = self.status(kind, sector * 512)
        return written
