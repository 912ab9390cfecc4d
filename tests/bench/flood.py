# SPDX-License-Identifier: Apache-2.0
"""A guest that floods a port of virtiod-switch, and one that sends a little (run --net).

Both send to all; a third port takes what it can, which is less. What the little one sends is to
arrive, and no daemon's memory is to grow.
"""
import json
import os
import re
import socket
import struct
import subprocess
import threading
import time
from contextlib import ExitStack

from backend import FAILURES, PATIENCE, Failed, Running, describe
from report import Line, Section

SECONDS = 5
FLOOD, LITTLE = 64, 128  # bytes of a frame, by which the third port tells them apart
RATE, BURST = 5000, 8


def anonymous_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1])


def sent_by(control):
    """The frames that a virtiod-net has sent."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(control)
        s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"counters"}\n')
        return json.loads(s.makefile().readline())["result"]["pairs"][0]["tx_frames"]


class Port(threading.Thread):
    """The third port: counts frames, by their length."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.frames = {FLOOD: 0, LITTLE: 0}

    def run(self):
        data, frames = b"", self.frames
        while part := self.socket.recv(1 << 16):
            data, at = data + part, 0
            while at + 4 <= len(data):
                length, = struct.unpack_from(">I", data, at)
                if at + 4 + length > len(data):
                    break
                frames[length] += 1
                at += 4 + length
            data = data[at:]

    def wait_for(self, frames):
        """Until the little one's have come, or nothing does any more."""
        before = None
        while self.frames[LITTLE] < frames and before != self.frames:
            before = dict(self.frames)
            time.sleep(1)


def measure(net, folder):
    """(flooding frames in a second, % of them that arrive, % of the little one's, KiB that daemons
    grow by)"""
    def path(name):
        return os.path.join(folder, name)

    def load(name, *argv):
        return subprocess.Popen([net.net_load, path(name), "tx", *map(str, argv)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def end(process):
        out, _ = process.communicate(timeout=PATIENCE)
        if process.returncode != 0:
            raise Failed("net_load failed")
        return float(out.split()[0]) / float(out.split()[1])

    with ExitStack() as stack:
        daemons = [stack.enter_context(Running(
            [net.switch, f"--listen=unix:{path('ports')}", "--log-level=warning"],
            path("ports")))]
        daemons += [stack.enter_context(Running(
            [net.daemon, f"--socket-path={path(name)}", f"--switch=unix:{path('ports')}",
             f"--control={path(name + '.control')}", "--log-level=warning"], path(name)))
            for name in ("flood", "little")]
        port = Port(path("ports"))
        stack.callback(port.socket.close)
        port.start()
        # What they have room for is used before.
        warm_up = load("flood", FLOOD, 0, BURST, 1)
        end(load("little", LITTLE, RATE, BURST, 0.5))
        end(warm_up)
        before = [anonymous_kib(d.pid) for d in daemons]
        flood = load("flood", FLOOD, 0, BURST, SECONDS)
        end(load("little", LITTLE, RATE, BURST, SECONDS - 1))
        rate = end(flood)
        grown = sum(anonymous_kib(d.pid) - b for d, b in zip(daemons, before))
        sent = {FLOOD: sent_by(path("flood.control")), LITTLE: sent_by(path("little.control"))}
        port.wait_for(sent[LITTLE])
        port.socket.shutdown(socket.SHUT_RDWR)
    if not sent[LITTLE]:
        raise Failed("nothing was sent beside the flood")
    return rate, *(100 * port.frames[i] / sent[i] for i in (FLOOD, LITTLE)), grown


def flood(net, n, errors):
    section = Section(f"a guest floods a switch, {SECONDS} s", "virtiod-net, -switch", "")
    samples = []
    try:
        for _ in range(min(n, 3)):
            samples.append(measure(net, os.path.dirname(net.socket)))
    except FAILURES as e:
        errors.append(f"flood: {describe(e)}")
        return section
    rate, flooding, arrived, grown = zip(*samples)
    section.lines += [
        Line(f"{FLOOD}-byte frames of the flood", "k/s", [r / 1e3 for r in rate]),
        Line("of which a slow port gets", "%", flooding),
        Line(f"another's {RATE} a second that arrive", "%", arrived, (), (">=", 99), True),
        Line("memory that daemons grow by", "KiB", grown, (), ("<=", 256), True)]
    return section
