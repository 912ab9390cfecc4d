#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtiod-blk with each of its engines, on files of different kinds: every byte."""
import functools
import os
import shutil
import tempfile

from harness import (BLK, FAILED, LONG, MIB, PATIENCE, SANITIZED, LoopTest, main, pattern, sha256,
                     sha256_file, wait_until)

ENGINES = (("--engine=auto",), ("--engine=sync",), ("--engine=uring",), ("--engine=mmap",))
DIRECT = (("--direct",), ("--direct", "--engine=sync"))
UNIT = MIB if LONG else MIB // 4
SIZE = 8 * UNIT
VERIFY = ("--verify", f"--timeout={PATIENCE}", "--block-size=4K",
          f"--requests={4000 if LONG else 1000}")


def has_direct_io(folder):
    path = os.path.join(folder, "direct")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT))
    except OSError:
        return False
    os.unlink(path)
    return True


def has_io_uring():
    try:
        with open("/proc/sys/kernel/io_uring_disabled", encoding="ascii") as f:
            return f.read().strip() == "0"
    except OSError:
        return True


def each_kind(check):
    """Each engine on a file of SIZE bytes of each kind."""
    @functools.wraps(check)
    def test(self):
        contents = pattern(SIZE)
        for folder in self.folders:
            for options in ENGINES + (DIRECT if has_direct_io(folder) else ()):
                if "--engine=uring" in options and not has_io_uring():
                    continue
                path = os.path.join(folder, "image")
                with open(path, "wb") as f:
                    f.write(contents)
                with self.subTest(folder=folder, options=options):
                    check(self, options, path, contents)
    return test


class Engines(LoopTest):
    def setUp(self):
        super().setUp()
        self.folders = [self.dir]
        # The kind of file system matters for what the host does.
        if os.path.isdir("/dev/shm") and not SANITIZED:
            self.folders.append(tempfile.mkdtemp(prefix="vl", dir="/dev/shm"))
            self.addCleanup(shutil.rmtree, self.folders[-1])

    @each_kind
    def test_read_write(self, options, path, contents):
        """Odd sizes and offsets, deep queues, and pieces of any alignment."""
        d = self.blk(path, *options)
        self.assertEqual(sha256(self.ctl("read", d.path)[0]), sha256(contents))
        got = self.ctl("read", "--offset=5K", "--length=1000003", "--request-size=7K",
                       "--depth=64", d.path)[0]
        self.assertEqual(sha256(got), sha256(contents[5120:5120 + 1000003]))
        expected = bytearray(contents)
        for n, (offset, size, request) in enumerate((
                (512, 513, "4K"), (65536, 4 * UNIT, str(UNIT)),
                (6 * UNIT + 512, UNIT + 54321, "12345"), (SIZE - 1024, 1024, "512"))):
            data = pattern(size, seed=n)
            self.ctl("write", f"--offset={offset}", f"--request-size={request}", d.path,
                     self.file("source", data))
            expected[offset:offset + size] = data
        self.assertEqual(sha256(self.ctl("read", d.path)[0]), sha256(expected))
        self.stop(d)
        self.assertEqual(sha256_file(path), sha256(expected))

    @each_kind
    def test_verify(self, options, path, _):
        """Reads and writes at the same time, in several queues, on several threads."""
        d = self.blk(path, "--workers=2", "--num-queues=4", *options)
        for depth, queues in ((1, 1), (32, 2), (200, 4)):
            self.ctl("bench", *VERIFY, f"--depth={depth}", f"--queues={queues}", d.path)
        self.stop(d)

    @each_kind
    def test_replaced(self, options, path, contents):
        """Nothing of a killed one holds the image, not even for a moment."""
        for _ in range(3):
            d = self.blk(path, *options)
            self.assertEqual(sha256(self.ctl("read", d.path)[0]), sha256(contents))
            d.kill()
        self.stop(self.blk(path, *options))

    @each_kind
    def test_shrunk_behind(self, options, path, contents):
        """Errors for the part that was cut off; the rest is still served."""
        d = self.blk(path, *options)
        os.truncate(path, UNIT)
        self.ctl("read", f"--offset={4 * UNIT}", d.path, "/dev/null", expect=FAILED)
        got = self.ctl("read", f"--length={UNIT}", d.path)[0]
        self.assertEqual(sha256(got), sha256(contents[:UNIT]))
        self.stop(d)

    @each_kind
    def test_host_takes_no_more(self, options, path, contents):
        """A limit of the host is an error for the guest and a line in the log, no more."""
        d = self.daemon(BLK, f"--blk-file={path}", *options,
                        wrapper=("prlimit", f"--fsize={UNIT}", "--"))
        data = pattern(UNIT, seed=9)
        self.ctl("write", d.path, self.file("source", data))
        if "--engine=mmap" not in options:
            self.ctl("write", f"--offset={4 * UNIT}", d.path, self.file("source", data),
                     expect=FAILED)
            self.assertIn("File too large", d.log())
            self.assertIn("at offset", d.log())
        self.assertEqual(self.ctl("read", f"--length={UNIT}", d.path)[0], data)
        self.stop(d)

    @each_kind
    def test_grown(self, options, path, _):
        d = self.blk(path, *options)
        os.truncate(path, 2 * SIZE)
        os.kill(d.pid, 1)
        wait_until(lambda: f"has {2 * SIZE // 512} sectors now" in d.log(), "the new size")
        data = pattern(UNIT, seed=5)
        offset = f"--offset={2 * SIZE - UNIT}"
        self.ctl("write", offset, d.path, self.file("source", data))
        self.assertEqual(self.ctl("read", offset, d.path)[0], data)
        self.stop(d)

    def test_bad_options(self):
        image = self.file("img", size=MIB)
        for options, message in ((("--engine=fast",), "auto, sync, uring or mmap"),
                                 (("--engine=mmap", "--direct"), "exclude each other")):
            with self.assertRaisesRegex(AssertionError, message):
                self.blk(image, *options)


if __name__ == "__main__":
    main()
