# SPDX-License-Identifier: Apache-2.0
"""A virtual machine whose guest reports on its console (guest.sh)."""

import re
import subprocess
import time

from lines import Lines


def check(condition, text):
    if not condition:
        raise AssertionError(text)
    print(f"ok: {text}", flush=True)


class Guest:
    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.console = Lines(self.process.stdout)

    def wait(self, name, seconds=60):
        """The value of the guest's next report, which must have this name."""
        deadline = time.monotonic() + seconds
        while True:
            text = self.line(deadline)
            if text is None:
                raise AssertionError(f"no {name!r} from the guest in {seconds} s, or its end")
            found = re.match(r"@ (\S+) ?(.*)", text)
            if found and found.group(1) == "failed":
                while self.line(time.monotonic() + 2) is not None:
                    pass  # what it says of the failure
                raise AssertionError("the guest failed: " + found.group(2))
            if found and found.group(1) == name:
                return found.group(2)
            if found:
                raise AssertionError(f"the guest says {text!r} instead of {name}")

    def line(self, deadline):
        """The next line, also shown; None: not in time, or there are no more."""
        text = self.console.next(deadline)
        if text is None:
            return None
        text = text.strip()
        print("  guest: " + text, flush=True)
        return text

    def quiet(self):
        """No report is there yet."""
        return b"\n@" not in self.console.pending and not self.console.readable(0)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
