#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each case of virtioctl check can fail: a back-end with one fault makes it, and it says why."""
import concurrent.futures
import json
import queue
import re
import subprocess

from bad_backend import Proxy
from check_faults import fault_of
from harness import FAILED, MIB, PATIENCE, VIRTIOCTL, LoopTest, main, pattern

AT_ONCE = 4
# A failing case waits for as long; too short a time-out cannot make a case pass.
TIMEOUT = "0.3"
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
        return None

    def test_every_case_can_fail(self):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            futures = {name: pool.submit(self.check, name, hostile)
                       for name, hostile in self.list_cases()}
        wrong = [f"{name}: {future.result()}" for name, future in futures.items()
                 if future.result()]
        self.assertFalse(wrong, "\n".join(wrong))


if __name__ == "__main__":
    main()
