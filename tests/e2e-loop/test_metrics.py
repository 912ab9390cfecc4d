#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtiod --metrics: what the devices count, by HTTP; clients that mean harm delay nobody."""
import os
import signal
import socket
import subprocess
import time
import unittest

from harness import FAILED, MIB, PATIENCE, SANITIZED, USAGE, main, wait_until
from test_stats import parse
from virtiod import VIRTIOD, Virtiod, VirtiodTest, is_alive

PROGRAM = os.environ["VIRTIOD_METRICS"]
KIB_RSS = 3072
CONNECTIONS = 16  # of one address


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


class Metrics(VirtiodTest):
    def setUp(self):
        super().setUp()
        os.symlink(PROGRAM, os.path.join(self.programs, "virtiod-metrics"))
        self.file("disk", size=MIB)
        self.port = free_port()

    def control(self, name):
        return os.path.join(self.dir, name + ".control")

    def write_devices(self):
        self.write("a", f"[vm/disk]\ndevice=blk\nblk-file={self.file('disk')}\n"
                        f"control={self.control('disk')}\n"
                        f"[vm/rng]\ndevice=rng\ncontrol={self.control('rng')}\n"
                        "[vm/other]\ndevice=rng\n")

    def serve(self, address="127.0.0.1"):
        self.write_devices()
        return self.start(f"--metrics={address}:{self.port}")

    def connect(self, source="127.0.0.1"):
        client = socket.socket()
        self.addCleanup(client.close)
        client.bind((source, 0))
        client.connect(("127.0.0.1", self.port))
        client.settimeout(PATIENCE)
        return client

    def answer(self, client):
        """Status, headers and body, as they are framed."""
        data = b""
        while part := client.recv(65536):
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        self.assertEqual(headers["Connection"], "close")
        return int(first.split()[1]), headers, body

    def request(self, method="GET", path="/metrics", source="127.0.0.1"):
        with self.connect(source) as client:
            client.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            return self.answer(client)

    def samples(self, **how):
        status, headers, body = self.request(**how)
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"],
                         "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.assertEqual(len(body), int(headers["Content-Length"]))
        return parse(body.decode())

    def up(self):
        return {dict(labels)["socket"]: value
                for (name, labels), value in self.samples().items() if name == "virtiod_up"}

    def server(self, v):
        """The process that serves: a child of virtiod."""
        children = subprocess.run(["pgrep", "-P", str(v.pid), "-x", "virtiod-metrics"],
                                  capture_output=True, text=True, check=False).stdout.split()
        return int(children[0]) if children else None

    def test_counts(self):
        v = self.serve()
        both = {self.control("disk"): 1, self.control("rng"): 1}
        wait_until(lambda: self.up() == both, "both")
        self.ctl("bench", "--requests=1001", "--rw=randread", "--block-size=8K",
                 self.socket("vm/disk"))
        labels = (("socket", self.control("disk")), ("device", "blk"), ("type", "read"))
        wait_until(lambda: ("virtiod_requests_total", labels) in self.samples(), "requests")
        time.sleep(1)  # what is served may be so old
        samples = self.samples()
        self.assertEqual(samples["virtiod_requests_total", labels], 1001)
        self.assertEqual(samples["virtiod_request_bytes_total", labels], 1001 * 8192)
        printed = parse(self.ctl("metrics", self.control("disk"), self.control("rng"))[0].decode())
        self.assertEqual(set(samples), set(printed))
        if not SANITIZED:
            self.assertLessEqual(v.rss_kib(), KIB_RSS)
        server = self.server(v)
        v.timed_stop()
        self.assertFalse(is_alive(server))
        with self.assertRaises(ConnectionRefusedError):
            self.connect()

    def test_life(self):
        """It follows the files, and outlives its own process and virtiod's program."""
        v = self.serve()
        wait_until(lambda: len(self.up()) == 2, "both")
        v.call("add", "name=vm/more", f"lines=device=rng\ncontrol={self.control('more')}")
        wait_until(lambda: self.up().get(self.control("more")) == 1, "the new one")
        server = self.server(v)
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: self.server(v) not in (None, server), "the next one")
        self.assertEqual(len(self.up()), 3)
        v.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: v.log().count(" devices of") == 2, "the next virtiod")
        wait_until(lambda: self.server(v), "its server")
        wait_until(lambda: sum(self.up().values()) == 3, "all of them")
        self.stop(v)

    def test_ipv6(self):
        try:
            self.port = free_port(socket.AF_INET6, "::1")
        except OSError:
            raise unittest.SkipTest("no IPv6") from None
        v = self.serve("[::1]")
        with socket.create_connection(("::1", self.port)) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            self.assertEqual(self.answer(client)[0], 200)
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.stop(v)

    def test_nothing_else(self):
        v = self.serve()
        for path in "/", "/metric", "/metrics/", "/../metrics", "//metrics", "/%00":
            self.assertEqual(self.request(path=path)[0], 404, path)
        for method in "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "get", "X":
            status, headers, _ = self.request(method)
            self.assertEqual((status, headers["Allow"]), (405, "GET"), method)
        self.stop(v)

    def test_silent_device(self):
        v = self.serve()
        wait_until(lambda: sum(self.up().values()) == 2, "both")
        pid = v.pids()["vm/rng"]
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: self.up() == {self.control("disk"): 1, self.control("rng"): 0},
                       "the one that is stopped")
            took = []
            for _ in range(5):
                time.sleep(1.05)  # what is served may be a second old
                start = time.monotonic()
                self.up()
                took.append(time.monotonic() - start)
            self.assertLess(min(took), 0.9)  # if it waited for that one, each took a second
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: sum(self.up().values()) == 2, "it again")
        self.stop(v)

    def test_hostile(self):
        v = self.serve()
        wait_until(lambda: sum(self.up().values()) == 2, "both")
        server = self.server(v)
        for i, data in enumerate((b"\0" * 65536, b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
                                  b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
                                  b"GET /metrics HTTP/9.9\r\n\r\n", b"\r\n" * 1000, b"\x16\x03\x01",
                                  b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: "
                                  b"99999999999999999999\r\n\r\n" + b"x" * 65536,
                                  b"POST / HTTP/1.1\r\nHost: a\r\n"
                                  b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n")):
            with self.subTest(i=i), self.connect() as client:
                try:
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
                except OSError:
                    pass  # it did not want all of that
        for _ in range(300):
            self.connect().close()
        self.assertEqual(sum(self.up().values()), 2)
        self.assertEqual(self.server(v), server, v.log())
        self.stop(v)

    def test_slow(self):
        """As many as there can be of an address send a byte now and then, or read nothing."""
        v = self.serve()
        wait_until(lambda: sum(self.up().values()) == 2, "both")
        slow = [self.connect("127.0.0.3") for _ in range(CONNECTIONS)]
        start, ended = time.monotonic(), set()
        for client in slow[::2]:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        while len(ended) < len(slow):
            self.assertLess(time.monotonic() - start, PATIENCE)
            before = time.monotonic()
            self.samples(source="127.0.0.2")
            self.assertLess(time.monotonic() - before, 5)  # ten, if it waited for one of them
            for client in slow[1::2]:
                try:
                    client.send(b"G")
                except OSError:
                    ended.add(client)
            for client in slow[::2]:
                if time.monotonic() - start > 8:
                    ended.add(client)
            time.sleep(0.5)
        self.assertGreater(time.monotonic() - start, 5)
        self.stop(v)

    def refused(self, text, expect):
        done = subprocess.run([VIRTIOD, *self.options(), f"--metrics={text}"], timeout=PATIENCE,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stderr

    def test_wrong(self):
        for text in ("9464", ":9464", "*:9464", "localhost:9464", "127.0.0.1", "127.0.0.1:",
                     "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1: 1", "1.2.3:4",
                     "::1:9464", "[::1]", "[::1]9464", "[::1:9464", "[]:9464", "[127.0.0.1]:9464",
                     ""):
            with self.subTest(text=text):
                self.assertIn(f"--metrics={text}: an address", self.refused(text, USAGE))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            used = f"127.0.0.1:{s.getsockname()[1]}"
            self.assertIn(f"cannot listen at {used}: Address already in use",
                          self.refused(used, FAILED))
        self.assertEqual(os.listdir(self.run_dir), [])
        os.unlink(os.path.join(self.programs, "virtiod-metrics"))
        self.assertIn(f"{self.programs}/virtiod-metrics", self.refused("127.0.0.1:9464", FAILED))

    def test_taken(self):
        """A virtiod that takes devices over goes on without it."""
        v = self.serve()
        wait_until(lambda: len(self.up()) == 2, "both")
        os.unlink(os.path.join(self.programs, "virtiod-metrics"))
        before = v.pids()
        v.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: v.log().count(" devices of") == 2, "the next virtiod")
        self.assertEqual(v.pids(), before)
        self.assertIn("for --metrics", v.log())
        self.stop(v)


if __name__ == "__main__":
    main()
