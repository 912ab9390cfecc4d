# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: daemons on sockets in a short-lived folder, and virtioctl.

Programs come from the environment (meson sets it): VIRTIOCTL, VIRTIOD_BLK, VIRTIOD_RNG ...
Only processes that a test started are ended, by their pid.
"""
import atexit
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import initrd

VIRTIOCTL = os.environ["VIRTIOCTL"]
BLK = os.environ["VIRTIOD_BLK"]
RNG = os.environ["VIRTIOD_RNG"]
FOLDER = tempfile.mkdtemp(prefix="harness-")
os.chmod(FOLDER, 0o777)
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


class FreshPaths(list):
    """Ways to run a device: each time one is looked at, "@" is a path that was not used before."""

    numbers = itertools.count()

    def __iter__(self):
        for way in super().__iter__():
            path = os.path.join(FOLDER, str(next(self.numbers)))
            yield tuple(option.replace("@", path) for option in way)


# Devices that need nothing of this machine when they have these options, of which each is a way to
# run them. What every device must pass is tried with each.
DEVICES = {
    "can": [("--bus=null",)],
    "console": [("--backend=null",),
                ("--port=backend=null,name=a", "--port=backend=null,console=on")],
    "gpio": [("--sim=16",)],
    "i2c": [("--sim=eeprom@0x50", "--sim=rtc@0x68", "--sim=tmp@0x48")],
    "input": [("--sim=keyboard",), ("--sim=tablet",)],
    "net": [("--backend=null",), ("--backend=null", "--queue-pairs=2")],
    "rng": [()],
    "rpmsg": [(), ("--service=a,backend=null",)],
    "rproc-serial": [("--backend=null",)],
    "rtc": [()],
    "spi": [("--sim=loopback", "--sim=flash")],
    "vsock": FreshPaths([("--uds-path=@",), ("--native", "--guest-cid=9", "--forward-cid=3",
                                             "--max-connections=8", "--group=@")]),
}

OK, FAILED, USAGE, BUSY, ABSENT = range(5)  # exit statuses of virtioctl

# Programs started here inherit this: the tests may run under nohup, or in a shell's background.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

MIB = 1 << 20
# Seconds: a large multiple of what anything takes with eight copies of a test on two processors.
# Only a failing test waits for it.
PATIENCE = 600
# With the argument "long": larger images and more requests, for minutes.
LONG = "long" in sys.argv[1:]
SANITIZED = "SANITIZED" in os.environ


def program(device):
    return os.environ["VIRTIOD_" + device.upper().replace("-", "_")]


def pattern(size, seed=1):
    """size bytes that look random and are the same every time."""
    return random.Random(seed).randbytes(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sha256_file(path):
    with open(path, "rb") as f:
        return sha256(f.read())


def wait_until(condition, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {patience} s")
        time.sleep(0.01)


def listens(path):
    """Does somebody listen there? Asks the kernel, not the listener."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as f:
        return any(line.rstrip("\n").endswith(" " + path) and line.split()[3] == "00010000"
                   for line in f)


def open_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Daemon:
    """A running back-end."""

    def __init__(self, test, argv, path, env=None, pass_fds=()):
        self.path = path
        self.log_path = test.file(f"log{next(test.numbers)}")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=env, pass_fds=pass_fds)
        self.pid = self.process.pid
        test.addCleanup(self.kill)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_ready(self):
        wait_until(lambda: listens(self.path) or self.process.poll() is not None, "listening")
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended: {self.log()}")
        return self

    def served(self):
        """How many requests it has served so far, by its own count."""
        shown = self.log().count("Xen memory: ")
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.log().count("Xen memory: ") > shown, "statistics")
        return int(re.findall(r"(\d+) requests served", self.log())[-1])

    def wait(self):
        return self.process.wait(PATIENCE)

    def stop(self, signum=signal.SIGTERM):
        self.process.send_signal(signum)
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class LoopTest(unittest.TestCase):
    """One folder each; whatever a test starts is gone at its end."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="vl", dir="/tmp")  # short: sun_path has 108 bytes
        self.addCleanup(shutil.rmtree, self.dir)
        self.numbers = iter(range(1000))

    def file(self, name, data=None, size=None):
        path = os.path.join(self.dir, name)
        if data is not None:
            with open(path, "wb") as f:
                f.write(data)
        if size is not None:
            with open(path, "wb") as f:
                f.truncate(size)
        return path

    def contents(self, path):
        with open(path, "rb") as f:
            return f.read()

    def daemon(self, program, *options, wrapper=(), pass_fds=()):
        path = self.file(f"s{next(self.numbers)}")
        argv = [*wrapper, program, f"--socket-path={path}", *options]
        return Daemon(self, argv, path, pass_fds=pass_fds).wait_ready()

    def blk(self, image, *options, wrapper=()):
        return self.daemon(BLK, f"--blk-file={image}", *options, wrapper=wrapper)

    def rng(self, *options):
        return self.daemon(RNG, *options)

    def stop(self, daemon):
        """Every daemon must end well."""
        self.assertEqual(daemon.stop(), 0, daemon.log())

    def ctl(self, *args, expect=OK, data=None):
        """Runs virtioctl to its end; returns (stdout as bytes, stderr)."""
        done = subprocess.run([VIRTIOCTL, *args], input=data, capture_output=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL if data is None else None, check=False)
        err = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, expect, f"virtioctl {' '.join(args)}: {err}")
        return done.stdout, err

    def probe(self, path, *options):
        return json.loads(self.ctl("probe", "--json", *options, path)[0])

    def names(self, properties, key):
        return {bit["name"] for bit in properties[key]["bits"]}


class Client:
    """A connection of our own, to say what virtioctl never would."""

    GET_FEATURES = 1

    def __init__(self, path=None, sock=None):
        self.sock = sock or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        if path:
            self.sock.connect(path)

    def send(self, request, payload=b"", flags=1, size=None):
        size = len(payload) if size is None else size
        self.sock.sendall(struct.pack("=III", request, flags, size) + payload)

    def receive(self):
        """(request, payload), or None at the end of the stream."""
        header = self.sock.recv(12, socket.MSG_WAITALL)
        if not header:
            return None
        request, _, size = struct.unpack("=III", header)
        return request, self.sock.recv(size, socket.MSG_WAITALL) if size else b""

    def features(self):
        self.send(self.GET_FEATURES)
        request, payload = self.receive()
        assert request == self.GET_FEATURES and len(payload) == 8
        return struct.unpack("=Q", payload)[0]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def need_program(name, package):
    """The path of a program; without it the whole file is skipped, and says so."""
    path = shutil.which(name)
    if not path:
        print(f"SKIPPED: no {name} here (Debian package {package})", file=sys.stderr)
        sys.exit(77)
    return path


def need_cached(folder, name):
    """The same for a file in a folder of the cache that ./check fills."""
    try:
        return os.path.join(initrd.cached(folder), name)
    except initrd.Missing as missing:
        print(f"SKIPPED: {missing}", file=sys.stderr)
        sys.exit(77)


def main():
    unittest.main(argv=[arg for arg in sys.argv if arg != "long"], verbosity=2)
