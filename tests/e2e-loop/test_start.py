#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a daemon starts, refuses to start, is told things by signals, and ends."""
import grp
import json
import os
import signal
import socket
import stat
import subprocess
import time

from harness import (BLK, FAILED, MIB, PATIENCE, RNG, USAGE, VIRTIOCTL, Client, Daemon, LoopTest,
                     listens, main, pattern, wait_until)


class Start(LoopTest):
    def run_to_end(self, *argv):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
                              check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def refused(self, *argv):
        """Must not start: status 1 or 2, a message on stderr; returns it."""
        status, out, err = self.run_to_end(*argv)
        self.assertIn(status, (FAILED, USAGE), f"{argv}: {err}")
        self.assertEqual(out, "")
        self.assertTrue(err.strip(), argv)
        return err

    def test_stale_socket_is_replaced(self):
        path = self.file("s")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
        d = Daemon(self, [RNG, f"--socket-path={path}"], path).wait_ready()
        self.ctl("probe", path)
        self.stop(d)

    def test_socket_of_a_killed_daemon_is_replaced(self):
        """Also of one that was killed while it started: nothing goes on holding the socket."""
        path = self.file("s")
        argv = [RNG, f"--socket-path={path}"]
        for i in range(100):
            first = Daemon(self, argv, path)
            while not os.path.exists(path) or not listens(path):
                self.assertIsNone(first.process.poll(), first.log())
            time.sleep(i * 10e-6)
            first.kill()
            self.assertFalse(listens(path))
            os.unlink(path)
        first = Daemon(self, argv, path).wait_ready()
        first.kill()
        self.assertTrue(os.path.exists(path))
        second = Daemon(self, argv, path).wait_ready()
        self.ctl("probe", path)
        self.stop(second)

    def test_unmeant_files_are_refused(self):
        sock = f"--socket-path={self.file('s')}"
        image = self.file("img", b"QFI\xfb\0\0\0\3" + bytes(4096))
        self.assertIn("--format=raw", self.refused(BLK, sock, f"--blk-file={image}"))
        self.assertIn("/dev/zero", self.refused(RNG, sock, "--filename=/dev/zero"))

    def test_live_socket_is_refused(self):
        d = self.rng()
        inode = os.stat(d.path).st_ino
        self.assertIn(d.path, self.refused(RNG, f"--socket-path={d.path}"))
        self.assertEqual(os.stat(d.path).st_ino, inode)
        self.ctl("probe", d.path)
        self.stop(d)

    def test_other_files_are_left_alone(self):
        path = self.file("precious", b"data")
        self.assertIn(path, self.refused(RNG, f"--socket-path={path}"))
        self.assertEqual(self.contents(path), b"data")
        self.refused(RNG, f"--socket-path={self.dir}")

    def test_mode_and_group(self):
        d = self.rng()
        self.assertEqual(stat.S_IMODE(os.stat(d.path).st_mode), 0o600)
        self.stop(d)
        d = self.rng("--socket-mode=0660")
        self.assertEqual(stat.S_IMODE(os.stat(d.path).st_mode), 0o660)
        self.stop(d)
        if os.getuid() != 0:
            self.skipTest("another group needs root")
        group = grp.getgrnam("kvm" if any(g.gr_name == "kvm" for g in grp.getgrall()) else "daemon")
        d = self.rng(f"--socket-group={group.gr_name}", "--socket-mode=0660")
        self.assertEqual(os.stat(d.path).st_gid, group.gr_gid)
        self.assertEqual(stat.S_IMODE(os.stat(d.path).st_mode), 0o660)
        self.stop(d)

    def test_capabilities(self):
        for program, kind in ((BLK, "block"), (RNG, "rng")):
            status, out, err = self.run_to_end(program, "--print-capabilities")
            self.assertEqual((status, err), (0, ""))
            self.assertEqual(json.loads(out)["type"], kind)
        # The conventions: whatever else is on the command line is ignored.
        status, out, _ = self.run_to_end(BLK, "--print-capabilities", "--socket-path=/nowhere/s",
                                         "--blk-file=/nowhere/img")
        self.assertEqual(status, 0)
        self.assertLessEqual({"read-only", "blk-file"}, set(json.loads(out)["features"]))

    def test_check_options(self):
        """Names and values, and nothing else: no socket, no image."""
        for options, said in (
                (("--blk-file=/nowhere/img", "--workers=2"), None),
                (("--workers=0",), "invalid --workers=0: a number from 1 to 64"),
                (("--no-such=1",), "Unknown option --no-such=1"),
                (("--fd=3", "--socket-path=x"), "--fd and --socket-path exclude each other")):
            status, out, err = self.run_to_end(BLK, *options, "--check-options")
            self.assertEqual((status, out), (2 if said else 0, ""), err)
            self.assertIn(said or "", err)

    def test_help_and_version(self):
        for program in (BLK, RNG):
            status, out, _ = self.run_to_end(program, "--help")
            self.assertEqual(status, 0)
            self.assertTrue(out.isascii() and "[OPTION...]" in out, out)
            for option in ("--socket-path", "--fd", "--print-capabilities", "--socket-mode",
                           "--socket-group", "--one-off", "--log-level"):
                self.assertIn(option, out)
            status, out, _ = self.run_to_end(program, "--version")
            self.assertEqual(status, 0)
            self.assertIn(os.path.basename(program), out)

    def test_ends_on_signals(self):
        for signum in (signal.SIGTERM, signal.SIGINT):
            d = self.rng()
            client = Client(d.path)
            client.features()
            self.assertEqual(d.stop(signum), 0, d.log())
            self.assertFalse(os.path.exists(d.path))
            client.close()

    def test_ends_under_load(self):
        image = self.file("img", size=2048 * MIB)
        d = self.blk(image)
        ctl = subprocess.Popen([VIRTIOCTL, "write", "--length=2048M", d.path, "/dev/zero"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(lambda: os.stat(image).st_blocks, "requests")
        self.assertEqual(d.stop(), 0, d.log())
        _, err = ctl.communicate(timeout=PATIENCE)
        self.assertEqual(ctl.returncode, FAILED)
        self.assertIn(b"back-end", err)

    def test_refusals(self):
        sock = f"--socket-path={self.file('s')}"
        image = f"--blk-file={self.file('img', size=MIB)}"
        for argv in ([RNG], [RNG, sock, "--fd=3"], [RNG, sock, "--nonsense"],
                     [RNG, sock, "surplus"], [RNG, "--fd=99"], [RNG, "--fd=-5"],
                     [RNG, "--socket-path=" + self.file("none/s")],
                     [RNG, "--socket-path=" + self.file("x" * 120)],
                     [RNG, sock, "--socket-mode=9"], [RNG, sock, "--socket-mode=10000"],
                     [RNG, sock, "--socket-group=no-such-group"],
                     [RNG, sock, "--log-level=loud"],
                     [RNG, sock, "--filename=/nonexistent/source"],
                     [BLK, sock], [BLK, sock, "--blk-file=/nonexistent/image"],
                     [BLK, sock, f"--blk-file={self.dir}"],
                     [BLK, sock, image, "--num-queues=-1"], [BLK, sock, image, "--num-queues=1000"],
                     [BLK, sock, image, "--block-size=1000"],
                     [BLK, sock, image, "--serial=" + "x" * 21]):
            self.refused(*argv)
            self.assertFalse(os.path.exists(self.file("s")), argv)  # it never listened

    def test_options_exit_status(self):
        """A wrong command line is status 2 in every program, what it names is status 1."""
        sock = f"--socket-path={self.file('s')}"
        for argv in ([RNG, "--nonsense"], [RNG], [BLK, sock], [RNG, "--fd=-2"],
                     [BLK, sock, "--blk-file=/x", "--read-only=maybe"],
                     [BLK, sock, "--fd=0"], [RNG, sock, "--chroot=/"],
                     [RNG, sock, "--run-as=no-such-user"],
                     [VIRTIOCTL], [VIRTIOCTL, "probe"], [VIRTIOCTL, "bench", "--rw=x", "/s"],
                     [VIRTIOCTL, "bench", "--seconds=1", "--requests=1", "/s"]):
            self.assertEqual(self.run_to_end(*argv)[0], USAGE, argv)
        for argv in ([RNG, "--fd=99"], [BLK, sock, "--blk-file=/nonexistent/image"],
                     [RNG, "--socket-path=" + self.file("none/s")]):
            self.assertEqual(self.run_to_end(*argv)[0], FAILED, argv)

    def test_options_switched_off(self):
        """A switch with a value is what the value says."""
        image = self.file("img", size=MIB)
        for value, read_only in (("off", False), ("no", False), ("on", True), ("yes", True)):
            d = self.blk(image, f"--read-only={value}")
            features = self.names(self.probe(d.path), "features")
            self.assertEqual("RO" in features, read_only, value)
            self.stop(d)
        d = self.rng("--one-off=no")
        self.ctl("probe", d.path)
        self.ctl("probe", d.path)
        self.stop(d)

    def test_options_file_names_are_bytes(self):
        """Whatever the locale; a service manager's is C."""
        for locale in ("C", "C.UTF-8"):
            for name in ("d\u00efsk".encode(), b"d\xefsk"):
                path = self.file("s")
                image = os.path.join(os.fsencode(self.dir), name)
                with open(image, "wb") as f:
                    f.truncate(MIB)
                env = dict(os.environ, LC_ALL=locale)
                d = Daemon(self, [BLK, f"--socket-path={path}", b"--blk-file=" + image,
                                  b"--serial=" + name], path, env=env).wait_ready()
                done = subprocess.run([VIRTIOCTL, "read", path, image + b".copy"], env=env,
                                      timeout=PATIENCE, check=False)
                self.assertEqual(done.returncode, 0)
                self.assertEqual(os.path.getsize(image + b".copy"), MIB)
                self.stop(d)

    def test_fd_that_is_no_socket(self):
        with open("/dev/null", "rb") as null:
            done = subprocess.run([RNG, f"--fd={null.fileno()}"], pass_fds=(null.fileno(),),
                                  capture_output=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr)

    def test_second_writer_is_refused(self):
        image = self.file("img", pattern(MIB))
        d = self.blk(image)
        for options in ([], ["--read-only"]):
            err = self.refused(BLK, f"--socket-path={self.file('other')}", f"--blk-file={image}",
                               *options)
            self.assertIn(image, err)
        self.ctl("read", d.path, "/dev/null")
        self.stop(d)
        self.stop(self.blk(image))  # the lock has gone with its owner

    def test_read_only_is_hinted(self):
        """A file or mount that cannot be written names the remedy; --read-only gets on."""
        path = "/sys/kernel/uevent_seqnum"  # not writable, for root either
        argv = (BLK, f"--socket-path={self.file('s')}", f"--blk-file={path}")
        self.assertIn("--read-only", self.refused(*argv))
        self.stop(self.blk(path, "--read-only"))
        self.assertNotIn("--read-only", self.refused(*argv[:2], "--blk-file=/nonexistent/image"))

    def test_many_readers(self):
        image = self.file("img", pattern(MIB))
        readers = [self.blk(image, "--read-only") for _ in range(2)]
        self.refused(BLK, f"--socket-path={self.file('other')}", f"--blk-file={image}")
        for d in readers:
            self.ctl("read", d.path, "/dev/null")
            self.stop(d)

    def test_resize(self):
        """A larger file and SIGHUP: the next probe shows it, and the new part can be written."""
        image = self.file("img", size=MIB)
        d = self.blk(image)
        self.assertEqual(self.probe(d.path)["block"]["capacity"], MIB // 512)
        os.truncate(image, 3 * MIB)
        os.kill(d.pid, signal.SIGHUP)
        wait_until(lambda: "sectors now" in d.log(), "noticing the new size")
        self.assertEqual(self.probe(d.path)["block"]["capacity"], 3 * MIB // 512)
        data = pattern(MIB, seed=9)
        self.ctl("write", "--offset=2M", d.path, data=data)
        self.stop(d)
        self.assertEqual(self.contents(image)[2 * MIB:], data)


if __name__ == "__main__":
    main()
