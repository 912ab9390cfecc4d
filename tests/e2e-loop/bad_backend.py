# SPDX-License-Identifier: Apache-2.0
"""A deliberately bad back-end: a good one behind a proxy that puts one fault in what passes."""
import array
import mmap
import os
import select
import socket
import struct
import threading

HEADER = struct.Struct("=III")
VERSION, REPLY, NEED_REPLY = 1, 4, 8
NO_FD = 0x100

NAMES = """GET_FEATURES SET_FEATURES SET_OWNER RESET_OWNER SET_MEM_TABLE SET_LOG_BASE SET_LOG_FD
SET_VRING_NUM SET_VRING_ADDR SET_VRING_BASE GET_VRING_BASE SET_VRING_KICK SET_VRING_CALL
SET_VRING_ERR GET_PROTOCOL_FEATURES SET_PROTOCOL_FEATURES GET_QUEUE_NUM SET_VRING_ENABLE SEND_RARP
NET_SET_MTU SET_BACKEND_REQ_FD IOTLB_MSG SET_VRING_ENDIAN GET_CONFIG SET_CONFIG
CREATE_CRYPTO_SESSION CLOSE_CRYPTO_SESSION POSTCOPY_ADVISE POSTCOPY_LISTEN POSTCOPY_END
GET_INFLIGHT_FD SET_INFLIGHT_FD GPU_SET_SOCKET RESET_DEVICE VRING_KICK GET_MAX_MEM_SLOTS
ADD_MEM_REG REM_MEM_REG SET_STATUS GET_STATUS GET_DEVICE_ID GET_CONFIG_SIZE GET_MIN_VQ
GET_SHMEM_CONFIG GET_VRING_BASE_SKIP_DRAIN""".split()
NUMBER = {name: number for number, name in enumerate(NAMES, 1)}


class Message:
    """One message and the fds that came with it; data may be cut or no message at all."""

    def __init__(self, data, fds=()):
        self.data, self.fds = bytearray(data), list(fds)

    @classmethod
    def reply(cls, name, payload):
        return cls(HEADER.pack(NUMBER[name], VERSION | REPLY, len(payload)) + payload)

    def is_a(self, name):
        return len(self.data) >= HEADER.size and self.request == NUMBER[name]

    @property
    def request(self):
        return HEADER.unpack_from(self.data)[0]

    @property
    def flags(self):
        return HEADER.unpack_from(self.data)[1]

    @property
    def payload(self):
        return bytes(self.data[HEADER.size:])

    def set_payload(self, payload):
        self.data = bytearray(HEADER.pack(self.request, self.flags, len(payload)) + payload)

    @property
    def u64(self):
        return int.from_bytes(self.payload[:8], "little")

    def set_u64(self, value):
        self.set_payload((value % 2**64).to_bytes(8, "little"))

    def send(self, sock):
        if self.data:
            sock.sendmsg([self.data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                        array.array("i", self.fds))] if self.fds else [])

    def close(self):
        for fd in self.fds:
            os.close(fd)


class Stream:
    """Cuts what comes from a socket into messages; what is no message passes as it is."""

    def __init__(self, sock):
        self.sock, self.data, self.fds = sock, b"", []

    def read(self):
        """The messages that have come; None at the end."""
        try:
            data, ancillary, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(4 * 253))
        except ConnectionError:
            return None
        for _, _, fds in ancillary:
            self.fds += array.array("i", fds[:len(fds) // 4 * 4])
        if not data:
            return None
        self.data += data
        return list(self.cut())

    def cut(self):
        while len(self.data) >= HEADER.size:
            end = HEADER.size + HEADER.unpack_from(self.data)[2]
            if len(self.data) < end:
                break
            yield Message(self.data[:end], self.fds)
            self.data, self.fds = self.data[end:], []
        if len(self.data) > 1 << 15:
            self.data = b""


class Fault:
    """What a bad back-end does otherwise. This one does nothing."""

    features = protocol = 0  # bits that are offered on top
    connections = 1000  # how many are served before it dies

    def begin(self, proxy, number):
        """A connection begins; False: it is closed."""
        return True

    def request(self, proxy, message):
        """From the front-end: the message to pass on, or None."""
        return message

    def reply(self, proxy, message):
        """From the back-end: the messages to pass on."""
        return [message]


class Proxy:
    """Listens at path; one thread a connection."""

    def __init__(self, path, backend, fault):
        self.path, self.backend, self.fault = path, backend, fault
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        self.front = None
        self.threads = []
        self.closing = False
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        for number in range(self.fault.connections):
            try:
                front, _ = self.listener.accept()
            except OSError:
                return
            if self.closing:
                front.close()
                return
            if not self.fault.begin(self, number):
                front.close()
                continue
            self.front = front
            thread = threading.Thread(target=self.relay, args=(front,))
            self.threads.append(thread)
            thread.start()
        os.unlink(self.path)
        self.listener.close()

    def relay(self, front):
        back = socket.socket(socket.AF_UNIX)
        back.connect(self.backend)
        sides = {front: Stream(front), back: Stream(back)}
        while True:
            ready, _, _ = select.select([front, back], [], [])
            messages = sides[ready[0]].read()
            if messages is None:
                break
            try:
                for message in messages:
                    self.pass_on(message, front, back, ready[0] is front)
            except (ConnectionError, StopIteration):
                break
        # A cut message is seen by the back-end as such.
        if sides[front].data:
            try:
                back.send(sides[front].data)
            except OSError:
                pass
        front.close()
        back.close()

    def pass_on(self, message, front, back, is_request):
        kept = list(message.fds)
        if is_request:
            self.front = front
            self.strip(message)
            passed = self.fault.request(self, message)
            if passed:
                passed.send(back)
        else:
            self.add(message)
            for reply in self.fault.reply(self, message):
                reply.send(front)
        for fd in kept:
            os.close(fd)

    def add(self, message):
        """Offers what the fault needs."""
        for name, bits in (("GET_FEATURES", self.fault.features),
                           ("GET_PROTOCOL_FEATURES", self.fault.protocol)):
            if bits and message.is_a(name) and len(message.payload) == 8:
                message.set_u64(message.u64 | bits)

    def strip(self, message):
        """Hides from the back-end what it did not offer."""
        for name, bits in (("SET_FEATURES", self.fault.features),
                           ("SET_PROTOCOL_FEATURES", self.fault.protocol)):
            if bits and message.is_a(name) and len(message.payload) == 8:
                message.set_u64(message.u64 & ~bits)

    def answer(self, message):
        """To the front-end, as if from the back-end."""
        message.send(self.front)

    def close(self):
        self.closing = True
        try:
            with socket.socket(socket.AF_UNIX) as wake:
                wake.connect(self.path)
        except OSError:
            pass
        self.thread.join()
        for thread in self.threads:
            thread.join()
        self.listener.close()


class Memory:
    """The front-end's memory as its last table has it, and a split vring in it."""

    def __init__(self, message):
        _, size, self.user, offset = struct.unpack_from("=QQQQ", message.payload, 8)
        self.guest = struct.unpack_from("=Q", message.payload, 8)[0]
        self.map = mmap.mmap(message.fds[0], size + offset)
        self.used = self.desc = self.size = 0

    def rings(self, message):
        _, _, desc, used, _, _ = struct.unpack_from("=IIQQQQ", message.payload)
        self.desc, self.used = desc - self.user, used - self.user

    def last_used(self):
        """Where the last used element is, and the descriptors of its request."""
        index = struct.unpack_from("<H", self.map, self.used + 2)[0]
        at = self.used + 4 + (index - 1) % self.size * 8
        return at, list(self.chain(struct.unpack_from("<I", self.map, at)[0]))

    def chain(self, head):
        while True:
            addr, length, flags, following = struct.unpack_from("<QIHH", self.map,
                                                                self.desc + head * 16)
            yield addr - self.guest, length, bool(flags & 2)
            if not flags & 1:
                return
            head = following
