# SPDX-License-Identifier: Apache-2.0
"""Connections that have no use: many at once, silent, slow, or with a part of a message.

As a program, in a process of its own: connect.py AT_ONCE SEED. Each line of its input is a path;
connects there for a while, and prints how many connections that were.
"""
import os
import random
import resource
import socket
import struct
import sys
import time

SECONDS = 0.1  # at each path, or one wave
TURNS = 3  # in which the slow ones go on

HEADER = struct.pack("=III", 5, 1, 8 + 2 * 32)  # SET_MEM_TABLE of two regions


def silent(_sock, _turn):
    pass


def half_a_header(sock, turn):
    if turn == 0:
        sock.send(HEADER[:7])


def byte_by_byte(sock, turn):
    sock.send(HEADER[turn:turn + 1])


def no_body(sock, turn):
    if turn == 0:
        sock.send(HEADER)


def slow_body(sock, turn):
    sock.send(HEADER if turn == 0 else b"\1\0\0")


def fds_without_message(sock, turn):
    if turn == 0:
        socket.send_fds(sock, [HEADER[:5]], [0] * 20)


def garbage(sock, turn):
    if turn == 0:
        sock.send(b"\xff" * 100)


KINDS = (silent, half_a_header, byte_by_byte, no_body, slow_body, fds_without_message, garbage)


def connect(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)
    return sock


def wave(path, at_once, rng):
    """So many connections at the same time, each of a kind of its own."""
    open_ones = [(connect(path), rng.choice(KINDS)) for _ in range(at_once)]
    for turn in range(TURNS):
        rng.shuffle(open_ones)
        for sock, kind in open_ones:
            try:
                kind(sock, turn)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the daemon has closed its end
    for sock, _ in open_ones:
        sock.close()


def main():
    at_once, rng = int(sys.argv[1]), random.Random(int(sys.argv[2]))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for line in sys.stdin:
        n, end = 0, time.monotonic() + SECONDS
        while n == 0 or time.monotonic() < end:
            wave(line.rstrip("\n"), at_once, rng)
            n += at_once
        print(n, flush=True)


if __name__ == "__main__":
    main()
