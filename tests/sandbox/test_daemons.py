#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a back-end that was taken over still reaches: virtiod-escape tries it, from inside."""
import os
import re
import select
import signal
import socket
import struct
import subprocess
import unittest

import reach
from escape import (NOBODY, PATIENCE, EscapeTest, as_user, confinement, limits_of, open_files,
                    source, status_of)
from harness import BLK, DEVICES, MIB, RNG, Client, Daemon, main, program, wait_until

ESCAPE = os.environ["VIRTIOD_ESCAPE"]
LIBRARY = os.environ["VIRTIOD_ESCAPE_LIBRARY"]
SET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE = 2, 5, 8, 9, 10
SET_VRING_KICK, SET_VRING_CALL = 12, 13
NOT_LISTED = reach.no(" ".join(reach.LISTED.values()) +
                      " MMAP_BATCH MAP_GRANTS UNMAP_GRANTS COPY_GRANTS")
MEMORY, AVAIL, USED, BUFFER = 1 << 16, 0x1000, 0x2000, 0x3000


class Queue:
    """A queue of a back-end, with a request; behind its buffer is what escape.c looks for."""

    def __init__(self, client, kick, requests=1):
        self.memory, self.call = os.memfd_create("memory"), os.eventfd(0)
        os.truncate(self.memory, MEMORY)
        for offset, data in ((0, struct.pack("<QIHH", BUFFER, 8, 0, 0)),
                             (AVAIL, struct.pack("<HHH", 0, requests, 0)),
                             (BUFFER + 8, b"not named by requests\0")):
            os.pwrite(self.memory, data, offset)
        for request, payload, fds in (
                (SET_FEATURES, struct.pack("=Q", 1 << 32), []),
                (SET_MEM_TABLE, struct.pack("=II4Q", 1, 0, 0, MEMORY, 0, 0), [self.memory]),
                (SET_VRING_NUM, struct.pack("=II", 0, 16), []),
                (SET_VRING_ADDR, struct.pack("=II4Q", 0, 0, 0, USED, AVAIL, 0), []),
                (SET_VRING_BASE, bytes(8), []),
                (SET_VRING_CALL, bytes(8), [self.call]),
                (SET_VRING_KICK, bytes(8), [kick])):
            message = struct.pack("=III", request, 1, len(payload)) + payload
            socket.send_fds(client.sock, [message], fds)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self.memory)
        os.close(self.call)


def eventfds(pid, *fds):
    """The kernel's numbers of a process's eventfds."""
    numbers = set()
    for fd in fds or os.listdir(f"/proc/{pid}/fd"):
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
            numbers.update(re.findall(r"^eventfd-id:\s*(\S+)", f.read(), re.MULTILINE))
    return numbers


class Sandbox(EscapeTest):
    program = reach.BACK_END
    calls = ("daemon/sandbox.c",)

    def setUp(self):
        super().setUp()
        self.sockets = self.file("sockets")
        os.mkdir(self.sockets)
        for folder in (self.dir, self.sockets):
            os.chmod(folder, 0o777)

    def start(self, program, *options, user, env=None):
        path = os.path.join(self.sockets, f"s{next(self.numbers)}")
        argv = [*as_user(user), program, f"--socket-path={path}", *options]
        return self.ready(Daemon(self, argv, path, env={**os.environ, **(env or {})}))

    def ready(self, d):
        """It listens before it enters the sandbox; afterwards it tells."""
        wait_until(lambda: "listening at" in d.log() or d.process.poll() is not None, "ready")
        self.assertIsNone(d.process.poll(), d.log())
        return d

    def attempts(self, d, signum=signal.SIGHUP):
        d.process.send_signal(signum)
        wait_until(lambda: "attempt: calls:" in d.log() or d.process.poll() is not None, "end",
                   PATIENCE)
        self.assertIsNone(d.process.poll(), d.log())
        return self.results(d.log())

    def confinement(self, d):
        found = confinement(d.pid)
        found["descriptors"] = f"{int(found['descriptors']) - 4} descriptors and 4 for each queue"
        user = status_of(f"/proc/{d.pid}/status")["Uid"]
        return found, int(user)

    def test_attempts(self):
        """Nothing but what the table tells."""
        victim = self.start_victim()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as target, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            target.bind("\0virtiod-victim")
            manager.bind(self.file("notify"))
            os.chmod(self.file("notify"), 0o777)
            for user, mode in self.modes():
                with self.subTest(user=user, mode=mode):
                    self.check_attempts(user, mode, victim.pid)

    def check_attempts(self, user, mode, victim):
        for name in ("victim", "sockets/sibling"):
            self.file(name, b"")
        d = self.start(ESCAPE, f"--sandbox={mode}", f"--victim={victim}", user=user,
                       env={"NOTIFY_SOCKET": self.file("notify")})
        self.assertNotIn("the sandbox does without", d.log())
        results, uid = self.confinement(d)
        kick = os.eventfd(1)
        with Client(d.path) as client, Queue(client, kick) as queue:
            wait_until(lambda: "attempt: guest_memory" in d.log(), "the request")
            if {*eventfds("self", kick, queue.call)} <= eventfds(d.pid):
                results["vring_eventfds"] = "works"
            results.update(self.attempts(d), user="the same" if uid == user else str(uid))
        os.close(kick)
        with Client(d.path) as client:
            client.features()
            results["next_front_end"] = "works"
        self.check_reach(results, NOT_LISTED)
        self.assertEqual(os.listdir(self.sockets), [os.path.basename(d.path)])
        self.assertTrue(os.path.exists(self.file("victim")))
        self.stop(d)
        self.assertEqual(os.listdir(self.sockets), [])

    def test_xen(self):
        d = self.start(ESCAPE, "--xen=on", user=os.geteuid())
        results = self.attempts(d)
        self.check_reach({name: results[name] for name in (
            "MMAP_BATCH", "MAP_GRANTS", "UNMAP_GRANTS", "COPY_GRANTS", "DM_OP")})
        self.stop(d)

    def test_files(self):
        """Those of real devices that are open."""
        for name, mode, path_of, *options in (
                ("disk_image", "", BLK, "--blk-file="), ("read_only_image", "", BLK, "--read-only",
                                                         "--blk-file="),
                ("filename", "", RNG, "--filename="),
                ("eeprom_file", "", program("i2c"), "--sim=eeprom@0x50,file=")):
            path = self.file(name, size=MIB)
            options[-1] += path
            d = self.start(path_of, *options, user=os.geteuid())
            files = open_files(d.pid)
            files.pop(d.log_path)
            self.assertEqual(list(files), [path])
            self.check_reach({name: files[path]})
            self.stop(d)

    def test_sockets(self):
        """Those that a device has listed, by a process that is confined, too."""
        path = os.path.join(self.sockets, "stem_7")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            os.chmod(path, 0o777)
            listener.listen()
            for user, mode in self.modes():
                d = self.start(ESCAPE, f"--sandbox={mode}", user=user,
                               env={"STEM": path.removesuffix("7")})
                results = self.attempts(d)
                self.check_reach({name: results[name] for name in (
                    "numbered_socket", "other_socket", "socket_unix", "connect", "pair")
                    if name in results})
                connector = int(source(f"/proc/{d.pid}/task/{d.pid}/children"))
                found = status_of(f"/proc/{connector}/status")
                self.assertEqual((found["Seccomp"], found["Uid"]), ("2", str(user)))
                self.stop(d)

    def test_ioctls(self):
        """Those of the devices' own tables."""
        ways = {"blk": [["--blk-file=" + self.file("image", size=MIB)]], **DEVICES}
        for device, listed in reach.LISTED.items():
            d = self.start(program(device), *ways[device][0], user=os.geteuid(),
                           env={"LD_PRELOAD": LIBRARY, "SWEEP": "1"})
            results = self.attempts(d, signal.SIGUSR2)
            self.check_reach({name: results[name] for name in reach.IOCTLS},
                             {**NOT_LISTED, **reach.yes(listed)})
            self.tried.update(listed.split())
            self.stop(d)

    def check_confined(self, d):
        self.check_reach(confinement(d.pid), {"descriptors": limits_of(d.pid)["descriptors"]})

    def sibling(self, d, name):
        """Tries to remove a file beside the socket."""
        self.file("sockets/sibling", b"")
        self.check_reach({name: self.attempts(d)["unlink_sibling"]})
        self.assertTrue(os.path.exists(self.file("sockets/sibling")))
        self.assertEqual(d.stop(), 0, d.log())

    def test_given_sockets(self):
        """By --fd, and as service managers do."""
        for name, script in (
                ("unlink_sibling_fd", "exec {program} --fd={fd}"),
                ("unlink_sibling_activated",
                 "LISTEN_FDS=1 LISTEN_PID=$$ exec {program} 3<&{fd}")):
            path = os.path.join(self.sockets, name)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen()
                fd = listener.fileno()
                script = script.format(fd=fd, program=ESCAPE)
                d = Daemon(self, ["sh", "-c", script], path, pass_fds=[fd])
                wait_until(lambda p=d.pid: status_of(f"/proc/{p}/status")["Seccomp"] == "2", "it")
            self.sibling(d, name)

    @unittest.skipUnless(os.geteuid() == 0, "only root can change them")
    def test_user_and_root(self):
        os.mkdir(self.file("root"))
        d = self.start(ESCAPE, f"--run-as={NOBODY}", "--chroot=" + self.file("root"), user=0)
        _, uid = self.confinement(d)
        self.check_reach({"user_of_run_as": "another" if uid == NOBODY else str(uid)})
        self.sibling(d, "unlink_sibling_chroot")

    def test_log(self):
        text = source("common/base/log.c")
        lines = re.search(r"#define PROCESS_LINES (\d+)", text).group(1)
        seconds = re.search(r"#define LIMIT_WINDOW \((\d+) \* G_USEC_PER_SEC\)", text).group(1)
        self.check_reach({"log_lines": f"{lines} in {seconds} seconds"})

    def test_z_complete(self):
        self.check_complete(only_root=("unlink_sibling_chroot", "user_of_run_as"))

    def test_violation(self):
        """It is logged with the system call's name, and is the end."""
        for user, mode in self.modes():
            d = self.start(ESCAPE, f"--sandbox={mode}", "--carelessly", user=user)
            d.process.send_signal(signal.SIGHUP)
            self.assertEqual(d.wait(), -signal.SIGSYS)
            self.assertIn("the sandbox forbids the system call execve (", d.log())

    def test_none(self):
        """What --sandbox=none is for: nothing is given up."""
        d = self.start(RNG, "--sandbox=none", user=os.geteuid())
        status = status_of(f"/proc/{d.pid}/status")
        self.assertEqual((status["Seccomp"], status["CapEff"]),
                         ("0", status_of("/proc/self/status")["CapEff"]))
        self.assertEqual(os.readlink(f"/proc/{d.pid}/root"), "/")
        self.stop(d)

    def test_real_devices(self):
        """They serve; SIGHUP finds a new size, and a name that was lost."""
        image = self.file("img", size=MIB)
        os.chmod(image, 0o666)
        for user, mode in self.modes():
            for name, options in ((name, o) for name, ways in DEVICES.items() for o in ways):
                d = self.start(program(name), f"--sandbox={mode}", *options, user=user)
                self.check_confined(d)
                self.probe(d.path)
                self.stop(d)
            for engine in ("auto", "uring", "sync", "mmap"):
                os.truncate(image, MIB)
                d = self.start(BLK, f"--sandbox={mode}", f"--blk-file={image}",
                               f"--engine={engine}", user=user)
                self.check_confined(d)
                self.ctl("bench", "--requests=50", "--rw=mixed", d.path)
                os.truncate(image, 2 * MIB)
                os.rename(image, image + "2")
                d.process.send_signal(signal.SIGHUP)
                wait_until(lambda d=d: "4096 sectors now" in d.log(), "the new size")
                wait_until(lambda d=d: "has been renamed, removed or replaced" in d.log(), "that")
                os.rename(image + "2", image)
                self.stop(d)
                self.assertFalse(os.path.exists(d.path))

    def test_stale_notify_socket(self):
        """A service manager that is not there is not looked for again."""
        d = self.start(RNG, user=os.geteuid(), env={"NOTIFY_SOCKET": self.file("notify")})
        self.probe(d.path)
        self.stop(d)

    def test_kick_by_pipe(self):
        d = self.start(RNG, user=os.geteuid())
        read, write = os.pipe()
        with Client(d.path) as client, Queue(client, read, requests=0):
            os.write(write, bytes(8))
            wait_until(lambda: not select.select([read], [], [], 0)[0]
                       or d.process.poll() is not None, "that the kick is taken")
            client.features()
        for fd in read, write:
            os.close(fd)
        self.stop(d)

    @unittest.skipUnless(os.geteuid() == 0, "only root can forbid it")
    def test_not_permitted(self):
        """Without namespaces: auto does without and says so, strict refuses."""
        path = self.file("s")
        argv = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", f"--reuid={NOBODY}",
                f"--regid={NOBODY}", "--clear-groups", "--", "python3", "-c", NO_NAMESPACES, RNG,
                f"--socket-path={path}"]
        d = self.ready(Daemon(self, [*argv, "--sandbox=auto"], path))
        words = ("network namespace (Operation not permitted), IPC namespace (Operation not "
                 "permitted), empty root directory (Operation not permitted)")
        self.assertEqual(d.log().count("the sandbox does without: "), 1)
        self.assertIn("the sandbox does without: " + words, d.log())
        self.assertEqual(status_of(f"/proc/{d.pid}/status")["Seccomp"], "2")
        self.probe(d.path)
        self.stop(d)
        done = subprocess.run([*argv, "--sandbox=strict"], capture_output=True, text=True,
                              check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--sandbox=strict: this machine does not permit: " + words, done.stderr)
        self.assertFalse(os.path.exists(path))


# Runs argv[1:] where unshare() fails, as in a container.
NO_NAMESPACES = """
import ctypes, os, struct, sys
UNSHARE = {"x86_64": 272, "aarch64": 97}[os.uname().machine]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, UNSHARE), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
text = b"".join(struct.pack("=HBBI", *c) for c in code)
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(text)
program = struct.pack("@HP", len(code), ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""

if __name__ == "__main__":
    main()
