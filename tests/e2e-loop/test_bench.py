#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl bench against virtiod-blk: every way to run, what it reports, what it refuses."""
import json
import os
import shutil
import signal
import subprocess
import time

from harness import (ABSENT, FAILED, MIB, USAGE, VIRTIOCTL, Daemon, LoopTest, main, pattern,
                     sha256, sha256_file, wait_until)

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
        d = self.blk(self.image, "--num-queues=4")
        for rw in ("randread", "randwrite", "read", "write", "mixed"):
            for mode in ("blocking", "polling"):
                for more in (["--depth=1"], ["--queues=4", "--depth=32"],
                             ["--queues=3", "--threads=2", "--block-size=64K", "--indirect=off"],
                             ["--queue-size=64", "--depth=64", "--event-idx=off"]):
                    result, _ = self.bench(d.path, f"--rw={rw}", f"--mode={mode}",
                                           "--requests=1000", *more)
                    self.check(result)
                    self.assertEqual(result["requests"], 1000)
        self.stop(d)

    def test_time(self):
        d = self.blk(self.image)
        result, _ = self.bench(d.path, "--warmup=0.1", "--seconds=0.5")
        self.check(result)
        self.assertGreaterEqual(result["seconds"], 0.5)
        text, _ = self.ctl("bench", "--seconds=0.1", "--warmup=0", d.path)
        for word in (b"IOPS", b"99.9%", b"kicks", b"back-end", b"front-end"):
            self.assertIn(word, text)
        self.stop(d)

    def test_rate(self):
        d = self.blk(self.image, "--num-queues=2")
        for mode in ("blocking", "polling"):
            result, _ = self.bench(d.path, "--rate=500", "--seconds=1", "--queues=2",
                                   f"--mode={mode}")
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
        d = self.rng()
        self.assertIn("no block device", self.bench(d.path, expect=FAILED)[1])
        self.stop(d)

    def start(self, *args):
        process = subprocess.Popen([VIRTIOCTL, "bench", "--json", "--warmup=0", *args],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def cpu(self, pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))

    def test_interrupted(self):
        for mode in ("blocking", "polling"):
            d = self.blk(self.image)
            process = self.start("--seconds=600", f"--mode={mode}", d.path)
            wait_until(lambda: self.cpu(process.pid) > 20, "requests")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate()
            self.assertEqual(process.returncode, 128 + signal.SIGINT)
            self.check(json.loads(out))
            self.stop(d)

    def test_backend_dies(self):
        for mode in ("blocking", "polling"):
            d = self.blk(self.image)
            process = self.start("--seconds=600", f"--mode={mode}", d.path)
            wait_until(lambda: self.cpu(process.pid) > 20, "requests")
            d.kill()
            _, err = process.communicate()
            self.assertEqual(process.returncode, FAILED)
            self.assertRegex(err, b"has gone|has closed its channel")

    def test_backend_hangs(self):
        d = self.blk(self.image)
        process = self.start("--seconds=600", "--timeout=1", d.path)
        wait_until(lambda: self.cpu(process.pid) > 20, "requests")
        os.kill(d.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: process.poll() is not None, "giving up")
        finally:
            os.kill(d.pid, signal.SIGCONT)
        self.assertEqual(process.returncode, FAILED)
        self.assertIn(b"completes nothing", process.communicate()[1])


if __name__ == "__main__":
    main()
