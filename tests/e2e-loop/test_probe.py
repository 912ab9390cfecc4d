#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl probe: what it says of each daemon, and how it fails."""
import json
import os
import socket
import subprocess

from harness import (ABSENT, BUSY, FAILED, MIB, PATIENCE, USAGE, VIRTIOCTL, Client, LoopTest, main)


class Probe(LoopTest):
    def test_block_by_probe(self):
        image = self.file("img", size=64 * MIB)
        d = self.blk(image, "--num-queues=2", "--serial=abc")
        properties = self.probe(d.path)
        self.assertEqual(properties["socket"], d.path)
        self.assertEqual(properties["device"], "block")
        self.assertEqual(properties["device_id"], {"value": 2, "source": "probe"})
        self.assertEqual(properties["config_size"], {"value": 60, "source": "probe"})
        self.assertEqual(properties["min_queues"], {"value": 1, "source": "probe"})
        self.assertEqual(properties["max_queues"], {"value": 2, "source": "message"})
        self.assertTrue(properties["probe"])
        self.assertTrue(properties["standalone"])
        self.assertEqual(properties["max_mem_slots"], 509)
        self.assertLessEqual(
            {"SIZE_MAX", "SEG_MAX", "BLK_SIZE", "FLUSH", "TOPOLOGY", "CONFIG_WCE", "MQ", "DISCARD",
             "WRITE_ZEROES", "INDIRECT_DESC", "EVENT_IDX", "VERSION_1", "RING_PACKED",
             "RING_RESET", "PROTOCOL_FEATURES"}, self.names(properties, "features"))
        self.assertNotIn("RO", self.names(properties, "features"))
        self.assertLessEqual(
            {"MQ", "REPLY_ACK", "BACKEND_REQ", "CONFIG", "RESET_DEVICE", "CONFIGURE_MEM_SLOTS",
             "STATUS", "PROBE"}, self.names(properties, "protocol_features"))
        for never in ("PAGEFAULT", "HOST_NOTIFIER", "INBAND_NOTIFICATIONS"):
            self.assertNotIn(never, self.names(properties, "protocol_features"))
        self.assertEqual(properties["block"]["capacity"], 64 * MIB // 512)
        self.assertEqual(properties["block"]["blk_size"], 512)
        self.assertEqual(properties["block"]["num_queues"], 2)
        self.assertEqual(properties["block"]["wce"], 1)
        self.assertEqual(len(properties["config"]), 2 * 60)
        self.stop(d)

    def test_block_options_are_seen(self):
        d = self.blk(self.file("img", size=MIB), "--read-only", "--block-size=4096")
        properties = self.probe(d.path)
        self.assertIn("RO", self.names(properties, "features"))
        self.assertNotIn("DISCARD", self.names(properties, "features"))
        self.assertEqual(properties["block"]["blk_size"], 4096)
        self.assertEqual(properties["max_queues"]["value"], 1)
        self.stop(d)

    def test_rng_by_probe(self):
        d = self.rng()
        properties = self.probe(d.path)
        self.assertEqual(properties["device"], "rng")
        self.assertEqual(properties["device_id"], {"value": 4, "source": "probe"})
        self.assertEqual(properties["config_size"], {"value": 0, "source": "probe"})
        self.assertEqual(properties["max_queues"], {"value": 1, "source": "message"})
        self.assertTrue(properties["standalone"])
        self.assertNotIn("CONFIG", self.names(properties, "protocol_features"))
        self.assertEqual(properties["config"], "")
        self.stop(d)

    def test_text(self):
        d = self.blk(self.file("img", size=64 * MIB))
        text = self.ctl("probe", d.path)[0].decode()
        lines = {line[:20].strip(): line[20:].strip() for line in text.splitlines()}
        self.assertRegex(lines["device"], r"^block \(2\) +\[PROBE\]$")
        self.assertRegex(lines["virtqueues"], r"^1 +\[GET_QUEUE_NUM\]$")
        self.assertRegex(lines["driver needs"], r"^1 +\[PROBE\]$")
        self.assertRegex(lines["configuration"], r"^60 bytes +\[PROBE\]$")
        self.assertEqual(lines["standalone"], "yes (PROBE, STATUS, CONFIG)")
        self.assertEqual(lines["capacity"], "64 MiB (131072 sectors)")
        self.assertIn("PROBE(18)", text)
        self.assertIn("EVENT_IDX(29)", text)
        self.assertTrue(all(len(line) <= 100 for line in text.splitlines()))
        self.stop(d)

    def check_fallback(self, path, *options):
        properties = self.probe(path, *options)
        self.assertFalse(properties["probe"])
        self.assertFalse(properties["standalone"])
        self.assertEqual(properties["device_id"], {"value": None, "source": None})
        self.assertIsNone(properties["device"])
        self.assertEqual(properties["max_queues"], {"value": 3, "source": "message"})
        self.assertEqual(properties["config_size"]["source"], "assumed")
        self.assertGreaterEqual(properties["config_size"]["value"], 60)
        self.assertNotIn("PROBE", self.names(properties, "protocol_features"))

    def test_fallback_when_not_asked(self):
        d = self.blk(self.file("img", size=MIB), "--num-queues=3")
        self.check_fallback(d.path, "--probe=off")
        for option in ("--device-id=block", "--device-id=2", "--type=block"):
            properties = self.probe(d.path, "--probe=off", option, "--config-size=60")
            self.assertEqual(properties["device_id"], {"value": 2, "source": "user"})
            self.assertEqual(properties["config_size"], {"value": 60, "source": "user"})
            self.assertEqual(properties["block"]["capacity"], MIB // 512)
        self.stop(d)

    def test_values_for_not_given(self):
        d = self.blk(self.file("img", size=MIB), "--block-size=0", "--num-queues=0")
        plain = self.probe(d.path)
        self.assertEqual(plain["block"]["blk_size"], 512)
        self.assertEqual(plain, self.probe(d.path, "--queues=0", "--config-size=-1"))
        out, _ = self.ctl("bench", "--json", "--warmup=-1", "--seed=-5", "--requests=10", d.path)
        self.assertEqual(json.loads(out)["requests"], 10)
        self.stop(d)

    def test_fallback_when_not_offered(self):
        d = self.blk(self.file("img", size=MIB), "--num-queues=3", "--probe=off")
        self.check_fallback(d.path)
        self.stop(d)

    def test_wrong_type_is_refused(self):
        d = self.rng()
        err = self.ctl("probe", "--type=block", d.path, expect=FAILED)[1]
        self.assertIn("4", err)
        self.stop(d)

    def test_nobody_there(self):
        missing = self.file("none")
        self.assertIn(missing, self.ctl("probe", missing, expect=ABSENT)[1])
        stale = self.file("stale")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(stale)
        self.assertIn(stale, self.ctl("probe", stale, expect=ABSENT)[1])
        self.ctl("read", missing, "/dev/null", expect=ABSENT)

    def test_busy(self):
        d = self.rng()
        with Client(d.path) as client:
            client.features()
            self.assertIn("busy", self.ctl("probe", d.path, expect=BUSY)[1])
            client.features()
        self.ctl("probe", d.path)
        self.stop(d)

    def test_usage(self):
        for args in (["probe"], ["probe", "a", "b"], ["probe", "--probe=often", "a"],
                     ["probe", "--type=0", "a"], ["probe", "--type=disk", "a"],
                     ["probe", "--queues=257", "a"], ["probe", "--config-size=4096", "a"],
                     ["probe", "--nonsense", "a"], ["nonsense"], [], ["read"],
                     ["read", "--queue-size=3", "a", "/dev/null"],
                     ["read", "--queue-size=65536", "a", "/dev/null"],
                     ["read", "--depth=0", "a", "/dev/null"],
                     ["read", "--length=1.5M", "a", "/dev/null"],
                     ["read", "--request-size=511", "a", "/dev/null"],
                     ["write", "--offset=-1", "a", "/dev/null"]):
            self.ctl(*args, expect=USAGE)

    def test_help_and_version(self):
        out = self.ctl("--help")[0].decode()
        for name in ("probe", "read", "write"):
            self.assertIn(name, out)
            self.assertIn("SOCKET", self.ctl("help", name)[0].decode())
            self.assertIn("SOCKET", self.ctl(name, "--help")[0].decode())
        self.assertEqual(self.ctl("help")[0].decode(), out)
        self.assertRegex(self.ctl("--version")[0].decode(), r"^virtioctl \d+\.\d+")

    def test_odd_peers(self):
        """A peer that is no back-end, or goes away: a message, never a hang or a crash."""
        path = self.file("odd")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            for reply in (b"", b"\0" * 12, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9,
                          b"\x01\0\0\0\x05\0\0\0\xff\xff\xff\xff"):
                ctl = subprocess.Popen([VIRTIOCTL, "probe", path], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE)
                peer, _ = s.accept()
                peer.recv(12)
                peer.sendall(reply)
                peer.close()
                _, err = ctl.communicate(timeout=PATIENCE)
                self.assertIn(ctl.returncode, (FAILED, BUSY), reply)
                self.assertIn(os.path.basename(path), err.decode())


if __name__ == "__main__":
    main()
