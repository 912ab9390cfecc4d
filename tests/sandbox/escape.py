# SPDX-License-Identifier: Apache-2.0
"""What the tests of sandboxes share: what a process shows in /proc, what its attempts lead to."""
import os
import re
import subprocess

import harness
import reach
from harness import LoopTest, wait_until

NOBODY = 65534
PATIENCE = 5 * harness.PATIENCE  # for hundreds of thousands of system calls
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
LIMITS = {"core_file": "Max core file size", "cpu_time": "Max cpu time",
          "memory": "Max address space", "descriptors": "Max open files"}
CAPABILITIES = ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd")
MODES = {os.O_RDONLY: "read", os.O_WRONLY: "written", os.O_RDWR: "read, written"}


def source(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def status_of(path):
    with open(path, encoding="ascii") as f:
        return dict(re.findall(r"^(\w+):\s*(\S*)", f.read(), re.MULTILINE))


def as_user(user):
    """What runs a program as that user."""
    if user == os.geteuid():
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def interfaces(pid):
    with open(f"/proc/{pid}/net/dev", encoding="ascii") as f:
        return re.findall(r"^ *(\w+):", f.read(), re.MULTILINE)


def namespace(pid, name):
    own = os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
    return "own" if own else "the host's"


def root_of(pid):
    try:
        return " ".join(os.listdir(f"/proc/{pid}/root")) or "empty"
    except (ProcessLookupError, FileNotFoundError):
        return "empty"  # a folder of /proc whose thread has ended


def limits_of(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        text = f.read()
    return {name: re.search(rf"^{words} +\S+ +(\S+)", text, re.MULTILINE).group(1)
            for name, words in LIMITS.items()}


def confinement(pid, sets=CAPABILITIES):
    """What /proc shows of all threads of a process, as results."""
    found = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        status = status_of(f"/proc/{pid}/task/{task}/status")
        held = {status[name].lstrip("0") for name in sets}
        found.add((status["Seccomp"], status["NoNewPrivs"], "".join(held) or "none"))
    seccomp, new, capabilities = zip(*found)
    network = namespace(pid, "net")
    return {
        "Seccomp": " ".join(seccomp), "NoNewPrivs": " ".join(new),
        "capabilities": " ".join(capabilities), "ipc": namespace(pid, "ipc"),
        "network": network + (", empty" if interfaces(pid) == ["lo"] else ""),
        "root": root_of(pid), **limits_of(pid)}


def open_files(pid):
    """Path -> "read", "written" or both, of what has a name; without folders (O_PATH)."""
    files = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = os.readlink(f"/proc/{pid}/fd/{fd}")
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
            flags = int(re.search(r"flags:\s*(\d+)", f.read()).group(1), 8)
        if path.startswith("/") and not path.startswith(("/memfd:", "/dev/null")) \
                and not flags & os.O_PATH:
            files[path] = MODES[flags & os.O_ACCMODE]
    return files


def listed_calls(*paths):
    """System calls that a filter's tables name."""
    calls = {"tgkill", "clone3"}  # priv/syscall_filter.c itself
    for path in ("common/priv/syscall_core.c", "daemon/uring.h", *paths):
        calls.update(re.findall(r"\bSYSCALL(?:_IF)?\((\w+)", source(path)))
    return calls


class EscapeTest(LoopTest):
    program = None  # its table in reach.py
    calls = ()  # files with its tables of system calls
    tried = set()  # names of results, of all tests of the file

    def users(self):
        """As root, and as an ordinary user."""
        return (0, NOBODY) if os.geteuid() == 0 else (os.geteuid(),)

    def modes(self):
        return [(user, mode) for user in self.users() for mode in ("auto", "strict")]

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
        """Attempt -> result, of what a log has."""
        results = dict(re.findall(r"attempt: (\w+):(?: |$)(.*)$", log, re.MULTILINE))
        for name, result in results.items():
            if result.startswith("errno "):
                results[name] = os.strerror(int(result.split()[1]))
        results.pop("end", None)
        if "ioctls" in results:
            allowed = {int(n, 16) for n in results.pop("ioctls").split()}
            for name, numbers in reach.IOCTLS.items():
                numbers = {numbers} if isinstance(numbers, int) else set(numbers)
                results[name] = ("works" if numbers <= allowed else
                                 "some work" if numbers & allowed else "forbidden")
                allowed -= numbers
            results.update({hex(number): "works" for number in allowed})
        if "calls" in results:
            others = set(results.pop("calls").split()) - listed_calls(*self.calls)
            results["other_calls"] = " ".join(sorted(others)) or "forbidden"
        return results

    def check_reach(self, results, but=None):
        """Compares with the table; but: what is different in this run."""
        table = reach.proofs(self.program)
        for name, result in results.items():
            want = {**table, **(but or {})}.get(name, "forbidden")
            self.assertIn(result, want if isinstance(want, tuple) else (want,), name)
            if name not in (but or {}):
                self.tried.add(name)

    def check_complete(self, only_root=()):
        """By the last test of a file: all that the table tells was tried."""
        skipped = set(only_root) if os.geteuid() else set()
        table = set(reach.proofs(self.program))
        self.assertEqual(table - self.tried - skipped, set(), "not tried")
        attempts = {name for name in self.tried - table if name not in reach.IOCTLS}
        self.assertEqual(attempts, set(), "in no row of the table")
