#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each case of virtioctl check can fail: a back-end with one fault makes it, and it says why."""
import concurrent.futures
import json
import os
import queue
import re
import shlex
import subprocess
import xml.etree.ElementTree as xml

from bad_backend import Proxy
from check_faults import fault_of
from harness import FAILED, MIB, PATIENCE, VIRTIOCTL, LoopTest, main, pattern

AT_ONCE = 4
# A failing case waits for as long; too short a time-out cannot make a case pass.
TIMEOUT = "0.3"
# Of a message in a record.
BYTES = re.compile(r"^ *[<>] .*\n +0000  [0-9a-f]{2} ", re.M)
ATTEMPTS = 20  # some faults come by another thread, and may be too late


class Faults(LoopTest):
    def list_cases(self):
        for line in self.ctl("check", "--list")[0].decode().splitlines():
            yield line.split()[0], line.endswith("[--hostile]")

    def setUp(self):
        super().setUp()
        self.daemons = queue.Queue()
        for _ in range(AT_ONCE):
            image = self.file(f"img{next(self.numbers)}", pattern(MIB))
            self.daemons.put({
                "blk": self.blk(image, "--num-queues=2"),
                "rng": self.rng(),
                "ro": self.blk(self.file(f"img{next(self.numbers)}", pattern(MIB)),
                               "--read-only"),
            })

    def run_case(self, name, fault):
        """virtioctl check of this case alone, against a back-end with the fault."""
        daemons = self.daemons.get()
        kind = "rng" if name.startswith("rng-") else "ro" if name == "block-read-only" else "blk"
        proxy = Proxy(self.file(f"p{next(self.numbers)}"), daemons[kind].path, fault)
        try:
            return subprocess.run(
                [VIRTIOCTL, "check", "--json", "--hostile", "--write", f"--timeout={TIMEOUT}",
                 f"--case={name}", f"--device-id={'rng' if kind == 'rng' else 'block'}",
                 proxy.path], capture_output=True, timeout=PATIENCE, check=False)
        finally:
            proxy.close()
            self.daemons.put(daemons)

    def check(self, name, hostile):
        """Runs the case against its fault; returns what is wrong with the outcome, or None."""
        for _ in range(ATTEMPTS):
            found = fault_of(name, hostile)
            if not found:
                return "has no fault"
            wrong = self.outcome(name, *found)
            if not wrong:
                break
        return wrong

    def outcome(self, name, fault, says):
        done = self.run_case(name, fault)
        if done.returncode != FAILED or not done.stdout:
            return f"status {done.returncode}: {done.stdout.decode()} {done.stderr.decode()}"
        (case,) = json.loads(done.stdout)["cases"]
        if case["result"] != "fail" or not re.search(says, case["message"]):
            return f"{case['result']}: {case.get('message', case.get('reason'))} (not: {says})"
        if not case["section"] or not BYTES.search(case["record"]):
            return f"no section, or no bytes in the record: {case['section']}, {case['record']}"
        if f"--case={name}" not in shlex.split(case["repeat"]):
            return f"is not repeated by {case['repeat']}"
        return None

    def test_report(self):
        """Each format tells of a failure; its command repeats that case alone."""
        fault, says = fault_of("framing-reply-size", False)
        daemons = self.daemons.get()
        proxy = Proxy(self.file("proxy"), daemons["blk"].path, fault)
        self.addCleanup(proxy.close)
        path = os.path.dirname(VIRTIOCTL) + ":" + os.environ["PATH"]

        def check(command):
            done = subprocess.run(command, shell=True, env=dict(os.environ, PATH=path),
                                  capture_output=True, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, FAILED, done.stderr)
            return done.stdout.decode()

        command = f"virtioctl check --timeout={TIMEOUT} --case='framing-reply-*' {proxy.path}"
        cases = json.loads(check(command + " --json"))["cases"]
        self.assertEqual(len(cases), 3)
        (case,) = [case for case in cases if case["name"] == "framing-reply-size"]
        tap = check(case["repeat"])
        self.assertIn("1..1\nnot ok 1 - framing-reply-size\n", tap)
        self.assertRegex(tap, says)
        failure = xml.fromstring(check(command + " --junit")).find(
            "testcase[@name='framing-reply-size']/failure")
        self.assertIn(case["section"], tap)
        self.assertEqual((failure.get("type"), failure.get("message")),
                         (case["section"], case["message"]))
        for text in tap, failure.text:
            self.assertIn(case["repeat"], text)
            self.assertRegex(text, BYTES)

    def test_every_case_can_fail(self):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            futures = {name: pool.submit(self.check, name, hostile)
                       for name, hostile in self.list_cases()}
        wrong = [f"{name}: {future.result()}" for name, future in futures.items()
                 if future.result()]
        self.assertFalse(wrong, "\n".join(wrong))


if __name__ == "__main__":
    main()
