#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtiod-blk with a front-end that is not ours: libblkio's examples blkio-copy and blkio-bench."""
import json
import subprocess

from harness import MIB, PATIENCE, LoopTest, main, need_cached, pattern, sha256_file

COPY = need_cached("others", "bin/blkio-copy")
BENCH = need_cached("others", "bin/blkio-bench")
DRIVER = "virtio-blk-vhost-user"


class Libblkio(LoopTest):
    def run_it(self, *argv):
        done = subprocess.run(argv, capture_output=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_copy(self):
        source = self.file("source", pattern(8 * MIB))
        image, back = self.file("img", size=8 * MIB), self.file("back", size=0)
        blk = self.blk(image)
        self.run_it(COPY, f"--input-file={source}", f"--output-blkio={DRIVER}", f"path={blk.path}")
        self.assertEqual(sha256_file(image), sha256_file(source))
        self.run_it(COPY, f"--input-blkio={DRIVER}", f"path={blk.path}", f"--output-file={back}")
        self.assertEqual(sha256_file(back), sha256_file(source))
        self.stop(blk)

    def test_bench(self):
        blk = self.blk(self.file("img", size=8 * MIB))
        for kind in "randread", "randwrite":
            out = self.run_it(BENCH, "--runtime=1", "--iodepth=16", f"--readwrite={kind}", DRIVER,
                              f"path={blk.path}")
            self.assertGreater(json.loads(out)["aggregate"]["kiops"], 0)
        self.stop(blk)


if __name__ == "__main__":
    main()
