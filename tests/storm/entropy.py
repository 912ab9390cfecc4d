# SPDX-License-Identifier: Apache-2.0
"""A driver of an entropy device: reads random bytes until its input ends.

As a program: entropy.py SOCKET. Says "ready" when the first ones are there, and ends with an error
if a request did not return what was asked for.
"""
import array
import mmap
import os
import select
import socket
import struct
import sys

SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = 8, 9, 10, 12, 13
VERSION_1 = 1 << 32
DESC_WRITE = 2

SIZE = 8  # of the virtqueue
LENGTH = 4096  # of a request
DESC, AVAIL, USED, DATA = 0, 0x1000, 0x2000, 0x3000  # in the memory, which begins at 0
MEMORY = DATA + SIZE * LENGTH
MARK = bytes(16)  # what no random bytes are


class Driver:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.kick, self.call = os.eventfd(0), os.eventfd(0)
        self.fd = os.memfd_create("entropy")
        os.ftruncate(self.fd, MEMORY)
        self.memory = mmap.mmap(self.fd, MEMORY)
        # Indices are read and written by one access: struct zeroes before it writes.
        words = memoryview(self.memory).cast("H")
        self.avail, self.used = words[AVAIL // 2 + 1:AVAIL // 2 + 2], words[USED // 2 + 1:]
        self.seen = 0
        for i in range(SIZE):
            struct.pack_into("<QIHH", self.memory, DESC + 16 * i, DATA + LENGTH * i, LENGTH,
                             DESC_WRITE, 0)
        self.start()

    def send(self, request, payload=b"", fds=()):
        message = struct.pack("=III", request, 1, len(payload)) + payload
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([message], rights)

    def start(self):
        """Without protocol features, so a vring runs as soon as it has its kick."""
        self.send(SET_OWNER)
        self.send(SET_FEATURES, struct.pack("=Q", VERSION_1))
        self.send(SET_MEM_TABLE, struct.pack("=IIQQQQ", 1, 0, 0, MEMORY, 0, 0), [self.fd])
        self.send(SET_VRING_NUM, struct.pack("=II", 0, SIZE))
        self.send(SET_VRING_BASE, struct.pack("=II", 0, 0))
        self.send(SET_VRING_ADDR, struct.pack("=IIQQQQ", 0, 0, DESC, USED, AVAIL, 0))
        self.send(SET_VRING_CALL, struct.pack("=Q", 0), [self.call])
        self.send(SET_VRING_KICK, struct.pack("=Q", 0), [self.kick])
        for i in range(SIZE):
            self.issue(i)
        os.eventfd_write(self.kick, 1)

    def issue(self, i):
        at = DATA + LENGTH * i
        self.memory[at:at + len(MARK)] = MARK
        struct.pack_into("<H", self.memory, AVAIL + 4 + 2 * (self.avail[0] % SIZE), i)
        self.avail[0] = self.avail[0] + 1 & 0xffff

    def turn(self):
        """Takes what is complete, and asks for as much again."""
        os.eventfd_read(self.call)
        while self.seen != self.used[0]:
            i, length = struct.unpack_from("<II", self.memory, USED + 4 + 8 * (self.seen % SIZE))
            at = DATA + LENGTH * i
            if length != LENGTH or self.memory[at:at + len(MARK)] == MARK:
                sys.exit(f"request {i}: {length} bytes of {LENGTH}")
            self.seen = self.seen + 1 & 0xffff
            self.issue(i)
        os.eventfd_write(self.kick, 1)


def main():
    driver = Driver(sys.argv[1])
    driver.turn()
    print("ready", flush=True)
    while True:
        ready = select.select([0, driver.sock, driver.call], [], [], 60)[0]
        if 0 in ready:
            return
        if driver.call not in ready:
            sys.exit("the back-end has gone" if ready else "the back-end completes nothing")
        driver.turn()


if __name__ == "__main__":
    main()
