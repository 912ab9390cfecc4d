#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl with a back-end that is not ours and knows no PROBE: qemu-storage-daemon."""
import json

from harness import (FAILED, MIB, Daemon, LoopTest, main, need_program, pattern, sha256,
                     sha256_file)

QSD = need_program("qemu-storage-daemon", "qemu-utils")


class Foreign(LoopTest):
    def setUp(self):
        super().setUp()
        self.original = pattern(8 * MIB)
        self.image = self.file("img", self.original)

    def export(self, options):
        path = self.file("q")
        argv = [QSD, "--blockdev", f"driver=file,node-name=f,filename={self.image}",
                "--blockdev", "driver=raw,node-name=d,file=f",
                "--export", f"type=vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path={path},"
                + options]
        return Daemon(self, argv, path).wait_ready()

    def test_probe_falls_back(self):
        d = self.export("writable=on,num-queues=2,logical-block-size=512")
        properties = self.probe(d.path)
        self.assertFalse(properties["probe"])
        self.assertFalse(properties["standalone"])
        self.assertEqual(properties["device_id"], {"value": None, "source": None})
        self.assertEqual(properties["max_queues"], {"value": 2, "source": "message"})
        self.assertEqual(properties["config_size"]["source"], "assumed")
        properties = self.probe(d.path, "--type=block")
        self.assertEqual(properties["device_id"], {"value": 2, "source": "user"})
        self.assertEqual(properties["block"]["capacity"], 8 * MIB // 512)
        self.assertEqual(properties["block"]["num_queues"], 2)
        self.assertIn("FLUSH", self.names(properties, "features"))
        text = self.ctl("probe", d.path)[0].decode()
        self.assertIn("unknown", text)
        self.assertIn("[assumed]", text)
        d.stop()

    def test_round_trip(self):
        d = self.export("writable=on")
        self.assertEqual(sha256(self.ctl("read", d.path)[0]), sha256(self.original))
        expected = bytearray(self.original)
        for n, size in enumerate((1, 513, 131073, 2 * MIB)):
            data = pattern(size, seed=n)
            self.ctl("write", f"--offset={n}M", d.path, data=data)
            expected[n * MIB:n * MIB + size] = data
        self.ctl("read", "--queue-size=256", "--depth=100", "--request-size=64K", d.path,
                 self.file("out"))
        self.assertEqual(sha256_file(self.file("out")), sha256(expected))
        d.stop()
        self.assertEqual(sha256_file(self.image), sha256(expected))

    def test_packed(self):
        d = self.export("writable=off")
        err = self.ctl("read", "--packed=on", d.path, expect=FAILED)[1]
        self.assertIn("--packed=on: the back-end does not offer that", err)
        self.assertEqual(sha256(self.ctl("read", d.path)[0]), sha256(self.original))
        d.stop()

    def test_read_only(self):
        d = self.export("writable=off")
        self.assertIn("read-only", self.ctl("write", d.path, data=b"x", expect=FAILED)[1])
        self.assertEqual(sha256(self.ctl("read", d.path)[0]), sha256(self.original))
        d.stop()

    def test_large_blocks(self):
        d = self.export("writable=on,logical-block-size=4096")
        self.ctl("read", "--offset=512", d.path, "/dev/null", expect=FAILED)
        data = pattern(5000)
        self.ctl("write", "--offset=4K", d.path, data=data)
        d.stop()
        self.assertEqual(self.contents(self.image)[4096:9096], data)
        self.assertEqual(self.contents(self.image)[9096:], self.original[9096:])

    def test_bench(self):
        d = self.export("writable=on,num-queues=2")
        for options in (["--mode=polling", "--event-idx=off"], ["--indirect=off", "--queues=2"],
                        ["--rw=mixed", "--verify", "--queues=2", "--threads=2", "--depth=64"]):
            out, _ = self.ctl("bench", "--json", "--requests=2000", *options, d.path)
            result = json.loads(out)
            self.assertEqual((result["requests"], result["errors"]), (2000, 0))
            self.assertEqual(result["backend"]["pid"], d.pid)
            self.assertGreater(result["backend"]["cpu_us_per_request"], 0)
            self.assertGreater(result["backend"]["pss_kib"], 0)
            self.assertIs(result["packed"], False)
        self.assertIn("not offer", self.ctl("bench", "--packed=on", d.path, expect=FAILED)[1])
        d.stop()


if __name__ == "__main__":
    main()
