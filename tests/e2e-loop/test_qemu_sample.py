#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl with QEMU's sample back-end, contrib/vhost-user-blk. It serves one connection, and its
used lengths of writes count the data."""
import json

from harness import (FAILED, MIB, Daemon, LoopTest, main, need_cached, pattern, sha256,
                     sha256_file)

SAMPLE = need_cached("qemu-sample", "vhost-user-blk")


class Sample(LoopTest):
    def setUp(self):
        super().setUp()
        self.image = self.file("img", pattern(8 * MIB))

    def sample(self):
        path = self.file(f"s{next(self.numbers)}")
        return Daemon(self, [SAMPLE, f"--socket-path={path}", f"--blk-file={self.image}"],
                      path).wait_ready()

    def test_probe(self):
        properties = self.probe(self.sample().path, "--device-id=block")
        self.assertFalse(properties["probe"])
        self.assertEqual(properties["block"]["capacity"], 8 * MIB // 512)

    def test_read_write_verify(self):
        out, _ = self.ctl("read", self.sample().path)
        self.assertEqual(sha256(out), sha256_file(self.image))
        data = pattern(2 * MIB + 513, seed=2)
        _, err = self.ctl("write", "--offset=1M", self.sample().path, data=data)
        self.assertEqual(err.count("used length"), 1, err)
        expected = bytearray(pattern(8 * MIB))
        expected[MIB:MIB + len(data)] = data
        self.assertEqual(sha256_file(self.image), sha256(expected))
        self.ctl("write", "--strict", self.sample().path, data=data, expect=FAILED)

    def test_bench(self):
        out, _ = self.ctl("bench", "--json", "--rw=mixed", "--verify", "--requests=5000",
                          "--depth=16", self.sample().path)
        result = json.loads(out)
        self.assertEqual((result["requests"], result["errors"]), (5000, 0))


if __name__ == "__main__":
    main()
