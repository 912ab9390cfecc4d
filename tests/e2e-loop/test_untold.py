#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Back-ends that do not tell what they are, and used lengths that are too large."""
import struct

import fake_blk
from fake_blk import GET_FEATURES, SET_VRING_KICK, FakeBlk
from harness import FAILED, MIB, LoopTest, main, pattern


class OneByteMore(FakeBlk):
    """As QEMU's reference daemon (contrib/vhost-user-blk) does."""

    def request(self, chain):
        chain = list(chain)
        super().request(chain)
        return sum(length for _, _, length, _ in chain[1:-1]) + 1


class NoDisk(FakeBlk):
    """Offers what devices of another kind do; notes whether it is touched."""
    features = 0
    touched = False

    def handle(self, request, body, fds):
        self.touched = self.touched or request == SET_VRING_KICK
        if request == GET_FEATURES:
            return struct.pack("=Q", 1 << 32 | 1 << 30 | self.features)
        return super().handle(request, body, fds)


class Untold(LoopTest):
    def test_untold_identity_of_a_disk(self):
        data = pattern(MIB)
        fake = FakeBlk(self, MIB)
        fake.data[:] = data
        out, err = self.ctl("read", fake.path, "-")
        self.assertEqual(out, data)
        self.assertEqual(err.count("assumed"), 1)
        self.assertIn("a block device (by its features), 256 bytes of configuration space "
                      "(--config-size=BYTES)", err)
        err = self.ctl("bench", "--requests=10", FakeBlk(self, MIB).path)[1]
        self.assertEqual(err.count("assumed"), 1)
        self.assertNotIn("--queues", err)

    def test_untold_identity_is_not_touched(self):
        # None at all; a network's; a file system's; SCSI's.
        for features in (0, 1 << 0 | 1 << 5 | 1 << 9 | 1 << 15, 1 << 0, 1 << 1 | 1 << 2):
            for command in (["read", "-v"], ["write"], ["bench"]):
                fake = NoDisk(self, MIB)
                fake.features = features
                args = command + [fake.path] + (["/dev/null"] if command != ["bench"] else [])
                err = self.ctl(*args, expect=FAILED)[1]
                self.assertIn("--device-id=block", err)
                fake.close()
                self.assertFalse(fake.touched)

    def test_told_identity_is_believed(self):
        fake = NoDisk(self, MIB)
        err = self.ctl("read", "--type=block", "--config-size=60", fake.path, "/dev/null")[1]
        self.assertNotIn("assumed", err)

    def test_untold_queues(self):
        fake = FakeBlk(self, MIB)
        offered, fake_blk.PROTOCOL_FEATURES = fake_blk.PROTOCOL_FEATURES, 1 << 3 | 1 << 9
        try:
            err = self.ctl("read", "--type=block", fake.path, "/dev/null")[1]
        finally:
            fake_blk.PROTOCOL_FEATURES = offered
        self.assertIn("assumed, as the back-end does not tell: 1 virtqueue (--queues=N)", err)

    def test_used_length_too_large(self):
        data = pattern(MIB)
        source = self.file("source", data)
        fake = OneByteMore(self, MIB)
        err = self.ctl("write", "--type=block", fake.path, source)[1]
        fake.close()
        self.assertEqual(bytes(fake.data), data)
        self.assertEqual(err.count("used length"), 1)
        self.assertIn("131073 where it may write 1 byte", err)
        err = self.ctl("bench", "--type=block", "--rw=write", "--requests=100",
                       OneByteMore(self, MIB).path)[1]
        self.assertEqual(err.count("used length"), 1)

    def test_used_length_too_large_strict(self):
        source = self.file("source", pattern(MIB))
        for args in (["write", "--strict", "--type=block"],
                     ["bench", "--strict", "--type=block", "--rw=write", "--requests=10"]):
            fake = OneByteMore(self, MIB)
            err = self.ctl(*args, fake.path, *([source] if args[0] == "write" else []),
                           expect=FAILED)[1]
            self.assertIn("reported a used length of", err)
            self.assertIn("of which it may write 1 byte", err)
            self.assertNotIn("did not have", err)
        # One that is right passes.
        self.ctl("write", "--strict", "--type=block", FakeBlk(self, MIB).path, source)


if __name__ == "__main__":
    main()
