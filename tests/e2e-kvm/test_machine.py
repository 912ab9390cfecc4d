#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtiod-kvm on this machine's KVM, which need not be able to run Linux: with its own guest, and
with one of a few instructions that says what is typed."""
import json
import os
import pty
import select
import signal
import stat
import subprocess
import sys
import termios
import time

from harness import (BLK, MIB, PATIENCE, RNG, Daemon, LoopTest, main, pattern, sha256,
                     sha256_file, wait_until)
from pvh import out, vmlinux

KVM = os.environ["VIRTIOD_KVM"]
SHM = os.environ["VIRTIOD_SHM"]

# Exit statuses.
OK, FAILED, USAGE, NO_KVM, NO_BACK_END, CRASHED, GUEST_FAILED = range(7)

# 32-bit code: for ever, what comes in at the serial port goes out again.
ECHO = bytes.fromhex("66bafd03 ec a801 74fb b2f8 ec ee b2fd ebf3")
CRASH = bytes.fromhex("0f0b")  # ud2, and there is no handler


def children(pid):
    """Its back-ends: not the process that connects to sockets."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        pids = [int(child) for child in f.read().split()]
    return [child for child in pids if name_of(child) != "connector"]


def name_of(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as f:
        return f.read().rstrip("\n")


def runs(pid):
    """One that has ended and waits for its new parent does not count."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class KvmTest(LoopTest):
    def setUp(self):
        super().setUp()
        self.folder = self.file("discovery")
        os.mkdir(self.folder)
        self.discovery("50-blk", "block", BLK)
        self.discovery("60-rng", "rng", RNG)

    def discovery(self, name, kind, binary):
        with open(os.path.join(self.folder, name + ".json"), "w", encoding="utf-8") as f:
            json.dump({"description": name, "type": kind, "binary": binary}, f)

    def argv(self, *options, devices=()):
        return [KVM, "--memory=16M", f"--discovery-dir={self.folder}", *options,
                *(f"--device={device}" for device in devices)]

    def run_to_end(self, *options, devices=(), expect=OK):
        """Returns what the serial port said, and the messages."""
        done = subprocess.run(self.argv(*options, devices=devices), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PATIENCE, check=False)
        out, err = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, expect, out + err)
        return out, err

    def kernel(self, code):
        return "--kernel=" + self.file("kernel", vmlinux(code))


class ToItsEnd(KvmTest):
    def selftest(self, *devices):
        out, err = self.run_to_end("--guest=selftest", devices=devices)
        self.assertIn(f"{len(devices)} devices, {len(devices)} passed, 0 failed", out, err)
        return out

    def test_no_device(self):
        self.selftest()

    def test_by_socket(self):
        image = self.file("img", pattern(MIB))
        blk, rng = self.blk(image, "--num-queues=2"), self.rng()
        out = self.selftest(f"socket={blk.path}", f"socket={rng.path}")
        self.assertIn("slot 0: device id 2", out)
        self.assertIn("slot 1: device id 4", out)
        self.assertEqual(sha256_file(image), sha256(pattern(MIB)), "not put back")
        self.selftest(f"socket={rng.path}")  # the daemons go on after the machine's end
        self.stop(blk)
        self.stop(rng)

    def test_by_discovery(self):
        self.selftest("type=rng", f"type=block,blk-file={self.file('img', size=MIB)},num-queues=2")

    def test_shared_memory(self):
        sock = self.file("shared.sock")
        back_end = Daemon(self, [SHM, f"--socket-path={sock}"], sock)
        back_end.wait_ready()
        out = self.selftest(f"socket={sock}")
        self.assertRegex(out, "shared memory 1: 128 KiB at 0x[0-9a-f]+, "
                              "16384 words are not zero, sum 0x8002000")
        self.stop(back_end)

    def test_console_file(self):
        out, _ = self.run_to_end("--guest=selftest", f"--console={self.file('log')}",
                                 devices=["type=rng"])
        self.assertEqual(out, "")
        self.assertIn(b"1 devices, 1 passed", self.contents(self.file("log")))

    def test_back_end_that_does_not_start(self):
        _, err = self.run_to_end("--guest=selftest", devices=["type=block"], expect=NO_BACK_END)
        self.assertIn(BLK, err)
        self.assertIn("blk-file", err)  # what it said itself
        absent = self.file("absent.sock")
        _, err = self.run_to_end("--guest=selftest", devices=[f"socket={absent}"],
                                 expect=NO_BACK_END)
        self.assertIn(absent, err)
        _, err = self.run_to_end("--guest=selftest", devices=["type=gramophone"],
                                 expect=NO_BACK_END)
        self.assertIn("gramophone", err)

    def test_wrong_options(self):
        self.run_to_end("--guest=selftest", "--cpus=0", expect=USAGE)
        self.run_to_end("--guest=selftest", devices=["colour=red"], expect=USAGE)
        self.run_to_end(expect=USAGE)

    def test_loader_no_reboot(self):
        for port, value in (0x602, 1), (0x64, 0xfe), (0xcf9, 6):
            _, err = self.run_to_end(self.kernel(out(port, value)), "--no-reboot")
            self.assertIn("--no-reboot", err)

    def test_loader_ram_limit(self):
        _, err = self.run_to_end("--guest=selftest", "--memory=1073741824G", expect=FAILED)
        self.assertRegex(err, "MiB.*MiB")

    def test_crash(self):
        self.run_to_end(self.kernel(CRASH), expect=CRASHED)


def heed_quit():
    """What a shell has put in the background ignores it, and so do all its children."""
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


class Running(KvmTest):
    """On a terminal of its own, with the guest that echoes."""

    def setUp(self):
        super().setUp()
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, self.slave)
        attributes = termios.tcgetattr(self.slave)
        attributes[3] &= ~termios.ECHO  # so that only the guest echoes
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        self.before = termios.tcgetattr(self.slave)
        self.starts = 0

    def start(self, *devices):
        self.log = self.file("messages")
        with open(self.log, "wb") as log:
            self.vm = subprocess.Popen(self.argv(self.kernel(ECHO), devices=devices),
                                       stdin=self.slave, stdout=self.slave, stderr=log,
                                       preexec_fn=heed_quit)
        self.addCleanup(self.end, self.vm)
        # Bytes from before the guest's start may be lost, and an earlier guest's may still come.
        self.starts += 1
        mark = b"<%d>" % self.starts
        wait_until(lambda: self.vm.poll() is not None or self.echoes(mark), "echo")
        self.assertIsNone(self.vm.poll(), self.contents(self.log))

    def end(self, vm):
        if vm.poll() is None:
            vm.kill()
        vm.wait()

    def echoes(self, text, seconds=0.3):
        os.write(self.master, text)
        end, got = time.monotonic() + seconds, b""
        while text not in got:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                return False
            got += os.read(self.master, 4096)
        return True

    def messages(self):
        return self.contents(self.log).decode()

    def start_with_children(self):
        self.start("type=rng", f"type=block,blk-file={self.file('img', size=MIB)}")
        pids = children(self.vm.pid)
        self.assertEqual(len(pids), 2)
        self.assertNotEqual(termios.tcgetattr(self.slave), self.before)
        return pids

    def assert_clean(self, pids):
        self.assertEqual([name for name in os.listdir(self.dir)
                          if stat.S_ISSOCK(os.stat(self.file(name)).st_mode)], [])
        self.assertEqual([pid for pid in pids if runs(pid)], [], "back-ends outlive the machine")
        self.assertEqual(termios.tcgetattr(self.slave), self.before, "the terminal stays raw")

    def test_raw_terminal(self):
        pids = self.start_with_children()
        self.assertTrue(self.echoes(b"\x03\r\x1a\x04", PATIENCE))
        self.assertTrue(self.echoes(bytes(range(0x20, 0x7f)), PATIENCE))
        os.write(self.master, b"\x01x")
        self.assertEqual(self.vm.wait(PATIENCE), OK, self.messages())
        self.assert_clean(pids)

    def test_signals(self):
        for signum in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            with self.subTest(signum.name):
                pids = self.start_with_children()
                self.vm.send_signal(signum)
                self.assertEqual(self.vm.wait(PATIENCE), OK, self.messages())
                self.assert_clean(pids)

    def test_fatal_signal(self):
        pids = self.start_with_children()
        self.vm.send_signal(signal.SIGQUIT)
        self.assertEqual(self.vm.wait(PATIENCE), -signal.SIGQUIT)
        wait_until(lambda: not any(map(runs, pids)), "the back-ends' end")
        self.assert_clean(pids)

    def test_killed(self):
        """Not even then do back-ends stay: their only connection is gone."""
        pids = self.start_with_children()
        self.vm.kill()
        self.vm.wait()
        wait_until(lambda: not any(map(runs, pids)), "the back-ends' end")

    def test_terminated_before_the_guest_runs(self):
        """It waits for its second device; the first is there."""
        vm = subprocess.Popen(self.argv(self.kernel(ECHO), devices=[
            "type=rng", f"socket={self.file('absent')}"]), stdin=subprocess.DEVNULL)
        self.addCleanup(self.end, vm)
        wait_until(lambda: children(vm.pid), "the first back-end")
        pids = children(vm.pid)
        vm.terminate()
        vm.wait(PATIENCE)
        wait_until(lambda: not any(map(runs, pids)), "the back-end's end")

    def test_lost_back_end(self):
        image = self.file("img", size=MIB)
        blk = self.blk(image)
        self.start(f"socket={blk.path}", "type=rng")
        blk.stop(signal.SIGKILL)
        wait_until(lambda: blk.path in self.messages(), "a message that names the device")
        self.assertTrue(self.echoes(b"still here", PATIENCE))
        rng, = children(self.vm.pid)
        os.kill(rng, signal.SIGKILL)
        wait_until(lambda: "rng" in self.messages(), "a message that names the device")
        self.assertTrue(self.echoes(b"still here", PATIENCE))
        # Back at the same socket, where the killed one has left its file.
        os.unlink(blk.path)
        again = Daemon(self, [BLK, f"--socket-path={blk.path}", f"--blk-file={image}"], blk.path)
        again.wait_ready()
        wait_until(lambda: self.messages().count(blk.path) > 1, "a message about the return")
        self.vm.terminate()
        self.assertEqual(self.vm.wait(PATIENCE), OK, self.messages())
        self.stop(again)
        self.assert_clean([])


if __name__ == "__main__":
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("SKIPPED: no /dev/kvm here, or no access to it", file=sys.stderr)
        sys.exit(77)
    main()
