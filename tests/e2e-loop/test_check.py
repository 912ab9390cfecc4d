#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl check against our own daemons: everything passes, and what is skipped has a reason."""
import json
import re
import xml.etree.ElementTree as xml

from harness import (ABSENT, DEVICES, FAILED, MIB, PATIENCE, RNG, USAGE, LoopTest, main, pattern,
                     program)

# What a daemon need not offer. Whatever else a case is skipped for is a fault of ours.
NOT_OFFERED = re.compile(r"[A-Z_0-9]+ is not offered|the device is no \w+|"
                         r"there is no configuration space|there are fewer than \d+ virtqueues")
# The time-outs of what must not fail; no case that passes waits for one.
UNHURRIED = f"--timeout={PATIENCE}"


class Check(LoopTest):
    def run_all(self, daemon):
        """Every case; returns the results by name."""
        out, err = self.ctl("check", "--json", "--hostile", "--write", UNHURRIED, daemon.path)
        results = json.loads(out)
        self.assertEqual((results["failed"], results["ended_by"]), (0, None), err)
        for case in results["cases"]:
            if case["result"] == "skip":
                self.assertRegex(case["reason"], NOT_OFFERED, case["name"])
        return {case["name"]: case["result"] for case in results["cases"]}

    def test_blk(self):
        for queues in 1, 4:
            with self.subTest(queues=queues):
                image = self.file("img", pattern(8 * MIB))
                daemon = self.blk(image, f"--num-queues={queues}")
                results = self.run_all(daemon)
                self.assertGreaterEqual(list(results.values()).count("pass"), 150)
                self.stop(daemon)

    def test_devices(self):
        for name, ways in DEVICES.items():
            for options in ways:
                with self.subTest(name=name, options=options):
                    daemon = self.daemon(program(name), *options)
                    self.run_all(daemon)
                    self.stop(daemon)

    def test_contents_stay_without_write(self):
        image = self.file("img", pattern(MIB))
        self.ctl("check", "--hostile", UNHURRIED, self.blk(image).path)
        self.assertEqual(self.contents(image), pattern(MIB))

    def test_formats(self):
        daemon = self.rng()
        cases = ("--case=framing-reply-*", "--case=block-flush")
        tap = self.ctl("check", *cases, daemon.path)[0].decode()
        self.assertTrue(tap.startswith("TAP version 13\n1..4\nok 1 - framing-reply-flag\n"), tap)
        self.assertIn("\nok 4 - block-flush # SKIP the device is no block\n", tap)
        suite = xml.fromstring(self.ctl("check", "--junit", *cases, daemon.path)[0])
        self.assertEqual([suite.get(k) for k in ("tests", "failures", "skipped")], ["4", "0", "1"])

    def test_list(self):
        lines = self.ctl("check", "--list")[0].decode().splitlines()
        names = [line.split()[0] for line in lines]
        self.assertGreaterEqual(len(names), 150)
        self.assertEqual(len(names), len(set(names)))
        self.assertTrue(all("vhost-user" in line or "virtio 1.2" in line for line in lines))

    def test_usage(self):
        self.ctl("check", expect=USAGE)
        self.ctl("check", "--case=no-such-case", "/none", expect=USAGE)
        self.ctl("check", "--json", "--junit", "/none", expect=USAGE)
        self.ctl("check", "--timeout=0.1", self.file("none"), expect=ABSENT)

    def test_start(self):
        """A back-end that is started for the check, and one that ends in the middle of it."""
        path = self.file("s")
        start = f"--start={RNG} --socket-path={path}"
        self.ctl("check", UNHURRIED, start, "--case=framing-*", path)
        out, _ = self.ctl("check", "--timeout=0.1", "--start=false", "--case=framing-*", path,
                          expect=FAILED)
        self.assertEqual(out, b"")


if __name__ == "__main__":
    main()
