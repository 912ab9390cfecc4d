#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""In systemd's journal a line has its priority and, as the journal names it, no program's name."""
import os
import subprocess

from harness import BLK, PATIENCE, RNG, LoopTest, main

KVM, XEN = os.environ.get("VIRTIOD_KVM"), os.environ.get("VIRTIOD_XEN")
PROGRAMS = [p for p in (BLK, RNG, os.environ["VIRTIOD_SWITCH"], KVM, XEN) if p]


class Journal(LoopTest):
    def log(self, argv, off):
        """What it logs while $JOURNAL_STREAM names its standard error, or another file."""
        reader, writer = os.pipe()
        st = os.fstat(writer)
        env = {**os.environ, "JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino + off}"}
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writer,
                       env=env, timeout=PATIENCE, check=False)
        os.close(writer)
        with open(reader, encoding="utf-8") as pipe:
            return pipe.read().splitlines()

    def test_error(self):
        for program in PROGRAMS:
            name = os.path.basename(program)
            ours, other = (self.log([program, "--nonsense"], off) for off in (0, 1))
            self.assertTrue(ours[0].startswith("<3>error: "), ours)
            self.assertEqual([line.count(f"{name}: ") for line in ours + other],
                             [0] * len(ours) + [1] * len(other))
            self.assertTrue(other[0].startswith(f"{name}: error: "), other)

    def test_priorities(self):
        """Those of a whole run, to the end by itself."""
        image = self.file("img", size=1 << 20)
        path = self.file("nowhere/socket")
        lines = self.log([BLK, f"--socket-path={path}", f"--blk-file={image}",
                          "--log-level=debug"], 0)
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, r"^<(3>error: |4>warning: |6>|7>debug: )")


if __name__ == "__main__":
    main()
