#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl stats, inflight and metrics: what daemons count is what the load generator counts."""
import json
import os
import re
import subprocess

from harness import (ABSENT, FAILED, MIB, OK, PATIENCE, SANITIZED, USAGE, VIRTIOCTL, LoopTest,
                     main, pattern, wait_until)
from test_call import Server

STRICT = "--sandbox=none" if SANITIZED else "--sandbox=strict"
SAMPLE = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)+)\} (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def parse(text):
    """OpenMetrics as virtioctl writes it, checked: {(name, labels): value}."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""], lines[-2:]
    samples, families, family, kind, buckets = {}, set(), None, None, {}
    for line in lines[:-2]:
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            if what == "TYPE":
                assert name not in families, f"{name} comes twice"
                families.add(name)
                family, kind = name, rest
            assert what in ("TYPE", "HELP", "UNIT") and name == family, line
            assert what != "UNIT" or name.endswith("_" + rest), line
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        assert name.startswith(family) and name[len(family):] in SUFFIXES[kind], line
        labels = tuple(LABEL.findall(labels))
        assert len(dict(labels)) == len(labels), line
        value = float(value)
        assert (name, labels) not in samples, line
        samples[name, labels] = value
        if name.endswith("_bucket"):
            assert labels[-1][0] == "le", line
            buckets.setdefault((family, labels[:-1]), []).append((float(labels[-1][1]), value))
    for (name, labels), pairs in buckets.items():
        assert pairs == sorted(pairs) and pairs[-1][0] == float("inf"), pairs
        assert [n for _, n in pairs] == sorted(n for _, n in pairs), pairs
        assert pairs[-1][1] == samples[name + "_count", labels], labels
    return samples


class Stats(LoopTest):
    def setUp(self):
        super().setUp()
        self.image = self.file("img", pattern(4 * MIB))
        self.folder = self.file("run")
        os.mkdir(self.folder)
        self.control = os.path.join(self.folder, "a.control")

    def disk(self, *options):
        return self.blk(self.image, f"--control={self.control}", STRICT, *options)

    def bench(self, path, *options, expect=OK):
        out, _ = self.ctl("bench", "--json", *options, path, expect=expect)
        return json.loads(out)

    def stats(self):
        out, _ = self.ctl("stats", STRICT, "--json", self.control)
        answer = json.loads(out)
        self.assertEqual(answer["socket"], self.control)
        return answer["result"]

    def types(self):
        """{type: numbers}, of all queues."""
        sums = {}
        for queue in self.stats()["queues"]:
            self.assertEqual(sum(t["requests"] for t in queue["types"]), queue["requests"])
            for t in queue["types"]:
                self.assertEqual(sum(t["latency"]), t["requests"])
                self.assertGreater(t["latency_ns"], 0)
                to = sums.setdefault(t["type"], {"requests": 0, "bytes": 0, "errors": 0})
                for key in to:
                    to[key] += t[key]
        return sums

    def test_exact(self):
        for engine in ("sync", "mmap", "uring"):
            for packed in ("on", "off"):
                with self.subTest(engine=engine, packed=packed):
                    d = self.disk(f"--engine={engine}", "--num-queues=2", "--workers=2")
                    run = (f"--packed={packed}", "--queues=2", "--block-size=8K")
                    self.bench(d.path, "--requests=1001", "--rw=randread", *run)
                    self.assertEqual(self.types(), {
                        "read": {"requests": 1001, "bytes": 1001 * 8192, "errors": 0}})
                    self.bench(d.path, "--requests=500", "--rw=write", *run)
                    types = self.types()
                    self.assertEqual(types["read"]["requests"], 1001)
                    self.assertEqual(types["write"],
                                     {"requests": 500, "bytes": 500 * 8192, "errors": 0})
                    stats = self.stats()
                    self.assertEqual((stats["device"], stats["front_end"]), ("blk", "absent"))
                    self.assertEqual(stats["connections"], 2)
                    for queue in stats["queues"]:
                        self.assertGreater(queue["kicks"], 0)
                        self.assertGreater(queue["calls"], 0)
                        self.assertLessEqual(queue["index_updates"], queue["requests"])
                    self.stop(d)

    def test_other_types(self):
        d = self.disk()
        self.ctl("write", d.path, data=pattern(3 * MIB))
        types = self.types()
        self.assertEqual(types["write"]["bytes"], 3 * MIB)
        self.assertEqual((types["flush"]["requests"], types["flush"]["bytes"]), (1, 0))

    def test_errors(self):
        d = self.disk("--engine=sync")
        os.truncate(self.image, 0)
        result = self.bench(d.path, "--requests=100", expect=FAILED)
        self.assertEqual(result["errors"], 100)
        self.assertEqual(self.types(), {"read": {"requests": 100, "bytes": 0, "errors": 100}})

    def test_in_flight(self):
        d = self.disk("--engine=uring")
        with subprocess.Popen([VIRTIOCTL, "bench", "--seconds=1000", "--block-size=64K", d.path],
                              stdout=subprocess.DEVNULL) as load:
            seen = []

            def look():
                out, _ = self.ctl("inflight", STRICT, "--json", self.control)
                seen[:] = json.loads(out)["result"]["queues"]
                return seen

            wait_until(look, "requests in flight")
            oldest = seen[0]["oldest"]
            self.assertEqual(seen[0]["queue"], 0)
            self.assertLessEqual(len(oldest), 32)
            self.assertIn(oldest[0]["type"], ("read", "other"))
            times = [r["us"] for r in oldest]
            self.assertEqual(times, sorted(times, reverse=True))
            self.assertLess(times[0], PATIENCE * 1e6)

            def line():
                return re.search(r"^  queue 0 id \d+ read: \d+\.\d{6} s$",
                                 self.ctl("inflight", self.control)[0].decode(), re.M)

            wait_until(line, "a line for people")
            load.send_signal(2)
            load.wait(PATIENCE)
        out, _ = self.ctl("inflight", self.folder)
        self.assertEqual(out.decode(), f"{self.control}: blk: nothing in flight\n")

    def test_text(self):
        d = self.disk()
        self.bench(d.path, "--requests=100")
        out, _ = self.ctl("stats", STRICT, self.folder)
        self.assertRegex(out.decode(), rf"^{self.control}: blk, front-end absent, 1 connection, up "
                                       r"\d+:\d\d, CPU \d+\.\d{3} s\n")
        self.assertRegex(out.decode(), r"\n +0 stopped +100 ")
        self.assertRegex(out.decode(), r"\n  read +100 +409600 +0 ( +\d+\.\d){3}\n")

    def test_metrics(self):
        odd = os.path.join(self.folder, 'b"\\.control')
        d = self.disk("--num-queues=2", "--workers=2")
        self.rng(f"--control={odd}")
        self.bench(d.path, "--requests=3000", "--rw=mixed", "--queues=2")
        out, err = self.ctl("metrics", STRICT, self.folder, "gone", expect=ABSENT)
        samples = parse(out.decode())
        self.assertIn("gone", err)
        self.assertEqual(samples["virtiod_up", (("socket", "gone"),)], 0)
        self.assertEqual(samples["virtiod_up", (("socket", self.control),)], 1)
        self.assertEqual(samples["virtiod_up", (("socket", odd.replace("\\", "\\\\")
                                                 .replace('"', '\\"')),)], 1)
        labels = (("socket", self.control), ("device", "blk"))
        self.assertEqual(sum(samples["virtiod_queue_requests_total", (*labels, ("queue", q))]
                             for q in ("0", "1")), 3000)
        for name, wanted in (("virtiod_requests_total", 3000),
                             ("virtiod_request_bytes_total", 3000 * 4096),
                             ("virtiod_request_errors_total", 0),
                             ("virtiod_request_duration_seconds_count", 3000)):
            self.assertEqual(sum(samples[name, (*labels, ("type", t))]
                                 for t in ("read", "write")), wanted, name)
        self.assertEqual(samples["virtiod_connections_total", labels], 1)
        self.assertEqual(samples["virtiod_connected", labels], 0)

    def test_not_a_device(self):
        d = self.disk()
        for verb in ("stats", "inflight", "metrics"):
            _, err = self.ctl(verb, d.path, expect=FAILED)
            self.assertIn(f"{d.path}: the daemon closed the connection", err)
            self.ctl(verb, expect=USAGE)
            _, err = self.ctl(verb, self.dir, expect=FAILED)
            self.assertIn(".control", err)
            _, err = self.ctl(verb, self.file("none"), expect=ABSENT)
            self.assertIn("none", err)
        # One that fails does not keep the others from being asked.
        out, _ = self.ctl("stats", "--json", "gone", self.control, expect=ABSENT)
        self.assertEqual(json.loads(out)["result"]["device"], "blk")

    def bad(self, verbs, *results):
        for result in results:
            for verb in verbs:
                with self.subTest(result=result, verb=verb):
                    server = Server(self, b'{"id":1,"result":' + result + b"}\n")
                    _, err = self.ctl(verb, server.path, expect=FAILED)
                    self.assertIn("the answer is not that of a device", err)

    def test_bad_answers(self):
        def queue(members):
            return b'{"device":"x","queues":[{' + members + b"}]}"

        self.bad(("stats", "inflight", "metrics"), b"{}", b"1", b"[]", b'{"device":1}',
                 b'{"device":"x","queues":{}}', b'{"device":"x","queues":[1]}',
                 queue(b'"queue":"0"'))
        self.bad(("stats", "metrics"), b'{"device":"x","uptime_us":"1"}', queue(b'"types":1'),
                 queue(b'"types":[1]'), queue(b'"types":[' + b"{}," * 8 + b"{}]"),
                 queue(b'"types":[{"latency":1}]'),
                 queue(b'"types":[{"latency":[' + b"1," * 28 + b"1]}]"),
                 b'{"device":"x","xen":[]}')
        self.bad(("inflight",), queue(b'"oldest":1'), queue(b'"oldest":[1]'),
                 queue(b'"oldest":[{"us":null}]'))

    def test_hostile_names(self):
        """Nothing of a daemon's reaches the terminal, or breaks a label."""
        answer = ('{"id":1,"result":{"device":"\\u001b[2J\\"}","queues":[{"queue":0,"state":"a b",'
                  '"requests":99999999999999999999,"in_flight":2,"types":[{"type":"' + "y" * 100 +
                  '","requests":1}],"oldest":[{"id":1,"type":"\\n","us":5}]}]}}\n').encode()
        for verb, wanted in (("stats", "??2J??, front-end "), ("inflight", "id 1 ?: 0.000005 s"),
                             ("metrics", 'device="??2J??",type="' + "y" * 23 + '"')):
            out, _ = self.ctl(verb, Server(self, answer).path)
            self.assertIn(wanted, out.decode())


if __name__ == "__main__":
    main()
