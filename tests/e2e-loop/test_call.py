#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtioctl call: at a daemon's control socket, and at servers that answer badly."""
import json
import os
import socket
import subprocess
import threading

from harness import ABSENT, FAILED, OK, PATIENCE, USAGE, VIRTIOCTL, LoopTest, main

RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"a":1}}\n'


class Server:
    """Takes one request, sends these pieces, and closes the connection unless it is to stay."""

    def __init__(self, test, *pieces, stay=False):
        self.path = test.file(f"server{next(test.numbers)}")
        self.pieces, self.stay = pieces, stay
        self.request = b""
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        test.addCleanup(self.close)

    def serve(self):
        client, _ = self.listener.accept()
        with client:
            client.settimeout(PATIENCE)
            while not self.request.endswith(b"\n"):
                self.request += client.recv(4096)
            try:
                for piece in self.pieces:
                    client.sendall(piece)
                while self.stay and client.recv(4096):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has had enough

    def close(self):
        self.listener.close()
        self.thread.join(PATIENCE)


class Call(LoopTest):
    def call(self, *args, **kwargs):
        out, err = self.ctl("call", *args, **kwargs)
        return out.decode(), err

    def server(self, *pieces, expect=OK, args=("m",), options=(), **kwargs):
        s = Server(self, *pieces, **kwargs)
        out, err = self.call(*options, s.path, *args, expect=expect)
        return out, err, json.loads(s.request)

    def test_daemon(self):
        control = self.file("control")
        d = self.rng(f"--control={control}")
        self.assertEqual(os.stat(control).st_mode & 0o777, 0o600)
        status = json.loads(self.call(control, "status")[0])
        self.assertEqual((status["device"], status["pid"]), ("rng", d.pid))
        self.assertEqual(self.call(control, "log-level", "level=debug"),
                         ('{"level":"debug"}\n', ""))
        for arg, error in (("level=loud", "level: not error"), ("volume=1", "volume: no such")):
            out, err = self.call(control, "log-level", arg, expect=FAILED)
            self.assertEqual(out, "")
            self.assertIn(error, err)
        self.assertIn("virtioctl: ", self.call(control, "sing", expect=FAILED)[1])
        self.assertIn("virtioctl: ", self.call(d.path, "status", expect=FAILED)[1])
        self.call(control, "quit")
        self.assertEqual(d.wait(), 0, d.log())
        self.call(control, "status", expect=ABSENT)

    def test_parameters(self):
        """Integers, true and false are sent as such, every other value as a string."""
        args = ("a=1", "b=-20", "c=true", "d=false", "e=", "f=0x50", "g=01", "h=1.5", "i=a=b",
                "j=" + "9" * 30, "k=\u00e4\"\\", "l=-", "m=0")
        _, _, request = self.server(RESULT, args=("set", *args))
        self.assertEqual(request, {"jsonrpc": "2.0", "id": 1, "method": "set", "params": {
            "a": 1, "b": -20, "c": True, "d": False, "e": "", "f": "0x50", "g": "01", "h": "1.5",
            "i": "a=b", "j": "9" * 30, "k": "\u00e4\"\\", "l": "-", "m": 0}})

    def test_bad_usage(self):
        for args in ((), ("socket",), ("socket", "m", "key"), ("socket", "m", "=1"),
                     ("--timeout=0", "socket", "m"), ("--probe=off", "socket", "m")):
            self.call(*args, expect=USAGE)

    def test_pieces(self):
        out, _, _ = self.server(*(bytes([byte]) for byte in RESULT))
        self.assertEqual(out, '{"a":1}\n')

    def test_error_object(self):
        _, err, _ = self.server(
            b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no \\u001b[2J\\u009b"}}\n',
            expect=FAILED)
        self.assertEqual(err, "virtioctl: no \\u001b[2J\\u009b\n")

    def test_bad_answers(self):
        for answer in (b"", b"{", b"x\n", b"\n", b"{}\n", b"[]\n", RESULT[:-1], b"\xff\n",
                       b'{"result":{}}\n', b'{"id":1}\n', b'{"id":1,"error":{}}\n',
                       b'{"id":1,"error":"x"}\n', b'{"id":1,"result":"\x1b"}\n',
                       b'{"id":1,"result":' + b"[" * 1000 + b"]" * 1000 + b"}\n"):
            with self.subTest(answer=answer):
                out, err, _ = self.server(answer, expect=FAILED)
                self.assertEqual(out, "")
                self.assertIn("virtioctl: the ", err)

    def test_control_characters(self):
        """What has them otherwise than as escapes is shown with these."""
        out, _, _ = self.server('{"id":1,"result":\t{"a":\t"\u009b\x7f"}}\n'.encode())
        self.assertEqual(out, '{"a": "\\u009b\\u007f"}\n')

    def test_endless(self):
        _, err, _ = self.server(*([b" " * (1 << 20)] * 8), expect=FAILED)
        self.assertIn("longer than", err)

    def test_silence(self):
        for pieces in ((), (RESULT[:-1],)):
            _, err, _ = self.server(*pieces, stay=True, expect=FAILED, options=("--timeout=1",))
            self.assertIn("no answer came in time", err)

    def test_events(self):
        """They follow the result, until the daemon ends; what is not text is the end, too."""
        s = Server(self, RESULT, b'{"method":"x\x1b"}\n', b"\xff\n", b'{"method":"y"}\n', stay=True)
        with subprocess.Popen([VIRTIOCTL, "call", s.path, "watch"], stdout=subprocess.PIPE) as p:
            out, _ = p.communicate(timeout=PATIENCE)
        self.assertEqual(p.returncode, 0)
        self.assertEqual(out.decode(), '{"a":1}\n{"method":"x\\u001b"}\n')


if __name__ == "__main__":
    main()
