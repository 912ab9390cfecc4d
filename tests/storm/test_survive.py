#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl bench --survive: what it goes on with, and what it does not."""
import json
import os
import subprocess

from harness import (BLK, FAILED, MIB, OK, PATIENCE, USAGE, VIRTIOCTL, Daemon, LoopTest, main,
                     wait_until)


class Survive(LoopTest):
    def setUp(self):
        super().setUp()
        self.image = self.file("img", size=MIB)
        self.daemon = self.blk(self.image)
        self.path = self.daemon.path

    def bench(self, *options):
        argv = [VIRTIOCTL, "bench", "--json", "--verify", "--survive", "--rw=mixed",
                "--warmup=0", *options, self.path]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        wait_until(lambda: os.stat(self.image).st_blocks * 512 >= MIB, "all blocks written")
        return process

    def end(self, process, status):
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, status, err)
        return json.loads(out), err

    def replace(self, image, *options):
        """Another one on the same socket."""
        self.daemon.kill()
        argv = [BLK, f"--socket-path={self.path}", f"--blk-file={image}", *options]
        self.daemon = Daemon(self, argv, self.path).wait_ready()

    def test_goes_on(self):
        process = self.bench("--seconds=1")
        self.replace(self.image)
        result, _ = self.end(process, OK)
        self.assertIs(result["verified"], True)
        self.assertEqual((result["errors"], result["reconnects"]), (0, 1))
        self.assertGreater(result["longest_stall_ms"], 0)
        self.assertEqual(result["backend"]["pid"], self.daemon.pid)
        self.stop(self.daemon)

    def test_text(self):
        out, _ = self.ctl("bench", "--verify", "--survive", "--requests=100", self.path)
        self.assertIn(b"0 reconnects, longest stall", out)
        self.assertIn(b"verified: 0 lost, 0 corrupted", out)

    def test_notices_damage(self):
        """What was written to the last back-end and is not there any more."""
        process = self.bench("--seconds=1")
        self.replace(self.file("other", size=MIB))
        result, err = self.end(process, FAILED)
        self.assertIn("no sector that virtioctl has written", err)
        self.assertIs(result["verified"], False)

    def test_comes_back_as_another(self):
        process = self.bench("--seconds=600")
        self.replace(self.file("small", size=MIB // 2))
        self.assertIn("came back as another device", self.end(process, FAILED)[1])

    def test_does_not_come_back(self):
        process = self.bench("--seconds=600", "--timeout=1")
        self.daemon.kill()
        self.assertIn("the back-end has gone: ", self.end(process, FAILED)[1])

    def test_needs_a_record(self):
        self.assertIn("--inflight", self.ctl("bench", "--survive", "--inflight=off", self.path,
                                             expect=USAGE)[1])


if __name__ == "__main__":
    main()
