# SPDX-License-Identifier: Apache-2.0
"""Back-ends as processes: how to start which, on which CPUs, and what the kernel says of them."""
import glob
import os
import shlex
import signal
import subprocess
import time

PATIENCE = 60


class Failed(Exception):
    """A program did not do what it was asked to."""


# What may go wrong with a run, in the program that is measured or around it.
FAILURES = (Failed, OSError, KeyError, ValueError, subprocess.SubprocessError)


def describe(failure):
    return str(failure) if isinstance(failure, Failed) else repr(failure)


class Virtiod:
    """virtiod-blk with some of its options."""

    has_direct = True

    def __init__(self, binary, name="virtiod-blk"):
        self.binary = binary
        self.name = name

    def argv(self, image, socket, direct=False, queues=1, workers=0, engine=None):
        argv = [self.binary, f"--socket-path={socket}", f"--blk-file={image}",
                f"--num-queues={queues}"]
        if workers:
            argv.append(f"--workers={workers}")
        if direct:
            argv.append("--direct")
        if engine:
            argv.append(f"--engine={engine}")
        return argv


class StorageDaemon:
    """qemu-storage-daemon with io_uring."""

    has_direct = True
    name = "qemu-storage-daemon"

    def __init__(self, binary):
        self.binary = binary

    def argv(self, image, socket, direct=False):
        cache = ",cache.direct=on" if direct else ""
        return [self.binary, "--blockdev",
                f"driver=file,node-name=f,filename={image},aio=io_uring{cache}",
                "--export", "type=vhost-user-blk,id=e,node-name=f,writable=on,"
                f"addr.type=unix,addr.path={socket}"]


class Other:
    """Any other back-end: a command in which {file} and {socket} are replaced."""

    has_direct = False

    def __init__(self, name, command):
        self.name = name
        self.words = shlex.split(command)
        if not any("{socket}" in word for word in self.words):
            raise ValueError(f"'{command}' says nowhere {{socket}}")

    def argv(self, image, socket):
        return [word.replace("{file}", image).replace("{socket}", socket) for word in self.words]


def pin(cpus):
    """For a child, between fork() and exec()."""
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus else None


def listens(path):
    """Does somebody listen there? Asks the kernel: to connect would be to come first."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as f:
        return any(line.rstrip("\n").endswith(" " + path) and line.split()[3] == "00010000"
                   for line in f)


class Running:
    """A back-end that listens; at the end of its scope it is ended, and must end well."""

    def __init__(self, argv, socket, cpus=None):
        self.socket = socket
        self.log_path = socket + ".log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=pin(cpus))
        self.pid = self.process.pid
        try:
            self.wait_listening(argv)
        except BaseException:
            self.kill()
            raise

    def wait_listening(self, argv):
        end = time.monotonic() + PATIENCE
        while not listens(self.socket):
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"{shlex.join(argv)} does not listen: {self.log()}")
            time.sleep(0.002)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read().strip()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for path in self.socket, self.log_path:
            if os.path.exists(path):
                os.unlink(path)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = "none: it does not end"
        if status != 0:
            raise Failed(f"exit status {status} after SIGTERM: {self.log()}")

    def __enter__(self):
        return self

    def __exit__(self, kind, failure, _):
        try:
            if kind is None:
                self.stop()
            elif kind is Failed:
                raise Failed(f"{failure}\nlog: {self.log()[-4000:]}") from None
        finally:
            self.kill()


def memory_kb(pid):
    """{"Rss": ..., "Pss": ..., "Private_Dirty": ...} in kB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return {line.split(":")[0]: int(line.split()[1]) for line in f.readlines()[1:]}


def activity(pid):
    """What its threads have done so far: CPU in ticks and in ns, context switches."""
    ticks = ns = switches = 0
    for task in glob.glob(f"/proc/{pid}/task/*"):
        with open(task + "/stat", encoding="utf-8", errors="replace") as f:
            ticks += sum(map(int, f.read().rpartition(")")[2].split()[11:13]))
        with open(task + "/schedstat", encoding="ascii") as f:
            ns += int(f.read().split()[0])
        with open(task + "/status", encoding="utf-8", errors="replace") as f:
            switches += sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)
    return {"ticks": ticks, "ns": ns, "switches": switches}
