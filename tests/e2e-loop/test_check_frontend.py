#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl check --frontend: our own front-end keeps to all rules, and each rule can be broken."""
import json
import os
import socket
import struct
import subprocess

from bad_backend import HEADER, NEED_REPLY, NUMBER, VERSION
from harness import FAILED, OK, PATIENCE, USAGE, VIRTIOCTL, LoopTest, listens, main, wait_until

FEATURES = 1 << 32 | 1 << 30


def message(name, payload=b"", flags=VERSION, fds=0):
    return HEADER.pack(NUMBER.get(name, name), flags, len(payload)) + payload, fds


def u64(value):
    return struct.pack("=Q", value)


def state(index, num):
    return struct.pack("=II", index, num)


def table(*regions):
    return struct.pack("=II", len(regions), 0) + b"".join(struct.pack("=4Q", *r) for r in regions)


def addr(desc):
    return struct.pack("=IIQQQQ", 0, 0, desc, desc + 0x2000, desc + 0x1000, 0)


ASK = [message("GET_FEATURES")]
FEATURED = ASK + [message("SET_FEATURES", u64(FEATURES))]
ASKED_PROTOCOL = [message("GET_PROTOCOL_FEATURES")]
MEMORY = [message("SET_MEM_TABLE", table((0, 0x100000, 0x100000, 0)), fds=1)]
RING = [message("SET_VRING_NUM", state(0, 64)), message("SET_VRING_BASE", state(0, 0)),
        message("SET_VRING_ADDR", addr(0x100000))]
KICK = [message("SET_VRING_KICK", u64(0), fds=1)]

# By rule: what breaks it.
BREAKS = {
    "framing": [message("GET_FEATURES"), message("GET_FEATURES", flags=2)],
    "flags": [message("GET_FEATURES", flags=VERSION | 4)],
    "known": [message(200)],
    "shape": [message("SET_FEATURES", bytes(7))],
    "negotiated": [message("GET_QUEUE_NUM")],
    "need-reply": [message("SET_OWNER", flags=VERSION | NEED_REPLY)],
    "features": ASK + [message("SET_FEATURES", u64(FEATURES | 1 << 60))],
    "version-1": ASK + [message("SET_FEATURES", u64(1 << 30))],
    "protocol-features": ASKED_PROTOCOL + [message("SET_PROTOCOL_FEATURES", u64(1 << 60))],
    "owner": [message("SET_OWNER"), message("SET_OWNER")],
    "index": [message("SET_VRING_NUM", state(99, 64))],
    "num": [message("SET_VRING_NUM", state(0, 65))],
    "running": FEATURED + MEMORY + RING + KICK + RING,
    "alignment": [message("SET_VRING_ADDR", addr(0x100008))],
    "complete": FEATURED + MEMORY + RING[:2] + [message("SET_VRING_ADDR", addr(0x1ff000))] + KICK,
    "enable": ASK + [message("SET_FEATURES", u64(1 << 32)),
                     message("SET_VRING_ENABLE", state(0, 1))],
    "regions": [message("SET_MEM_TABLE", table((0, 0x2000, 0, 0), (0x1000, 0x2000, 0x9000, 0)),
                        fds=2)],
    "config": [message("GET_CONFIG", struct.pack("=III", 0, 0, 0))],
    "inflight": [message("SET_INFLIGHT_FD", struct.pack("=QQHHI", 4096, 0, 0, 0, 0), fds=1)],
}


class Frontend(LoopTest):
    def start(self, *options):
        path = self.file(f"f{next(self.numbers)}")
        process = subprocess.Popen([VIRTIOCTL, "check", "--json", f"--frontend={path}", *options],
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.kill)
        wait_until(lambda: listens(path), "listening")
        return process, path

    def results(self, process, status):
        out = process.communicate(timeout=PATIENCE)[0]
        self.assertEqual(process.returncode, status, out)
        return {case["name"]: case for case in json.loads(out)["cases"]}

    def test_ours(self):
        process, path = self.start()
        self.ctl("probe", path)
        results = self.results(process, OK)
        self.assertGreaterEqual([c["result"] for c in results.values()].count("pass"), 6)
        self.assertEqual({name.removeprefix("frontend-") for name in results}, BREAKS.keys())

    def test_each_rule_can_be_broken(self):
        for rule, messages in BREAKS.items():
            with self.subTest(rule=rule):
                process, path = self.start("--device-id=block")
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(path)
                    for data, fds in messages:
                        with open(os.memfd_create("m"), "wb") as fd:
                            socket.send_fds(sock, [data], [fd.fileno()] * fds)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(4096):
                        pass
                case = self.results(process, FAILED)[f"frontend-{rule}"]
                self.assertEqual(case["result"], "fail", case)
                self.assertIn("> ", case["record"])

    def test_usage(self):
        self.ctl("check", "--frontend=/none", "/none", expect=USAGE)
        self.ctl("check", "--frontend=/none", "--hostile", expect=USAGE)


if __name__ == "__main__":
    main()
