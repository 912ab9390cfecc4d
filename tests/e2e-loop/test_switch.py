#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtiod-switch with peers on stream sockets, and a tap: forwarding, faults, floods, restarts."""
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import threading

from harness import FAILED, PATIENCE, SANITIZED, USAGE, Daemon, LoopTest, main, wait_until

SWITCH = os.environ["VIRTIOD_SWITCH"]
TYPE = 0x88B5  # for experiments
BROADCAST = b"\xff" * 6
MAX_FRAME = 69632
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 2, 0x1000, 0x4000
MIB_IN_KIB = 1024


def mac(n):
    return bytes([2, 0, 0, 0, 0, n])


def frame(to, source, payload=bytes(46), vlan=None):
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    return to + source + tag + struct.pack(">H", TYPE) + payload


def framed(data):
    return struct.pack(">I", len(data)) + data


class Peer:
    """The other end of a port."""

    def __init__(self, test, sock):
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        test.addCleanup(self.sock.close)

    def send(self, *args, **kwargs):
        self.sock.sendall(framed(frame(*args, **kwargs)))

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        return self.read(struct.unpack(">I", self.read(4))[0])

    def close(self):
        self.sock.close()


class Running(Daemon):
    """The program; path is the control socket's."""

    def __init__(self, test, *options, sandbox="strict", **kwargs):
        self.test = test
        control = test.file(f"control{next(test.numbers)}")
        sandbox = "none" if SANITIZED else sandbox
        super().__init__(test, [SWITCH, f"--control={control}", f"--sandbox={sandbox}", *options],
                         control, **kwargs)
        self.wait_ready()
        self.call("status")

    def call(self, method, *args):
        return json.loads(self.test.ctl("call", self.path, method, *args)[0])

    def ports(self):
        return {port["name"]: port for port in self.call("ports")["ports"]}

    def wait_up(self, n):
        wait_until(lambda: self.call("stats")["ports"] == n, f"{n} ports")

    def memory(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


class SwitchTest(LoopTest):
    def connect(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return Peer(self, sock)

    def switch(self, *keys, options=(), peers=(), **kwargs):
        """One with a listener for each of these keys, and peers of listeners by number."""
        self.paths = [self.file(f"l{next(self.numbers)}") for _ in keys]
        s = Running(self, *(f"--listen=unix:{path}{key}" for path, key in zip(self.paths, keys)),
                    *options, **kwargs)
        connected = []
        for i, peer in enumerate(peers):
            connected.append(self.connect(self.paths[peer]))
            s.wait_up(i + 1)
        return s, *connected

    def expect(self, peer, *args, **kwargs):
        self.assertEqual(peer.receive(), frame(*args, **kwargs))

    def silent(self, *peers):
        """Nothing is there for these: all that was sent before has been forwarded."""
        for peer in peers:
            peer.sock.setblocking(False)
            self.assertRaises(BlockingIOError, peer.sock.recv, 1)
            peer.sock.settimeout(PATIENCE)

    def learn(self, *peers):
        """Peer n, from 1 on, is mac(n)."""
        for n, peer in enumerate(peers, 1):
            peer.send(BROADCAST, mac(n))
            for other in peers:
                if other is not peer:
                    self.expect(other, BROADCAST, mac(n))


class Switch(SwitchTest):
    def test_forwarding(self):
        s, a, b, c = self.switch(",name=lan", peers=(0, 0, 0))
        self.learn(a, b, c)
        for n in (0, 1, 46, 1486, 8986, MAX_FRAME - 14):
            a.send(mac(2), mac(1), bytes(n))
            self.expect(b, mac(2), mac(1), bytes(n))
        self.silent(a, c)
        macs = {m["mac"]: m for m in s.call("macs")["macs"]}
        self.assertEqual({m: macs[m]["port"] for m in macs},
                         {f"02:00:00:00:00:0{n + 1}": f"lan.{n}" for n in range(3)})
        self.assertEqual(len(s.call("macs", "port=lan.1")["macs"]), 1)
        ports = s.ports()
        self.assertEqual(ports["lan.0"]["rx_frames"], 7)
        self.assertEqual(ports["lan.1"]["tx_frames"], 8)
        s.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "lan.1: up; received: 1 frames, 60 bytes; sent: 8 frames" in s.log(),
                   "statistics")
        b.close()
        s.wait_up(2)
        self.assertEqual(len(s.call("macs")["macs"]), 2)
        a.send(mac(2), mac(1))
        self.expect(c, mac(2), mac(1))
        s.call("quit")
        self.assertEqual(s.wait(), 0, s.log())

    def test_vlans(self):
        s, a, b, trunk, lonely, lonely2 = self.switch(
            ",vlan=10", ",vlan=10,isolated=on", ",trunk=10:20", peers=(0, 0, 2, 1, 1))
        a.send(BROADCAST, mac(1))
        for peer in b, lonely, lonely2:
            self.expect(peer, BROADCAST, mac(1))
        self.expect(trunk, BROADCAST, mac(1), vlan=10)
        lonely.send(BROADCAST, mac(4))
        for peer in a, b:
            self.expect(peer, BROADCAST, mac(4))
        self.expect(trunk, BROADCAST, mac(4), vlan=10)
        trunk.send(BROADCAST, mac(3), vlan=20)  # of nobody
        trunk.send(mac(1), mac(3), bytes(1400), vlan=10)
        self.expect(a, mac(1), mac(3), bytes(1400))
        a.send(mac(3), mac(1), vlan=10)  # its own tag
        a.send(mac(3), mac(1))
        self.expect(trunk, mac(3), mac(1), vlan=10)
        self.silent(b, lonely, lonely2)
        self.assertEqual(s.call("stats")["drops"]["vlan"], 1)
        self.stop(s)

    def test_hostile_streams(self):
        s, a, b = self.switch("", peers=(0, 0))
        self.learn(a, b)
        whole = framed(frame(BROADCAST, mac(9)))
        for data in (b"\0\0", framed(b"")[:4], struct.pack(">I", MAX_FRAME + 1), b"\xff" * 8,
                     whole + bytes(4), whole[:-1], whole + whole[:20]):
            bad = self.connect(self.paths[0])
            s.wait_up(3)
            bad.sock.sendall(data)
            if data.startswith(whole):
                self.expect(a, BROADCAST, mac(9))
                self.expect(b, BROADCAST, mac(9))
            bad.close()
            s.wait_up(2)
        bad = self.connect(self.paths[0])
        bad.sock.sendall(framed(b"x") + framed(bytes(13)) + framed(mac(1) + mac(8) + b"\x81\0"))
        a.send(mac(2), mac(1))
        self.expect(b, mac(2), mac(1))
        wait_until(lambda: s.call("stats")["drops"]["short"] == 3, "short frames")
        # A byte at a time is a frame as well.
        for byte in whole:
            bad.sock.sendall(bytes([byte]))
        self.expect(a, BROADCAST, mac(9))
        self.expect(b, BROADCAST, mac(9))
        self.silent(a, b)
        self.stop(s)

    def test_too_many_ports(self):
        s, *peers = self.switch("", options=("--max-ports=2",), peers=(0, 0))
        third = self.connect(self.paths[0])
        self.assertEqual(third.sock.recv(1), b"")
        self.learn(*peers)
        peers[0].close()
        s.wait_up(1)
        again = self.connect(self.paths[0])
        s.wait_up(2)
        self.learn(again, peers[1])
        self.stop(s)

    def listen(self, path):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.settimeout(PATIENCE)
        listener.bind(path)
        listener.listen()
        return listener

    def test_dialled_port_comes_back(self):
        path = self.file("far")
        s, a = self.switch("", options=(f"--port=stream=unix:{path},name=far",), peers=(0,))
        self.assertFalse(s.ports()["far"]["up"])
        for n in range(3):
            wait_until(lambda n=n: s.log().count("cannot connect") == n + 1, "one line each time")
            listener = self.listen(path)
            far = Peer(self, listener.accept()[0])
            s.wait_up(2)
            self.learn(a, far)
            listener.close()
            os.unlink(path)
            far.close()
            s.wait_up(1)
        self.assertEqual(s.ports()["far"]["rx_frames"], 3)
        self.stop(s)

    def test_killed_and_started_again(self):
        path = self.file("far")
        listener = self.listen(path)
        s, = self.switch("", options=(f"--port=stream=unix:{path},name=far",))
        far, a = Peer(self, listener.accept()[0]), self.connect(self.paths[0])
        s.wait_up(2)
        self.learn(a, far)
        s.kill()
        self.assertEqual(a.sock.recv(1), b"")
        again = Running(self, f"--listen=unix:{self.paths[0]}",
                        f"--port=stream=unix:{path},name=far")
        far = Peer(self, listener.accept()[0])
        a = self.connect(self.paths[0])
        again.wait_up(2)
        self.learn(a, far)
        self.stop(again)

    def test_slow_port(self):
        """One that does not read loses frames; others lose none, and memory stays."""
        s, a, slow, c = self.switch(",name=lan", peers=(0, 0, 0))
        self.learn(a, slow, c)
        payload = bytes(1400)
        before = s.memory()
        for i in range(4000):
            a.send(mac(2), mac(1), struct.pack(">I", i) + payload)
            if i % 100 == 0:
                a.send(mac(3), mac(1))
                self.expect(c, mac(3), mac(1))
        self.assertLess(s.memory() - before, 2 * MIB_IN_KIB)
        # What came in between is gone, what comes is whole and in order.
        numbers = []
        port = s.ports()["lan.1"]
        while len(numbers) < port["tx_frames"] - 2:  # but for those of learn()
            got = slow.receive()
            self.assertEqual(len(got), 14 + 4 + len(payload))
            numbers.append(struct.unpack(">I", got[14:18])[0])
        self.assertEqual(numbers, sorted(numbers))
        self.assertEqual(port["drops"]["full"], 4000 - len(numbers))
        self.assertGreater(port["drops"]["full"], 0)
        a.send(mac(2), mac(1))
        self.expect(slow, mac(2), mac(1))
        self.stop(s)

    def flood(self, peer, data, end):
        """Sends until the end, or until the port is closed."""
        def run():
            while not end.is_set():
                try:
                    peer.sock.sendall(data)
                except OSError:
                    return
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def test_flood(self):
        """Two ports flood a third by frames of 64 bytes; a fourth that sends to it loses none."""
        s, a, b, to, modest = self.switch("", peers=(0, 0, 0, 0))
        self.learn(a, b, to, modest)
        end, before = threading.Event(), s.memory()
        small = [framed(frame(mac(3), mac(n), bytes(50))) * 3000 for n in (1, 2)]
        threads = [self.flood(peer, data, end) for peer, data in zip((a, b), small)]
        left = b""
        for i in range(200):
            modest.send(mac(3), mac(4), struct.pack(">I", i) * 20)
            wanted = framed(frame(mac(3), mac(4), struct.pack(">I", i) * 20))
            while wanted not in left:
                more = to.sock.recv(1 << 16)
                self.assertTrue(more)
                left = left[-len(wanted):] + more
        end.set()
        grown = s.memory() - before
        to.close()
        s.wait_up(3)
        for thread in threads:
            thread.join(PATIENCE)
        print(f"flood: the program grew by {grown} KiB", flush=True)
        self.assertLess(grown, 2 * MIB_IN_KIB)
        self.stop(s)

    def test_capture(self):
        pcap = self.file("pcap")
        s, a, b = self.switch(f",vlan=7,pcap={pcap}", ",trunk=7", peers=(0, 1))
        a.send(BROADCAST, mac(1))
        self.expect(b, BROADCAST, mac(1), vlan=7)
        b.send(mac(1), mac(2), b"x" * 300, vlan=7)
        self.expect(a, mac(1), mac(2), b"x" * 300)
        self.stop(s)
        data, frames = self.contents(pcap)[24:], []
        while data:
            length, = struct.unpack("=I", data[8:12])
            frames.append(data[16:16 + length])
            data = data[16 + length:]
        self.assertEqual(frames, [frame(BROADCAST, mac(1)), frame(mac(1), mac(2), b"x" * 300)])

    def test_inherited_sockets(self):
        path = self.file("inherited")
        listener = self.listen(path)
        ours, theirs = socket.socketpair()
        os.set_inheritable(listener.fileno(), True)
        s = Running(self, f"--listen=fd:{listener.fileno()}", f"--port=stream=fd:{theirs.fileno()}",
                    pass_fds=(listener.fileno(), theirs.fileno()))
        theirs.close()
        a, b = Peer(self, ours), self.connect(path)
        s.wait_up(2)
        self.learn(a, b)
        a.close()
        s.wait_up(1)
        self.stop(s)

    def refused(self, *options, status=USAGE):
        done = subprocess.run([SWITCH, *options], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=PATIENCE, check=False, text=True)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr

    def test_refused(self):
        listen = f"--listen=unix:{self.file('l')}"
        for words, *options in (
                ("is needed",),
                ("unix:PATH or fd:N", "--listen=/tmp/x"),
                ("from 3 on", "--listen=fd:1"),
                ("vlan=: a number from 1 to 4094", listen + ",vlan=4095"),
                ("VLANs from 1 to 4094", listen + ",trunk=1:x"),
                ("isolated=: on or off", listen + ",isolated=maybe"),
                ('unknown key "colour"', listen + ",colour=red"),
                ('unknown key "tap"', listen + ",tap=x"),
                ("vlan= is given twice", listen + ",vlan=1,vlan=2"),
                ("name=: it needs a value", listen + ",name="),
                ("it needs one of", "--port=name=x"),
                ("it needs one of", "--port=tap=x,stream=unix:/x"),
                ("have the name 'l'", listen, listen),
                ("write to '/p'", listen + ",pcap=/p", "--port=tap=t,pcap=/p"),
                ("have file descriptor 9", "--port=tap-fd=9", "--listen=fd:9,name=x"),
                ("invalid --max-ports=1", listen, "--max-ports=1"),
                ("invalid --ageing=0", listen, "--ageing=0"),
                ("--max-ports=2", *(f"--port=tap=t{n}" for n in range(3)), "--max-ports=2")):
            self.assertIn(words, self.refused(*options), options)
        for words, *options in (
                ("No such file", "--listen=unix:/nowhere/x"),
                ("No such file", listen + ",pcap=/nowhere/x"),
                ("Bad file descriptor", "--port=stream=fd:99"),
                ("cannot be the name of an interface", "--port=tap=a/b")):
            self.assertIn(words, self.refused(*options, status=FAILED), options)

    def test_socket_mode(self):
        self.switch("", options=("--socket-mode=0660",))
        self.assertEqual(os.stat(self.paths[0]).st_mode & 0o777, 0o660)


class Taps(SwitchTest):
    """Each test in a network of its own, if that is permitted."""

    def setUp(self):
        super().setUp()
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK) or os.geteuid() != 0:
            self.skipTest("SKIPPED: no /dev/net/tun, or not root")
        host = os.open("/proc/self/ns/net", os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            os.close(host)
            self.skipTest("SKIPPED: no network namespace can be made")
        self.addCleanup(os.close, host)
        self.addCleanup(lambda: self.assertEqual(libc.setns(host, CLONE_NEWNET), 0))

    def interface(self, name):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(TYPE))
        self.addCleanup(sock.close)
        sock.bind((name, TYPE))
        sock.settimeout(PATIENCE)
        return sock

    def from_host(self, peer, wanted):
        """The host has things to say of its own."""
        while peer.receive() != wanted:
            pass

    def exchange(self, s, peer, name):
        host = self.interface(name)
        host.send(frame(BROADCAST, mac(1), bytes(100)))
        self.from_host(peer, frame(BROADCAST, mac(1), bytes(100)))
        for n in (46, 1000, 1486):
            peer.send(mac(1), mac(2), bytes(n))
            self.assertEqual(host.recv(2000), frame(mac(1), mac(2), bytes(n)))
        self.assertEqual(s.ports()[name]["tx_frames"], 3)

    def test_tap(self):
        s, = self.switch("", options=("--port=tap=vsw0,vlan=1",))
        s.wait_up(1)
        a = self.connect(self.paths[0])
        s.wait_up(2)
        self.exchange(s, a, "vsw0")
        self.stop(s)

    def test_tap_comes_back(self):
        """With a switch that is started again after it was killed."""
        path = self.file("l")
        for _ in range(5):
            s = Running(self, f"--listen=unix:{path}", "--port=tap=vsw2,vlan=1")
            s.wait_up(1)
            a = self.connect(path)
            s.wait_up(2)
            self.exchange(s, a, "vsw2")
            a.send(mac(1), mac(2), bytes(1000))
            s.kill()

    def test_tap_with_header(self):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        self.addCleanup(os.close, fd)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"vsw1",
                                               IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        subprocess.run(["ip", "link", "set", "vsw1", "up"], check=True)
        s = Running(self, f"--listen=unix:{self.file('l')}", f"--port=tap-fd={fd},name=vsw1",
                    pass_fds=(fd,))
        a = self.connect(self.file("l"))
        s.wait_up(2)
        self.exchange(s, a, "vsw1")
        self.stop(s)


if __name__ == "__main__":
    main()
