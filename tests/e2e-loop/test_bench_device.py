#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl bench against devices that are no disks: round trips, one after the other."""
import json

from harness import FAILED, USAGE, LoopTest, main, program

# Device: its options, and how it is measured: rpmsg takes nothing that it cannot send back.
COMPLETED, BACK = [], ["--echo"]
DEVICES = {
    "rng": ([], [COMPLETED]),
    "console": (["--backend=echo"], [COMPLETED, BACK]),
    "rproc-serial": (["--backend=echo"], [COMPLETED, BACK]),
    "rpmsg": ([], [BACK]),
    "i2c": (["--sim=eeprom@0x50"], [COMPLETED]),
    "gpio": (["--sim=2"], [COMPLETED]),
    "spi": (["--sim=loopback"], [COMPLETED]),
    "vsock": (None, [COMPLETED, BACK]),
}


class BenchDevice(LoopTest):
    def bench(self, path, *options, expect=0):
        out, err = self.ctl("bench", "--json", "--warmup=0", *options, path, expect=expect)
        return json.loads(out) if out else None, err

    def check(self, path, *options):
        result, _ = self.bench(path, "--requests=300", *options)
        self.assertEqual(result["requests"], 300)
        latency = [result["latency_us"][key] for key in ("min", "p50", "p90", "p99", "max")]
        self.assertEqual(latency, sorted(latency))
        self.assertGreater(latency[0], 0)
        if result["mode"] == "blocking":
            self.assertGreater(result["calls_per_request"], 0)
        self.assertEqual(result["echo"], "--echo" in options)
        return result

    def test_devices(self):
        for name, (how, measured) in DEVICES.items():
            for echo in measured:
                own = ["--uds-path=" + self.file("v")] if how is None else how
                d = self.daemon(program(name), "--packed=on", *own)
                for options in ((), ("--packed=on",), ("--packed=off", "--event-idx=off"),
                                ("--mode=polling",)):
                    with self.subTest(name=name, options=options):
                        self.check(d.path, *echo, *options)
                self.stop(d)
        d = self.rng()
        result = self.check(d.path, "--packed=off", "--indirect=off", "--event-idx=off")
        for key, value in {"packed": False, "indirect": False, "event_idx": False,
                           "mode": "blocking", "queue_size": 128}.items():
            self.assertEqual(result[key], value, key)
        self.assertEqual(result["backend"]["pid"], d.pid)
        text = self.ctl("bench", "--requests=10", d.path)[0].decode()
        self.assertTrue(text.startswith("16 random bytes, queue of 128 ("), text)
        self.assertIn(": 10 round trips in ", text)
        self.stop(d)

    def test_packed(self):
        """By default they are offered where Linux' driver copes with them."""
        for name, options, offered in (("rng", [], True), ("rng", ["--packed=off"], False),
                                       *((name, DEVICES[name][0], False)
                                         for name in ("gpio", "i2c", "spi"))):
            with self.subTest(name=name, options=options):
                d = self.daemon(program(name), *options)
                _, err = self.bench(d.path, "--packed=on", "--requests=10",
                                    expect=0 if offered else FAILED)
                self.assertEqual("--packed=on: the back-end does not offer that" in err,
                                 not offered)
                self.stop(d)

    def test_nothing_back(self):
        d = self.daemon(program("console"), "--backend=null")
        self.check(d.path)
        _, err = self.bench(d.path, "--echo", "--timeout=1", expect=FAILED)
        self.assertIn("nothing comes back (--echo)", err)
        self.stop(d)

    def test_nothing_taken(self):
        d = self.daemon(program("rproc-serial"), "--backend=unix:" + self.file("port"))
        _, err = self.bench(d.path, "--timeout=1", expect=FAILED)
        self.assertIn("the back-end completes nothing", err)
        self.stop(d)

    def test_usage(self):
        d = self.rng()
        for option in "--echo", "--verify", "--survive", "--rate=5":
            self.bench(d.path, option, expect=USAGE)
        self.stop(d)


if __name__ == "__main__":
    main()
