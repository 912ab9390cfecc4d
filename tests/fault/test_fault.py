#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fault countdown: the n-th call of a kind fails (fault.c), in a whole session of each program.

A program may fail for it, with a message that names the error, or do without. It must not crash,
hang, keep what it opened or lose memory (LeakSanitizer looks for that at its end); and a daemon
that lives serves the next session as if nothing had been.

    test_fault.py [long]    a few calls of each kind; with the argument each of them
"""
import itertools
import os
import signal
import struct
import subprocess
import time

from harness import (BLK, LONG, MIB, OK, RNG, VIRTIOCTL, Daemon, LoopTest, listens, main,
                     open_fds, pattern, wait_until)

KVM, XEN = os.environ.get("VIRTIOD_KVM"), os.environ.get("VIRTIOD_XEN")
FAULTS, LEAKS, FAKE_KVM, WORKER, SUPERVISOR = (
    os.environ.get(f"VIRTIOD_{name}")
    for name in ("FAULTS", "LEAKS", "FAKE_KVM", "FAULT_WORKER", "FAULT_SUPERVISOR"))
KINDS = {
    "accept": "Too many open files",
    "epoll_create": "Too many open files",
    "epoll_ctl": "No space left on device",
    "eventfd": "Too many open files",
    "ioctl": "Cannot allocate memory",
    "fstat": "Input/output error",
    "memalign": "Cannot allocate memory",
    "memfd": "Too many open files in system",
    "mmap": "Cannot allocate memory",
    "pread": "Input/output error",
    "pwrite": "No space left on device",
    "read": "Input/output error",
    "recvmsg": "Cannot allocate memory",
    "sendmsg": "No buffer space available",
    "signalfd": "Too many open files",
    "socketpair": "Too many open files",
    "thread": "Resource temporarily unavailable",
    "timerfd": "Too many open files",
    "uring": "(Cannot allocate memory|Resource temporarily unavailable)",
}
DATA = pattern(3 * 65536 + 512)


class Fault:
    """The environment of a program in which the n-th call of a kind fails; 0: none.

    settings: of one that passes it on to another program, without the libraries' names.
    """

    def __init__(self, test, kind, n):
        self.kind, self.n = kind, n
        # Where signals cannot be watched, SIGTERM does what it does to any program.
        self.ends = (-signal.SIGTERM,) if kind == "signalfd" else ()
        self.report = test.file("report", bytes(4096))
        self.preload = ":".join([FAULTS, *test.libraries])
        self.settings = dict(os.environ, VIRTIOD_FAULT=f"{kind}:{n}",
                             VIRTIOD_FAULT_REPORT=self.report)
        self.env = dict(self.settings, LD_PRELOAD=self.preload)

    def read(self, layout, offset=0):
        with open(self.report, "rb") as f:
            return struct.unpack_from(layout, f.read(), offset)

    @property
    def failed(self):
        return bool(*self.read("=I"))

    def count_calls(self):
        """{kind: calls}, as in fault.c."""
        entries = self.read(len(KINDS) * "16sI", 4)
        return {name.rstrip(b"\0").decode(): n for name, n in zip(entries[::2], entries[1::2])}


class Sweep(LoopTest):
    limit = 60  # seconds; a multiple of what takes a run without faults
    libraries = ()  # what programs are run with, beside FAULTS
    options = ()  # of virtioctl
    usual = None  # the number of the daemon's fds after such a run

    def setUp(self):
        super().setUp()
        self.numbers = itertools.count()  # many daemons

    def execute(self, *argv, data=None, env=None, ends=()):
        """Runs a program to its end, which is no crash; returns (status, stdout, stderr).

        ends: further statuses that it may have.
        """
        done = subprocess.run(argv, input=data, capture_output=True, timeout=self.limit, env=env,
                              stdin=subprocess.DEVNULL if data is None else None, check=False)
        err = done.stderr.decode(errors="replace")
        self.assertIn(done.returncode, [*range(7), *ends], f"{' '.join(argv)}: {err}")
        return done.returncode, done.stdout, err

    def use_disk(self, path, env=None):
        """Returns what went wrong; nothing: an empty list."""
        wrote, _, err1 = self.execute(VIRTIOCTL, "write", *self.options, path, data=DATA, env=env)
        read, got, err2 = self.execute(
            VIRTIOCTL, "read", *self.options, f"--length={len(DATA)}", path, env=env)
        if wrote == OK and read == OK:
            self.assertEqual(got, DATA)
        return [e for status, e in ((wrote, err1), (read, err2)) if status != OK]

    def use_any(self, path, env=None):
        status, _, err = self.execute(VIRTIOCTL, "probe", *self.options, path, env=env)
        return [err] if status != OK else []

    def use_bench(self, path, env=None):
        status, _, err = self.execute(
            VIRTIOCTL, "bench", *self.options, "--requests=64", path, env=env)
        return self.use_any(path, env) + ([err] if status != OK else [])

    def assert_named(self, fault, text, where):
        """The message is that of the call that failed."""
        self.assertRegex(text, KINDS[fault.kind], f"{where}: {fault.kind} {fault.n}")

    def count_fds(self, daemon):
        """What is open when all connections are done with; no more than usual."""
        if self.usual is not None:
            wait_until(lambda: open_fds(daemon.pid) <= self.usual, "as few fds as usual")
            return self.usual
        counts = [0]
        while len(counts) < 10 or len(set(counts[-10:])) > 1:
            counts.append(open_fds(daemon.pid))
            time.sleep(0.01)
        return counts[-1]

    def daemon_session(self, argv, use, fault):
        """Returns the number of fds that are open after two sessions; None: it did not start."""
        path = self.file(f"s{next(self.numbers)}")
        d = Daemon(self, [*argv, f"--socket-path={path}"], path, env=fault.env)
        wait_until(lambda: listens(path) or d.process.poll() is not None, "listening")
        for _ in range(2):
            problems = use(path)
            if problems:
                self.assertTrue(fault.failed, problems)
                self.assert_named(fault, d.log() + "".join(problems), argv[0])
            # Its threads start after the socket listens; looking for leaks takes a while.
            if not listens(path):
                self.assertEqual(d.wait(), 1, d.log())
                return None
        if fault.failed:
            self.assertEqual(use(path), [], d.log())
        fds = self.count_fds(d)
        self.assertIn(d.stop(), (0, *fault.ends), d.log())
        return fds

    def run_usual(self, run):
        """Without a fault: returns the number of calls of each kind."""
        start = time.monotonic()
        fault = Fault(self, "none", 0)
        self.usual = None
        self.usual = run(fault)
        self.limit = 10 + 30 * (time.monotonic() - start)
        return fault.count_calls()

    def run_one(self, run, fault):
        with self.subTest(kind=fault.kind, n=fault.n):
            run(fault)
        return fault.failed

    def sweep(self, run):
        """Calls run(fault) for each call of each kind, or for a few; it returns count_fds()."""
        counts = self.run_usual(run)
        self.assertEqual(sorted(counts), sorted(KINDS))
        for kind, calls in counts.items():
            n = 0
            for n in range(1, calls + 1) if LONG else sorted({1, calls} - {0}):
                self.run_one(run, Fault(self, kind, n))
            # The number of calls is not the same each time.
            while LONG and n and self.run_one(run, Fault(self, kind, n := n + 1)):
                pass

    def sweep_daemon(self, use, *argv):
        self.sweep(lambda fault: self.daemon_session(argv, use, fault))
        self.sweep_leaks(lambda fault: self.daemon_session([*argv, "--sandbox=none"], use, fault))

    def sweep_leaks(self, run):
        """As sweep(), with LeakSanitizer, which cannot work in a sandbox; in the long run."""
        if LONG and LEAKS:
            usual, self.libraries = self.libraries, (*self.libraries, LEAKS)
            self.sweep(run)
            self.libraries = usual

    def sweep_one(self, run):
        """A program without a sandbox: both in one."""
        (self.sweep_leaks if LONG and LEAKS else self.sweep)(run)

    def test_blk(self):
        image = self.file("img", size=MIB)
        self.sweep_daemon(self.use_disk, BLK, f"--blk-file={image}", "--workers=2")

    def test_blk_sync(self):
        image = self.file("img", size=MIB)
        if LONG:
            self.sweep_daemon(self.use_disk, BLK, f"--blk-file={image}", "--engine=sync")

    def test_rng(self):
        if LONG:
            self.sweep_daemon(self.use_any, RNG)

    def client_session(self, daemon, use, fault):
        problems = use(daemon.path, fault.env)
        if problems:
            self.assertTrue(fault.failed, problems)
            self.assert_named(fault, "".join(problems), "virtioctl")
        self.assertEqual(use(daemon.path), [], daemon.log())
        return self.count_fds(daemon)

    def test_virtioctl(self):
        d = self.blk(self.file("img", size=MIB))
        self.use_disk(d.path)
        for use in (self.use_disk, self.use_bench) if LONG else (self.use_disk,):
            self.sweep(lambda fault, use=use: self.client_session(d, use, fault))
            self.options = ("--sandbox=none",)
            self.sweep_leaks(lambda fault, use=use: self.client_session(d, use, fault))
            self.options = ()
        self.stop(d)

    def monitor_session(self, argv, fault):
        status, _, err = self.execute(*argv, env=fault.env)
        if status != OK:
            self.assertTrue(fault.failed, err)
            self.assert_named(fault, err, argv[0])

    def test_kvm(self):
        if not KVM or not FAKE_KVM:
            self.skipTest("no virtiod-kvm, or not of this architecture")
        self.libraries = (FAKE_KVM,)
        back_ends = self.rng(), self.blk(self.file("img", size=MIB))
        argv = [KVM, "--guest=selftest", *(f"--device=socket={d.path}" for d in back_ends)]
        self.sweep(lambda fault: self.monitor_session(argv, fault))
        self.sweep_leaks(lambda fault: self.monitor_session([*argv, "--sandbox=none"], fault))
        for back_end in back_ends:
            self.assertEqual(self.use_any(back_end.path), [], back_end.log())
            self.stop(back_end)

    def start_only(self, argv, fault):
        """Without Xen it ends soon, with a message."""
        status, _, err = self.execute(*argv, env=fault.env)
        self.assertNotEqual(status, OK)
        self.assertTrue(err)

    def worker_session(self, argv, fault):
        env = dict(fault.settings, VIRTIOD_TEST_LOG="yes")
        status, out, err = self.execute(*argv, fault.preload, env=env)
        self.assertEqual(status, OK, err)
        fds, workers = (int(n) for n in out.split())
        if workers > 1:
            self.assertTrue(fault.failed, err)
            self.assert_named(fault, err, "the worker")
        if self.usual is not None:
            self.assertLessEqual(fds, self.usual)
        return fds

    def test_worker(self):
        if not WORKER:
            self.skipTest("no virtiod-xen")
        self.sweep(lambda fault: self.worker_session([WORKER], fault))
        self.sweep_leaks(lambda fault: self.worker_session([WORKER + "_leaks"], fault))

    def supervisor_session(self, fault):
        folder = self.file(f"run{next(self.numbers)}")
        os.mkdir(folder)
        # Its three steps fit in the limit.
        patience = str(int(1000 * self.limit / 4))
        status, out, err = self.execute(SUPERVISOR, folder, patience, env=fault.env,
                                        ends=fault.ends)
        if status != OK or out:
            self.assertTrue(fault.failed, err)
            self.assert_named(fault, err, "the supervisor")

    def test_supervisor(self):
        if not SUPERVISOR:
            self.skipTest("no virtiod-xen")
        self.sweep_one(self.supervisor_session)

    def test_xen(self):
        if LONG and XEN and not os.path.exists("/dev/xen/privcmd"):
            self.sweep_one(lambda fault: self.start_only((XEN,), fault))


if __name__ == "__main__":
    main()
