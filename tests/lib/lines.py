# SPDX-License-Identifier: Apache-2.0
"""Lines from a pipe, each awaited no longer than until a deadline."""

import os
import select
import time


class Lines:
    def __init__(self, pipe):
        self.pipe = pipe
        self.pending = b""

    def readable(self, seconds):
        return bool(select.select([self.pipe], [], [], seconds)[0])

    def next(self, deadline):
        """Without its end, be that "\\n" or "\\r\\n"; None: not in time, or there are no more."""
        while b"\n" not in self.pending:
            if not self.readable(max(deadline - time.monotonic(), 0)):
                return None
            data = os.read(self.pipe.fileno(), 65536)
            if not data:
                return None
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")
