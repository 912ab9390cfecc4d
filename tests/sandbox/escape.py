# SPDX-License-Identifier: Apache-2.0
"""What the tests of sandboxes share: what a process shows in /proc, what its attempts lead to."""
import os
import re
import subprocess

from harness import LoopTest, wait_until

NOBODY = 65534
KERNEL = tuple(map(int, os.uname().release.split(".")[:2]))
NO_FILE = ("No such process", "No such file or directory")  # by the kernel's version
FIONREAD = 0x541B
# What does not end in the filter, and what becomes of it.
NOT_CAUGHT = {
    "clone3": "Function not implemented",  # the C library has another call then
    "stat": NO_FILE,
    "readlink": NO_FILE,
    "closer": "works",
}
STATUS = {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0" * 16, "CapPrm": "0" * 16,
          "CapInh": "0" * 16, "CapBnd": "0" * 16, "CapAmb": "0" * 16}


def status_of(path):
    with open(path, encoding="ascii") as f:
        return dict(re.findall(r"^(\w+):\s*(\S*)", f.read(), re.MULTILINE))


def as_user(user):
    """What runs a program as that user."""
    if user == os.geteuid():
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


class EscapeTest(LoopTest):
    def users(self):
        """As root, and as an ordinary user."""
        return (0, NOBODY) if os.geteuid() == 0 else (os.geteuid(),)

    def modes(self):
        return [(user, mode) for user in self.users() for mode in ("auto", "strict")]

    def check_status(self, pid):
        for task in os.listdir(f"/proc/{pid}/task"):
            status = status_of(f"/proc/{pid}/task/{task}/status")
            for name, want in STATUS.items():
                self.assertEqual(status[name], want, name)
        for name in ("net", "ipc"):
            self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/{name}"),
                                os.readlink(f"/proc/self/ns/{name}"))
        with open(f"/proc/{pid}/limits", encoding="ascii") as f:
            self.assertRegex(f.read(), r"Max core file size +0 +0 ")

    def wait_stopped(self, process):
        """Returns once it has stopped itself: it does nothing before SIGCONT."""
        flags = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
        wait_until(lambda: os.waitid(os.P_PID, process.pid, flags), "that it stops")
        self.assertIsNone(process.poll(), self.log())

    def start_victim(self):
        """Another process, which lives until the end of the test."""
        victim = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        return victim

    def results(self, log):
        """Attempt -> result."""
        return dict(re.findall(r"attempt: (\w+):(?: |$)(.*)$", log, re.MULTILINE))

    def check_results(self, results, not_caught, ioctls):
        """Nothing but what is named here; ioctls None: they were not tried."""
        if ioctls is not None:
            found = {int(n, 16) for n in results.pop("ioctls").split()}
            self.assertEqual(sorted(map(hex, found)), sorted(map(hex, ioctls)))
        for name, result in results.items():
            want = {**NOT_CAUGHT, **not_caught}.get(name, "forbidden")
            self.assertIn(result, want if isinstance(want, tuple) else (want,), name)
        self.assertGreater(len(results), 60)
