#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl bench against virtiod-blk: every way to run, what it reports, what it refuses."""
import itertools
import json
import os
import signal
import subprocess
import time

from fake_blk import READ, FakeBlk
from harness import (ABSENT, FAILED, LONG, MIB, SANITIZED, USAGE, VIRTIOCTL, LoopTest, main,
                     pattern, program, sha256, sha256_file, wait_until)

LATENCY = ["min", "mean", "p50", "p90", "p99", "p999", "max"]


class Bench(LoopTest):
    def setUp(self):
        super().setUp()
        self.original = pattern(4 * MIB)
        self.image = self.file("img", self.original)

    def bench(self, path, *options, expect=0):
        out, err = self.ctl("bench", "--json", "--warmup=0", *options, path, expect=expect)
        return json.loads(out) if out else None, err

    def check(self, result):
        """What must hold of any result."""
        self.assertEqual(result["errors"], 0)
        self.assertGreater(result["requests"], 0)
        self.assertGreater(result["seconds"], 0)
        self.assertAlmostEqual(result["iops"] / (result["requests"] / result["seconds"]), 1,
                               delta=0.01)
        self.assertAlmostEqual(result["mb_per_s"] / (result["iops"] * result["block_size"] / 1e6),
                               1, delta=0.01)
        latency = [result["latency_us"][key] for key in LATENCY if key != "mean"]
        self.assertEqual(latency, sorted(latency))
        self.assertGreater(latency[0], 0)
        self.assertGreaterEqual(result["latency_us"]["mean"], latency[0])
        self.assertLessEqual(result["latency_us"]["mean"], latency[-1])

    def test_result(self):
        d = self.blk(self.image)
        result, _ = self.bench(d.path, "--requests=5000", "--depth=4", "--indirect=off",
                               "--event-idx=off", "--packed=off", "--inflight=off")
        self.check(result)
        self.assertEqual(result["requests"], 5000)
        for key, value in {"rw": "randread", "block_size": 4096, "depth": 4, "queues": 1,
                           "packed": False, "indirect": False, "event_idx": False,
                           "inflight": False, "mode": "blocking", "verified": None}.items():
            self.assertEqual(result[key], value, key)
        self.assertEqual(result["backend"]["pid"], d.pid)
        for key in ("cpu_us_per_request", "cpu_percent", "rss_kib"):
            self.assertGreater(result["backend"][key], 0, key)
        self.assertGreater(result["frontend"]["cpu_us_per_request"], 0)
        self.assertGreater(result["calls_per_request"], 0)
        self.assertGreater(result["kicks_per_request"], 0)
        self.stop(d)

    def test_every_way(self):
        n = 1000 if LONG else 250
        d = self.blk(self.image, "--num-queues=4")
        for rw in ("mixed",) if SANITIZED else ("randread", "randwrite", "read", "write", "mixed"):
            for mode in ("blocking", "polling"):
                for more in (["--depth=1"], ["--queues=4", "--depth=32"],
                             ["--queues=3", "--threads=2", "--block-size=64K", "--indirect=off"],
                             ["--queue-size=64", "--depth=64", "--event-idx=off"]):
                    result, _ = self.bench(d.path, f"--rw={rw}", f"--mode={mode}",
                                           f"--requests={n}", *more)
                    self.check(result)
                    self.assertEqual(result["requests"], n)
        self.stop(d)

    def test_time(self):
        d = self.blk(self.image)
        start = time.monotonic()
        result, _ = self.bench(d.path, "--warmup=0.1", "--seconds=0.5")
        took = time.monotonic() - start
        self.check(result)
        self.assertGreaterEqual(took, 0.6)
        # A thread that begins late measures for less.
        self.assertLess(result["seconds"], took)
        text, _ = self.ctl("bench", "--seconds=0.1", "--warmup=0", d.path)
        for word in (b"IOPS", b"99.9%", b"kicks", b"back-end", b"front-end"):
            self.assertIn(word, text)
        self.stop(d)

    def test_nothing_in_time(self):
        """No request was complete when the time was over: that, too, is a result."""
        class Late(FakeBlk):
            def read(self, offset, length):
                time.sleep(0.05)  # of 1 ms
                return super().read(offset, length)

        result, _ = self.bench(Late(self, MIB).path, "--type=block", "--seconds=0.001")
        self.assertEqual((result["requests"], result["errors"], result["iops"]), (0, 0, 0))

    def test_rate(self):
        d = self.blk(self.image, "--num-queues=2")
        for mode in ("blocking", "polling"):
            result, _ = self.bench(d.path, "--rate=500", f"--seconds={1 if LONG else 0.4}",
                                   "--queues=2", f"--mode={mode}")
            self.check(result)
            # Never faster; on a machine that is busy with other things it may be slower.
            self.assertLess(result["iops"], 520)
        self.stop(d)

    def test_reading_changes_nothing(self):
        d = self.blk(self.image)
        for rw in ("read", "randread"):
            self.bench(d.path, f"--rw={rw}", "--requests=2000")
        self.stop(d)
        self.assertEqual(sha256_file(self.image), sha256(self.original))

    def test_region(self):
        """Nothing outside of --offset and --length is written, everything inside is."""
        d = self.blk(self.image, "--num-queues=2")
        self.bench(d.path, "--rw=write", "--offset=1M", "--length=1M", "--requests=256",
                   "--queues=2", "--flush-every=10")
        self.stop(d)
        written = self.contents(self.image)
        for at in range(0, 4 * MIB, 4096):
            same = written[at:at + 4096] == self.original[at:at + 4096]
            self.assertEqual(same, not MIB <= at < 2 * MIB, at)

    def test_refusals(self):
        d = self.blk(self.image)
        for option in ("--rw=trim", "--mode=lazy", "--packed=maybe", "--depth=0", "--queues=0",
                       "--block-size=1000", "--block-size=0", "--queue-size=100", "--threads=2",
                       "--seconds=0", "--read-percent=101", "--rate=-1", "--length=1K",
                       "--offset=x", "--timeout=0", "--requests=-1"):
            self.bench(d.path, option, expect=USAGE)
        self.ctl("bench", expect=USAGE)
        for options in (["--queues=2"], ["--offset=5M"], ["--offset=100"], ["--length=5M"],
                        ["--queue-size=8", "--depth=9"], ["--block-size=8M"],
                        ["--queue-size=32", "--depth=11", "--indirect=off"]):
            self.bench(d.path, *options, expect=FAILED)
        self.stop(d)
        self.bench(d.path, expect=ABSENT)

    def test_read_only(self):
        d = self.blk(self.image, "--read-only")
        for rw in ("write", "randwrite", "mixed"):
            self.assertIn("read-only", self.bench(d.path, f"--rw={rw}", expect=FAILED)[1])
        self.check(self.bench(d.path, "--requests=10")[0])
        self.stop(d)

    def test_no_block_device(self):
        d = self.daemon(program("rtc"))
        self.assertIn("no block device", self.bench(d.path, expect=FAILED)[1])
        self.stop(d)

    def test_verify(self):
        n = 3000 if LONG else 500
        d = self.blk(self.image, "--num-queues=2")
        for rw in ([], ["--rw=randwrite"], ["--rw=write"], ["--rw=mixed", "--read-percent=0"]):
            for more in (["--queues=2"], ["--queues=2", "--threads=2", "--mode=polling"],
                         ["--block-size=512"], ["--length=64K", "--depth=64"]):
                result, _ = self.bench(d.path, "--verify", f"--requests={n}", *rw, *more)
                self.check(result)
                self.assertIs(result["verified"], True)
                self.assertEqual(result["requests"], n)
        self.stop(d)

    def test_verify_every_ring(self):
        """Formats, descriptors, queues and depths, on as many threads as the back-end has."""
        d = self.blk(self.image, "--num-queues=4", "--workers=2")
        offered = self.names(self.probe(d.path), "features")
        for packed in ["off"] + ["on"] * ("RING_PACKED" in offered):
            for indirect, queues, depth in itertools.product(("on", "off"), (1, 2, 4),
                                                             (1, 32, 256)):
                # All of the depth at once, and the ring wraps around.
                n = 1500 if LONG or depth == 256 else 300
                result, _ = self.bench(d.path, "--verify", f"--requests={n}",
                                       f"--packed={packed}", f"--indirect={indirect}",
                                       f"--queues={queues}", f"--depth={depth}",
                                       f"--threads={min(queues, 2)}")
                self.check(result)
                self.assertEqual([result["packed"], result["indirect"], result["verified"]],
                                 [packed == "on", indirect == "on", True])
        self.stop(d)

    def test_verify_later(self):
        """What an earlier run has written is checked by itself."""
        d = self.blk(self.image)
        fill = ("--verify", "--rw=write", "--requests=1024")
        self.bench(d.path, *fill)
        self.assertIs(self.bench(d.path, "--verify", "--rw=read", "--requests=2048",
                                 "--block-size=16K")[0]["verified"], True)
        # The rest of the disk has other data: not ours.
        self.bench(d.path, *fill, "--offset=1M", "--length=1M", "--requests=256")
        self.stop(d)

        position = MIB + 5 * 512 + 77
        data = bytearray(self.contents(self.image))
        data[position] ^= 0x40
        image = self.file("damaged", bytes(data))
        d = self.blk(image)
        for rw in ("read", "randread"):
            result, err = self.bench(d.path, "--verify", f"--rw={rw}", "--requests=100000",
                                     expect=FAILED)
            self.assertIs(result["verified"], False)
            self.assertIn(f"the byte at {position} is 0x{data[position]:02x}, expected "
                          f"0x{data[position] ^ 0x40:02x}", err)
        self.assertEqual(sha256_file(image), sha256(data))  # it has not written
        self.stop(d)

    def test_verify_foreign_data(self):
        d = self.blk(self.image)
        _, err = self.bench(d.path, "--verify", "--rw=read", expect=FAILED)
        self.assertIn("no sector that virtioctl has written", err)
        self.stop(d)

    def lie(self, fake, expected, *options):
        """The front-end must notice; returns the offset of the byte that it names, if any."""
        result, err = self.bench(fake.path, "--verify", "--requests=500", "--type=block", *options,
                                 expect=FAILED)
        self.assertIn(expected, err)
        self.assertIs(result is not None and result["verified"], False)
        return int(err.split("the byte at ")[1].split()[0]) if "the byte at " in err else None

    def test_verify_honest(self):
        result, _ = self.bench(FakeBlk(self, MIB, queues=2).path, "--verify", "--type=block",
                               "--requests=500", "--queues=2", "--flush-every=7")
        self.assertIs(result["verified"], True)

    def test_verify_finds_damage(self):
        class Damage(FakeBlk):
            def read(self, offset, length):
                data = bytearray(super().read(offset, length))
                if offset <= 70000 < offset + length:
                    data[70000 - offset] ^= 1
                return data

        for rw in ("mixed", "randwrite", "write"):
            self.assertEqual(self.lie(Damage(self, 256 << 10), "found is", f"--rw={rw}"), 70000)

    def test_verify_finds_lost_write(self):
        class Lost(FakeBlk):
            done = False

            def write(self, offset, data):
                if not self.done or offset != 8192:
                    super().write(offset, data)
                self.done = self.done or offset == 8192

        at = self.lie(Lost(self, 64 << 10), "generation 1 of the sector at 8192, of this run",
                      "--rw=mixed")
        self.assertTrue(8192 <= at < 8192 + 512)

    def test_verify_finds_other_place(self):
        class Other(FakeBlk):
            def read(self, offset, length):
                return super().read(offset ^ 4096 if offset == 16384 else offset, length)

        self.lie(Other(self, 64 << 10), "of the sector at 20480", "--rw=write")

    def test_failed_requests(self):
        class Failing(FakeBlk):
            def status(self, kind, offset):
                return 1 if kind == READ and offset == 4096 else 0

        fake = Failing(self, 64 << 10)
        result, err = self.bench(fake.path, "--type=block", "--rw=read", "--requests=32",
                                 expect=FAILED)
        self.assertEqual(result["errors"], 2)
        self.assertEqual(result["requests"], 32)
        self.assertIn("read at 4096: I/O error", err)

        class Silent(FakeBlk):
            def status(self, kind, offset):
                return 0xff

        self.lie(Silent(self, 64 << 10), "no such status")

    def test_wrong_id(self):
        class Wrong(FakeBlk):
            def used_id(self, head):
                return head + 64

        self.lie(Wrong(self, 64 << 10), "a request that it did not have", "--depth=1")

    def start(self, *args):
        process = subprocess.Popen([VIRTIOCTL, "bench", "--json", "--warmup=0", *args],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_interrupted(self):
        for mode in ("blocking", "polling"):
            d = self.blk(self.image)
            process = self.start("--seconds=600", f"--mode={mode}", d.path)
            wait_until(lambda: d.served() > 100, "requests")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate()
            self.assertEqual(process.returncode, 128 + signal.SIGINT)
            self.check(json.loads(out))
            self.stop(d)

    def test_backend_dies(self):
        for mode in ("blocking", "polling"):
            d = self.blk(self.image)
            process = self.start("--seconds=600", f"--mode={mode}", d.path)
            wait_until(lambda: d.served() > 100, "requests")
            d.kill()
            _, err = process.communicate()
            self.assertEqual(process.returncode, FAILED)
            self.assertRegex(err, b"has gone|has closed its channel")

    def test_backend_hangs(self):
        d = self.blk(self.image)
        process = self.start("--seconds=600", "--timeout=1", d.path)
        wait_until(lambda: d.served() > 100, "requests")
        os.kill(d.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: process.poll() is not None, "giving up")
        finally:
            os.kill(d.pid, signal.SIGCONT)
        self.assertEqual(process.returncode, FAILED)
        self.assertIn(b"completes nothing", process.communicate()[1])


if __name__ == "__main__":
    main()
