#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_units.py BUILT SYSUSERS PROGRAM...: the units of systemd, and what programs do in them.

BUILT: the folder that has the units. Without systemd they are not checked by its own tools.
"""
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

BUILT, SYSUSERS = sys.argv[1:3]
PROGRAMS = {os.path.basename(path): os.path.abspath(path) for path in sys.argv[3:]}
DEVICES = [name for name in PROGRAMS if os.path.exists(os.path.join(BUILT, f"{name}@.service"))]
# What runs with few rights is "OK"; what root runs as it likes has 96.
EXPOSURE = 36
PATIENCE = 60


def contents(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def values(unit, key):
    """All words that a unit assigns to this key."""
    lines = re.findall(rf"^{key}=(.*)$", contents(os.path.join(BUILT, unit)), re.M)
    return " ".join(lines).split()


class Units(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="units-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.numbers = itertools.count()

    def need(self, tool):
        if not shutil.which(tool):
            print(f"SKIPPED: units: there is no {tool}")
            self.skipTest(tool)

    def copy(self, unit):
        """Makes a unit that starts the program that was built; its path."""
        text = re.sub(r"^(ExecStart=)\S*/(\S+)", lambda m: m[1] + PROGRAMS[m[2]],
                      contents(os.path.join(BUILT, unit)), flags=re.M)
        path = os.path.join(self.folder, unit)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def analyze(self, *argv):
        done = subprocess.run(["systemd-analyze", *argv], capture_output=True, text=True,
                              check=False, timeout=PATIENCE,
                              env={**os.environ, "SYSTEMD_UNIT_PATH": f"{self.folder}:"})
        return done.returncode, done.stdout + done.stderr

    def test_systemd_takes_them(self):
        self.need("systemd-analyze")
        units = [f"{name}@.{kind}" for name in DEVICES for kind in ("service", "socket")]
        if "virtiod-xen" in PROGRAMS:
            units.append("virtiod-xen.service")
        paths = [self.copy(unit) for unit in units]
        self.assertEqual(self.analyze("verify", "--man=no", "--recursive-errors=no", *paths),
                         (0, ""))

    def test_few_rights(self):
        self.need("systemd-analyze")
        for name in "virtiod-blk", "virtiod-net":
            self.copy(f"{name}@.service")
            status, text = self.analyze("security", "--offline=yes", "--no-pager",
                                        f"--threshold={EXPOSURE}", f"{name}@.service")
            self.assertEqual(status, 0, text)

    def test_user(self):
        self.need("systemd-sysusers")
        os.mkdir(os.path.join(self.folder, "etc"))
        done = subprocess.run(["systemd-sysusers", f"--root={self.folder}", "-"], text=True,
                              input=contents(SYSUSERS), capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        users = contents(os.path.join(self.folder, "etc/passwd"))
        groups = contents(os.path.join(self.folder, "etc/group"))
        for name in DEVICES:
            self.assertIn(f"{values(f'{name}@.service', 'User')[0]}:", users)
            self.assertIn(f"{values(f'{name}@.socket', 'SocketGroup')[0]}:", groups)

    def test_no_configuration(self):
        """Wrong or missing options end a program with a status that is not tried again."""
        for name, options in (("virtiod-blk", []), ("virtiod-rng", ["--nonsense"]),
                              ("virtiod-blk", ["--blk-file=/nonexistent"])):
            status, log = self.activate(name, options, lambda path: False)
            self.assertIn(str(status), values(f"{name}@.service", "RestartPreventExitStatus"), log)
            self.assertNotEqual(status, 0)

    def test_rules(self):
        if "virtiod-xen" not in PROGRAMS:
            self.skipTest("virtiod-xen")
        prevented = values("virtiod-xen.service", "RestartPreventExitStatus")
        done = subprocess.run([PROGRAMS["virtiod-xen"], "--nonsense"], check=False,
                              capture_output=True)
        self.assertIn(str(done.returncode), prevented)
        self.assertNotIn("1", prevented)

    def activate(self, name, options, use, wrapper=()):
        """Starts the program as socket activation does; its status, and its log.

        It gets SIGTERM if use(), which has the socket's path, says so.
        """
        path = os.path.join(self.folder, f"socket{next(self.numbers)}")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            os.chmod(path, 0o666)
            command = 'exec 3<&"$1"; shift; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
            argv = ["sh", "-c", command, "sh", str(listener.fileno()), *wrapper, PROGRAMS[name],
                    *options]
            with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True,
                                  pass_fds=[listener.fileno()]) as process:
                if use(path):
                    process.send_signal(signal.SIGTERM)
                log = process.communicate(timeout=PATIENCE)[1]
                return process.returncode, log

    def as_service(self):
        """The command that gives a program the user and capabilities of its unit."""
        given = [word[4:].lower() for word in values("virtiod-blk@.service", "AmbientCapabilities")]
        self.assertEqual(values("virtiod-blk@.service", "AmbientCapabilities"),
                         values("virtiod-blk@.service", "CapabilityBoundingSet"))
        added = ",".join(["-all"] + [f"+{cap}" for cap in given])
        return ("setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "--no-new-privs",
                f"--inh-caps={added}", f"--ambient-caps={added}", f"--bounding-set={added}")

    def test_capabilities(self):
        """They suffice for an image of another user, and for --run-as and --chroot."""
        self.need("setpriv")
        if os.geteuid() != 0:
            print("SKIPPED: units: what runs with the capabilities of a service: takes root")
            self.skipTest("root")
        os.chmod(self.folder, 0o711)
        image = os.path.join(self.folder, "image")
        with open(image, "wb") as f:
            f.truncate(1 << 20)
        os.chmod(image, 0o600)
        empty = os.path.join(self.folder, "empty")
        os.mkdir(empty)

        def greet(path):
            """Gets an answer to GET_FEATURES."""
            with socket.socket(socket.AF_UNIX) as front:
                front.settimeout(PATIENCE)
                front.connect(path)
                front.sendall((1).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4))
                return len(front.recv(20)) == 20

        for options in ((), ("--run-as=65532:65532",),
                        ("--run-as=65532:65532", f"--chroot={empty}"),
                        ("--sandbox=strict",), ("--sandbox=none",)):
            status, log = self.activate("virtiod-blk", [f"--blk-file={image}", "--format=raw",
                                                        *options], greet, self.as_service())
            self.assertEqual(status, 0, (options, log))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
