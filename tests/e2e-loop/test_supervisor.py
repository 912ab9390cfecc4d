#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtiod under load: many devices, killed and restarted; a virtiod that is replaced or killed."""
import os
import signal
import time

from harness import LONG, MIB, SANITIZED, Client, main, wait_until
from virtiod import Virtiod, VirtiodTest, is_alive

DEVICES = 32
SECONDS = 60 if LONG else 1
KIB_RSS = 3072


class Supervisor(VirtiodTest):
    def disk(self, i):
        return self.file(f"a disk {i}")

    def write_devices(self, n=DEVICES, disks=2):
        for i in range(n):
            kind = "device=rng\n"
            if i < disks:
                self.file(f"a disk {i}", size=MIB)
                kind = f"device=blk\nblk-file={self.disk(i)}\n"
            self.write(f"vm{i}", f"[vm{i}/d]\n{kind}")

    def test_many(self):
        """32 devices: all are ready, each comes back, all end in time."""
        self.write_devices()
        v = self.start()
        before = v.pids()
        self.assertEqual(len(before), DEVICES)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(d["restarts"] == 1 and d["state"] == "ready"
                               for d in v.list().values()), "all again")
        after = v.pids()
        self.assertFalse(set(before.values()) & set(after.values()))
        for name in ("vm0/d", f"vm{DEVICES - 1}/d"):
            self.probe(self.socket(name))
        rss = v.rss_kib()
        seconds = v.timed_stop()
        print(f"{DEVICES} devices: RSS of virtiod {rss} KiB, end within {seconds:.2f} s")
        if not SANITIZED:
            self.assertLessEqual(rss, KIB_RSS)
        self.assertFalse(any(map(is_alive, after.values())))
        self.assertEqual(os.listdir(self.run_dir), [])

    def test_socket_outlives_its_process(self):
        """A front-end that comes while no process is there waits, and is served."""
        self.script("late", f"while [ ! -e {self.file('go')} ]; do sleep 0.01; done\n"
                            f"exec {self.programs}/virtiod-rng \"$@\"")
        self.write("a", "[vm/late]\ndevice=late\n")
        v = Virtiod(self).wait_ready()
        wait_until(lambda: os.path.exists(self.socket("vm/late")), "the socket")
        self.assertEqual(v.states(), {"starting"})
        client = Client(self.socket("vm/late"))
        client.send(Client.GET_FEATURES)
        self.file("go", b"")
        self.assertEqual(client.receive()[0], Client.GET_FEATURES)
        client.close()
        self.stop(v)

    def test_killed_under_load(self):
        """Processes of disks are killed again and again: nothing is lost."""
        self.write_devices(n=3)
        v = self.start()
        pids, loads = v.pids(), []
        for i in range(2):
            loads.append(self.bench(f"vm{i}/d", self.disk(i), SECONDS))
            os.kill(pids[f"vm{i}/d"], signal.SIGKILL)
        end = time.monotonic() + SECONDS / 2
        while time.monotonic() < end:
            v.wait_for({"ready"})
            for name in "vm0/d", "vm1/d":
                os.kill(v.pids()[name], signal.SIGKILL)
            wait_until(lambda: all(v.pids().values()), "the next ones")
        for load in loads:
            self.verified(load, 1)
        self.stop(v)

    def test_replaced_under_load(self):
        """SIGUSR2: the program is another one, and no device notices."""
        self.write_devices(n=2)
        v = self.start()
        load = self.bench("vm0/d", self.disk(0), 1)
        before = v.pids()
        for n in range(1, 4):
            v.process.send_signal(signal.SIGUSR2)
            wait_until(lambda n=n: v.log().count("2 devices of") == n + 1, "the next one")
            self.assertEqual(v.pids(), before)
        self.assertEqual(self.verified(load, 0)["reconnects"], 0)
        # It is as good as the first: it sees how they end, and what they say.
        os.kill(before["vm1/d"], signal.SIGKILL)
        wait_until(lambda: v.list()["vm1/d"]["restarts"] == 1, "one again")
        self.assertIn("vm1/d: was ended by signal 9", v.log())
        v.timed_stop()
        self.assertEqual(os.listdir(self.run_dir), [])

    def test_replaced_with_other_files(self):
        """What has changed meanwhile is changed; with wrong files all stays."""
        self.write("a", "[vm/a]\ndevice=rng\n[vm/b]\ndevice=rng\n[vm/c]\ndevice=rng\n")
        v = self.start()
        before = v.pids()
        self.write("a", "[vm/a]\n")
        v.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: "has no device=TYPE; nothing was changed" in v.log(), "the error")
        self.assertEqual(v.pids(), before)
        self.write("a", "[vm/a]\ndevice=rng\n[vm/b]\ndevice=rng\nworkers=2\n[vm/d]\ndevice=rng\n")
        v.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: v.log().count(" devices of") == 2, "the next one")
        v.wait_for({"ready"})
        wait_until(lambda: not is_alive(before["vm/c"]), "one ends")
        after = v.pids()
        self.assertEqual(set(after), {"vm/a", "vm/b", "vm/d"})
        self.assertEqual(after["vm/a"], before["vm/a"])
        self.assertNotEqual(after["vm/b"], before["vm/b"])
        self.stop(v)

    def test_killed_itself_under_load(self):
        """Its devices go on; the next one ends them and starts its own: nothing is lost."""
        self.write_devices(n=3)
        v = self.start()
        before = v.pids()
        load = self.bench("vm0/d", self.disk(0), SECONDS + 2)
        end = time.monotonic() + SECONDS + 1
        v.kill()
        self.assertTrue(all(map(is_alive, before.values())))
        again = self.start()
        self.assertIn("ending 3 processes that it left", again.log())
        self.assertFalse(any(map(is_alive, before.values())))
        # On a very slow machine the load may have ended by now.
        self.verified(load, 1 if time.monotonic() < end else 0)
        self.stop(again)

    def test_stubborn(self):
        """One that does not end is killed, and delays the end by less than two seconds."""
        self.script("deaf", "trap '' TERM; while :; do sleep 0.1; done")
        self.write("a", "[vm/deaf]\ndevice=deaf\n[vm/rng]\ndevice=rng\nafter=deaf\nwait=0\n")
        v = Virtiod(self).wait_ready()
        v.wait_for({"ready", "starting"})
        wait_until(lambda: v.list()["vm/rng"]["state"] == "ready", "the other one")
        pid = v.pids()["vm/deaf"]
        self.assertGreater(v.timed_stop(), 1)
        self.assertIn("warning: vm/deaf: did not end within 1500 ms and is killed", v.log())
        self.assertFalse(is_alive(pid))


if __name__ == "__main__":
    main()
