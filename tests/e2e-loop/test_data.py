#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl read and write on virtiod-blk: every byte, whatever the sizes."""
import os
import signal
import subprocess

from harness import (FAILED, MIB, PATIENCE, USAGE, VIRTIOCTL, LoopTest, main, pattern, sha256,
                     sha256_file, wait_until)


class Data(LoopTest):
    def setUp(self):
        super().setUp()
        self.original = pattern(8 * MIB)
        self.image = self.file("img", self.original)

    def test_read_all(self):
        d = self.blk(self.image)
        out = self.file("out")
        self.ctl("read", d.path, out)
        self.assertEqual(sha256_file(out), sha256(self.original))
        self.assertEqual(sha256(self.ctl("read", d.path)[0]), sha256(self.original))
        self.assertEqual(sha256(self.ctl("read", d.path, "-")[0]), sha256(self.original))
        self.stop(d)

    def test_read_part(self):
        d = self.blk(self.image)
        for offset, length in ((0, 1), (512, 511), (4096, 4097), (MIB, 3 * MIB + 7),
                               (8 * MIB - 512, 512), (8 * MIB, 0), (0, 0)):
            got = self.ctl("read", f"--offset={offset}", f"--length={length}", d.path)[0]
            self.assertEqual(got, self.original[offset:offset + length], (offset, length))
        got = self.ctl("read", "--offset=7M", d.path)[0]
        self.assertEqual(sha256(got), sha256(self.original[7 * MIB:]))
        self.stop(d)

    def test_beyond_the_end(self):
        d = self.blk(self.image)
        self.ctl("read", "--offset=9M", d.path, "/dev/null", expect=FAILED)
        self.ctl("read", "--offset=7M", "--length=2M", d.path, "/dev/null", expect=FAILED)
        self.ctl("read", "--length=16777215T", d.path, "/dev/null", expect=FAILED)
        self.ctl("read", "--offset=100", d.path, "/dev/null", expect=FAILED)
        self.ctl("write", "--offset=8M", d.path, data=b"x", expect=FAILED)
        too_long = self.file("long", size=8 * MIB + 1)
        self.ctl("write", d.path, too_long, expect=FAILED)
        self.ctl("write", "--length=2", d.path, self.file("short", b"x"), expect=FAILED)
        self.assertEqual(sha256_file(self.image), sha256(self.original))  # nothing was touched
        self.stop(d)

    def test_write_odd_sizes(self):
        """From files and from pipes; the bytes around stay as they are."""
        expected = bytearray(self.original)
        d = self.blk(self.image)
        for n, size in enumerate((1, 511, 512, 513, 65537, 131072, 131073, 1000003, 4 * MIB)):
            data = pattern(size, seed=100 + n)
            offset = n * 4096
            source = self.file("source", data)
            if n % 2:
                self.ctl("write", f"--offset={offset}", d.path, source)
            else:
                self.ctl("write", f"--offset={offset}", d.path, data=data)
            expected[offset:offset + size] = data
            self.assertEqual(sha256(self.ctl("read", d.path)[0]), sha256(expected), size)
        self.stop(d)
        self.assertEqual(sha256_file(self.image), sha256(expected))

    def test_write_to_the_last_byte(self):
        d = self.blk(self.image)
        data = pattern(8 * MIB, seed=3)
        self.ctl("write", d.path, self.file("source", data))
        self.ctl("write", "--offset=7M", d.path, data=data[7 * MIB:])
        self.stop(d)
        self.assertEqual(sha256_file(self.image), sha256(data))

    def test_pipe_too_long(self):
        d = self.blk(self.image)
        err = self.ctl("write", "--offset=7M", d.path, data=bytes(MIB + 1), expect=FAILED)[1]
        self.assertIn("more than", err)
        self.stop(d)

    def test_length_bounds_a_source(self):
        d = self.blk(self.image)
        self.ctl("write", "--length=1M", d.path, "/dev/zero")  # a source without end
        self.stop(d)
        self.assertEqual(self.contents(self.image), bytes(MIB) + self.original[MIB:])

    def test_queue_sizes(self):
        """From the least that holds a request: a chain is never longer than the queue."""
        d = self.blk(self.image)
        for size in (1, 2):
            self.assertIn("too small", self.ctl("read", f"--queue-size={size}", d.path,
                                                "/dev/null", expect=FAILED)[1])
        size = 4
        while size <= 1024:
            got = self.ctl("read", f"--queue-size={size}", "--length=3000000", d.path)[0]
            self.assertEqual(sha256(got), sha256(self.original[:3000000]), size)
            size *= 2
        self.ctl("read", "--queue-size=32768", "--depth=1024", "--request-size=8K", d.path,
                 self.file("out"))
        self.assertEqual(sha256_file(self.file("out")), sha256(self.original))
        self.stop(d)

    def test_depths_and_request_sizes(self):
        d = self.blk(self.image, "--num-queues=4")
        for n, (depth, request) in enumerate(((1, "512"), (1, "16M"), (2, "4K"), (7, "12345"),
                                              (32, "128K"), (128, "64K"), (300, "1M"))):
            options = [f"--depth={depth}", f"--request-size={request}", f"--queue={n % 4}",
                       "--queue-size=1024"]
            length = MIB if request == "512" else 8 * MIB
            data = pattern(length, seed=n)
            self.ctl("write", *options, d.path, self.file("source", data))
            got = self.ctl("read", *options, f"--length={length}", d.path)[0]
            self.assertEqual(sha256(got), sha256(data), options)
        self.ctl("read", "--queue=4", d.path, "/dev/null", expect=FAILED)
        self.stop(d)

    def test_formats(self):
        """Split rings and packed ones; the device is the same to both."""
        d = self.blk(self.image)
        data = pattern(3 * MIB, seed=9)
        for write, read in (("on", "off"), ("off", "on"), ("auto", "auto")):
            data = data[::-1]
            for size in (4, 64):
                self.ctl("write", f"--packed={write}", f"--queue-size={size}", d.path,
                         self.file("source", data))
                got = self.ctl("read", f"--packed={read}", f"--queue-size={size}",
                               "--length=3M", d.path)[0]
                self.assertEqual(sha256(got), sha256(data), (write, read, size))
        self.ctl("read", "--packed=perhaps", d.path, expect=USAGE)
        self.stop(d)

    def test_large_blocks(self):
        d = self.blk(self.image, "--block-size=4096")
        self.ctl("read", "--offset=512", d.path, "/dev/null", expect=FAILED)
        self.ctl("read", "--request-size=2048", d.path, "/dev/null", expect=FAILED)
        data = pattern(10001)
        self.ctl("write", "--offset=8K", "--request-size=5000", d.path, data=data)
        self.stop(d)
        expected = self.original[:8192] + data + self.original[8192 + len(data):]
        self.assertEqual(sha256_file(self.image), sha256(expected))

    def test_read_only(self):
        d = self.blk(self.image, "--read-only")
        self.assertIn("read-only", self.ctl("write", d.path, data=b"x", expect=FAILED)[1])
        self.ctl("read", d.path, self.file("out"))
        self.stop(d)
        self.assertEqual(sha256_file(self.file("out")), sha256(self.original))
        self.assertEqual(sha256_file(self.image), sha256(self.original))

    def test_without_probe(self):
        d = self.blk(self.image, "--probe=off")
        out, err = self.ctl("read", d.path)
        self.assertEqual(sha256(out), sha256(self.original))
        self.assertIn("block device", err)
        out, err = self.ctl("read", "--type=block", "--config-size=60", d.path)
        self.assertEqual((sha256(out), err), (sha256(self.original), ""))
        self.stop(d)

    def test_not_a_block_device(self):
        d = self.rng()
        err = self.ctl("read", d.path, "/dev/null", expect=FAILED)[1]
        self.assertIn("no block device, but rng (4)", err)
        self.stop(d)

    def test_quiet_unless_asked(self):
        d = self.blk(self.image)
        self.assertEqual(self.ctl("read", d.path, "/dev/null")[1], "")
        self.assertRegex(self.ctl("read", "-v", d.path, "/dev/null")[1],
                         r"^read 8 MiB in \d+\.\d+ s, [\d.]+ [KMG]iB/s\n$")
        self.stop(d)

    def begin_to_write(self, daemon, *options):
        """virtioctl write, whose source goes on after the requests that are served."""
        served = daemon.served()
        ctl = subprocess.Popen([VIRTIOCTL, "write", *options, daemon.path, "-"],
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        ctl.stdin.write(self.original[:MIB])
        ctl.stdin.flush()
        wait_until(lambda: daemon.served() > served or ctl.poll() is not None, "requests")
        return ctl

    def test_backend_dies(self):
        """A message and status 1 at once, no waiting for a deadline."""
        d = self.blk(self.image)
        ctl = self.begin_to_write(d, f"--timeout={10 * PATIENCE}")
        d.kill()
        _, err = ctl.communicate(self.original[MIB:], timeout=PATIENCE)
        self.assertEqual(ctl.returncode, FAILED)
        self.assertIn("back-end", err.decode())

    def test_backend_hangs(self):
        """The wait for one that does nothing is limited."""
        d = self.blk(self.image)
        ctl = self.begin_to_write(d, "--timeout=1")
        os.kill(d.pid, signal.SIGSTOP)
        _, err = ctl.communicate(self.original[MIB:], timeout=PATIENCE)
        os.kill(d.pid, signal.SIGCONT)
        self.assertEqual(ctl.returncode, FAILED)
        self.assertIn("completes nothing", err.decode())
        self.stop(d)

    def test_interrupt(self):
        """SIGINT and SIGTERM end a transfer cleanly; the daemon serves on."""
        d = self.blk(self.image)
        for signum in (signal.SIGINT, signal.SIGTERM):
            ctl = self.begin_to_write(d)
            ctl.send_signal(signum)
            self.assertEqual(ctl.wait(PATIENCE), 128 + signum)
            self.assertIn(b"interrupted", ctl.stderr.read())
            ctl.stdin.close()
            ctl.stderr.close()
            self.ctl("probe", d.path)
        self.stop(d)
        self.assertEqual(os.stat(self.image).st_size, 8 * MIB)


if __name__ == "__main__":
    main()
