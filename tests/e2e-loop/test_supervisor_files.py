#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtiod and its files: what is read again, added and removed; order, delays, errors, the log."""
import os
import pwd
import stat
import unittest

from harness import ABSENT, FAILED, MIB, SANITIZED, USAGE, main, wait_until
from virtiod import Virtiod, VirtiodTest, is_alive


class Files(VirtiodTest):
    def test_reload(self):
        self.write("a", "[vm/same]\ndevice=rng\n[vm/other]\ndevice=rng\n")
        self.write("b", "[vm/gone]\ndevice=rng\n")
        v = self.start()
        before = v.pids()
        os.unlink(os.path.join(self.conf, "b.conf"))
        self.write("a", "# a comment\n[vm/other]\ndevice=rng\nworkers=2\nsocket-mode=0660\n"
                        "[vm/same]\ndevice=rng\nafter=other\n")
        self.write("c", "[vm2/new]\ndevice=rng\n")
        self.assertIn("1 started, 1 stopped, 1 restarted, 1 unchanged", v.hang_up())
        v.wait_for({"ready"})
        after = v.pids()
        self.assertEqual(set(after), {"vm/same", "vm/other", "vm2/new"})
        self.assertEqual(after["vm/same"], before["vm/same"])
        self.assertNotEqual(after["vm/other"], before["vm/other"])
        self.assertEqual(stat.S_IMODE(os.stat(self.socket("vm/other")).st_mode), 0o660)
        self.assertFalse(os.path.exists(self.socket("vm/gone")))
        wait_until(lambda: not is_alive(before["vm/gone"]), "its end")
        self.write("c", "[vm2/new]\ndevice=rng\nx\n")
        self.assertIn("c.conf:3: [vm2/new]: 'x' is not KEY=VALUE", v.hang_up())
        self.assertEqual(v.pids(), after)
        self.stop(v)

    def test_removed_and_added_again(self):
        """Before it has ended."""
        self.script("slow", "trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.02; done")
        self.write("a", "[vm/slow]\ndevice=slow\n")
        v = Virtiod(self).wait_ready()
        v.wait_for({"starting"})
        pid = v.pids()["vm/slow"]
        self.write("a", "")
        self.assertIn("1 stopped", v.hang_up())
        self.write("a", "[vm/slow]\ndevice=slow\n")
        v.hang_up()
        wait_until(lambda: v.pids()["vm/slow"] not in (None, pid), "the next one")
        self.assertFalse(is_alive(pid))
        self.assertTrue(os.path.exists(self.socket("vm/slow")))
        self.stop(v)

    def test_commands(self):
        image = self.file("an image", size=MIB)
        run = f"--run-dir={self.run_dir}"
        v = self.start()
        out, _ = self.ctl("add", run, "vm/disk", "device=blk", f"blk-file={image}",
                          "read-only=true",
                          f"--sandbox={'none' if SANITIZED else 'strict'}")
        self.assertEqual(out, b"started 1, stopped 0, restarted 0, unchanged 0\n")
        self.assertEqual(self.contents(os.path.join(self.conf, "vm+disk.conf")).decode(),
                         f"[vm/disk]\ndevice=blk\nblk-file={image}\nread-only=true\n")
        self.ctl("add", run, "vm/rng", "device=rng", "after=disk")
        v.wait_for({"ready"})
        properties = self.probe(self.socket("vm/disk"))
        self.assertIn("RO", self.names(properties, "features"))
        lines = self.ctl("list", run)[0].decode().splitlines()
        self.assertEqual([line.split()[:3] for line in lines],
                         [["NAME", "DEVICE", "STATE"], ["vm/disk", "blk", "ready"],
                          ["vm/rng", "rng", "ready"]])
        self.assertEqual(lines[1].split()[3:], [str(v.pids()["vm/disk"]), "0",
                                                self.socket("vm/disk")])
        pids = v.pids()
        self.ctl("restart", run, "vm/disk")
        wait_until(lambda: v.pids()["vm/disk"] not in (None, pids["vm/disk"]), "the next one")
        for args, message in (
                (("add", "vm/rng", "device=rng"), "has a group of this name, too"),
                (("add", "vm/x", "device=rng", "workers=0"),
                 "vm+x.conf:3: [vm/x]: invalid --workers=0: a number from 1 to 64"),
                (("add", "vm/x", "device=nothing"), "there is no program"),
                (("add", "../x", "device=rng"), "invalid name '../x'"),
                (("add", "vm/x", "device=rng", "[vm/y]="), "invalid group"),
                (("remove", "vm/disk"), "there is no group [vm/disk]"),
                (("remove", "vm/x"), "has a group [vm/x]"),
                (("restart", "vm/x"), "there is no device 'vm/x'")):
            self.assertIn(message, self.ctl(args[0], run, *args[1:], expect=FAILED)[1])
        self.assertEqual(sorted(os.listdir(self.conf)), ["vm+disk.conf", "vm+rng.conf"])
        self.assertIn("is not KEY=VALUE", self.ctl("add", run, "vm/x", "device", expect=USAGE)[1])
        self.ctl("remove", run, "vm/rng")
        self.ctl("remove", run, "vm/disk")
        self.assertEqual(os.listdir(self.conf), [])
        self.assertEqual(v.list(), {})
        self.write("a", "[a/1]\ndevice=rng\n\n# of 2\n[a/2]\ndevice=rng\n# the end\n")
        self.assertEqual(self.ctl("reload", run)[0],
                         b"started 2, stopped 0, restarted 0, unchanged 0\n")
        self.ctl("remove", run, "a/1")
        self.assertEqual(self.contents(os.path.join(self.conf, "a.conf")),
                         b"\n# of 2\n[a/2]\ndevice=rng\n# the end\n")
        self.stop(v)
        self.ctl("list", run, expect=ABSENT)

    def test_order(self):
        """Each is started when those before it are ready, and ends before them."""
        self.write("a", "[vm/3]\ndevice=rng\nafter=2\n[vm/2]\ndevice=rng\nafter=1\n"
                        "[vm/1]\ndevice=rng\n")
        v = self.start("--log-level=debug")
        self.stop(v)
        log = v.log()
        places = [log.index(f"vm/{i}: started") for i in (1, 2, 3)]
        if "is killed" not in log:  # on a very slow machine
            places += [log.index(f"vm/{i}: ended") for i in (3, 2, 1)]
        self.assertEqual(places, sorted(places), log)

    def test_waits_no_longer(self):
        self.script("never", "while :; do sleep 0.1; done")
        self.write("a", "[vm/a]\ndevice=never\n[vm/b]\ndevice=rng\nafter=a\nwait=1\n")
        v = Virtiod(self).wait_ready()
        wait_until(lambda: v.list()["vm/b"]["state"] == "ready", "the other one")
        self.assertIn("warning: vm/b: those of after= are not ready within wait=1", v.log())
        self.stop(v)

    def test_delays_grow(self):
        self.script("bad", "echo virtiod-bad: error: no luck >&2; exit 1")
        self.write("a", "[vm/bad]\ndevice=bad\n")
        v = Virtiod(self).wait_ready()
        wait_until(lambda: "again in 80 ms" in v.log(), "the fourth one")
        log = v.log()
        for line in ("error: vm/bad: no luck", "warning: vm/bad: ended with status 1",
                     "warning: vm/bad: it has ended: starting it again in 10 ms",
                     "again in 20 ms", "again in 40 ms"):
            self.assertIn(line, log)
        self.assertGreaterEqual(v.list()["vm/bad"]["restarts"], 4)
        self.stop(v)

    def test_wrong_options(self):
        """It is not started again: it would end again."""
        self.write("a", "[vm/rng]\ndevice=rng\nworkers=0\n[vm/no]\ndevice=nothing\n")
        v = Virtiod(self).wait_ready()
        v.wait_for({"failed"})
        self.assertIn("error: vm/rng: invalid --workers=0: a number from 1 to 64", v.log())
        self.assertIn("error: vm/rng: its options are wrong: is not started again", v.log())
        self.assertIn("error: vm/no: cannot start '", v.log())
        self.assertEqual(v.list()["vm/rng"]["restarts"], 1)
        self.write("a", "[vm/rng]\ndevice=rng\n")
        v.hang_up()
        v.wait_for({"ready"})
        self.stop(v)

    def test_check_config(self):
        self.assertEqual(self.check(), "0 devices\n")
        self.write("a", "[vm/a]\ndevice=rng\n")
        self.assertEqual(self.check(), "1 devices\n")
        self.write("b", "[vm/b]\ndevice=rng\nlog-level=info\nworkers=0\n"
                        "[vm/c]\ndevice=rng\n\nno-such=1\n[vm/d]\ndevice=nothing\n")
        said = self.check(expect=USAGE)
        self.assertIn("b.conf:4: [vm/b]: invalid --workers=0: a number from 1 to 64\n", said)
        self.assertIn("b.conf:8: [vm/c]: Unknown option --no-such=1\n", said)
        self.assertIn("b.conf:9: [vm/d]: invalid device=nothing: there is no program", said)
        self.assertIn("3 of 4 devices cannot be started", said)
        self.write("b", "[vm/a]\ndevice=rng\n")
        self.assertIn("a.conf:1 has a group of this name", self.check(expect=USAGE))
        v = Virtiod(self)
        self.assertEqual(v.wait(), USAGE, v.log())

    def test_only_one(self):
        v = self.start()
        other = Virtiod(self)
        self.assertEqual(other.wait(), FAILED)
        self.assertIn("another process serves it", other.log())
        self.stop(v)

    def test_folder_of_others(self):
        os.mkdir(self.run_dir)
        os.chmod(self.run_dir, 0o777)
        v = Virtiod(self)
        self.assertEqual(v.wait(), FAILED)
        self.assertIn("no other user may write", v.log())

    @unittest.skipIf(os.getuid() != 0, "another user needs root")
    def test_user(self):
        os.chmod(self.dir, 0o755)
        self.write("a", "[vm/a]\ndevice=rng\nuser=nobody\nsandbox=none\n"
                        "[vm/b]\ndevice=rng\nuser=nobody\nsandbox=strict\n")
        v = self.start()
        for pid in v.pids().values():
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                self.assertIn(f"Uid:\t{pwd.getpwnam('nobody').pw_uid}\t", f.read())
        self.stop(v)


if __name__ == "__main__":
    main()
