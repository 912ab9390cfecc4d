# SPDX-License-Identifier: Apache-2.0
"""One fault for each case of virtioctl check, and what the case says of it: the first pattern of
FAULTS that fits the case's name."""
import fnmatch
import os
import select
import struct
import threading

from bad_backend import NEED_REPLY, NO_FD, REPLY, Fault, Memory, Message

PROTOCOL = {"LOG_SHMFD": 1, "RARP": 2, "MTU": 4, "SHMEM": 22}
LOG_ALL, IN_ORDER = 1 << 26, 1 << 35
# So many GET_FEATURES come before a case's own.
SURVEY = 11


class Altered(Fault):
    """A reply to `name` is another one from the n-th on."""

    def __init__(self, name, change, first=0):
        self.name, self.change, self.first = name, change, first
        self.seen = 0

    def reply(self, proxy, message):
        if message.is_a(self.name):
            self.seen += 1
            if self.seen > self.first:
                return self.change(message)
        return [message]


def u64(change):
    def changed(message):
        message.set_u64(change(message.u64))
        return [message]
    return changed


def payload(change):
    def changed(message):
        message.set_payload(change(message.payload))
        return [message]
    return changed


def u32_at(at, value):
    return payload(lambda old: old[:at] + struct.pack("=I", value) + old[at + 4:])


def header(request=0, flags=0):
    """These numbers are added to the request, and the bits changed in the flags."""
    def changed(message):
        struct.pack_into("=II", message.data, 0, message.request + request, message.flags ^ flags)
        return [message]
    return changed


def nothing(message):
    return []


def twice(message):
    return [message, message]


def shorter(message):
    message.set_payload(message.payload[:-1])
    return [message]


class Unstable(Altered):
    """Each reply differs from the one before."""

    def __init__(self, name):
        super().__init__(name, self.step)
        self.count = 0

    def step(self, message):
        self.count += 1
        message.set_u64(message.u64 ^ (self.count % 2) << 5)
        return [message]


class Closes(Fault):
    """Closes the connection at the n-th message `name`."""

    def __init__(self, name, when=lambda message: True):
        self.name, self.when = name, when

    def request(self, proxy, message):
        if message.is_a(self.name) and self.when(message):
            raise ConnectionError
        return message


class Swallows(Fault):
    """Acknowledges a message, does not do what it says, and answers GET_VRING_BASE with 0."""

    def __init__(self, name, first=0, offer=None, features=0, answers=True):
        self.name, self.first, self.answers = name, first, answers
        self.features = features
        self.protocol = 1 << PROTOCOL[offer] if offer else 0
        self.seen = 0

    def request(self, proxy, message):
        if not message.is_a(self.name):
            return message
        self.seen += 1
        if self.seen <= self.first:
            return message
        if self.name in ("GET_VRING_BASE", "SET_LOG_BASE") and self.answers:
            proxy.answer(Message.reply(self.name, message.payload))
        elif message.flags & NEED_REPLY and self.answers:
            proxy.answer(Message.reply(self.name, bytes(8)))
        return None


class Refuses(Altered):
    """Acknowledges with an error, also messages of what is offered by the fault alone."""

    def __init__(self, name):
        super().__init__(name, u64(lambda old: 1))
        self.offered = {"NET_SET_MTU": "MTU", "SEND_RARP": "RARP"}.get(name)
        self.protocol = 1 << PROTOCOL[self.offered] if self.offered else 0

    def request(self, proxy, message):
        if not self.offered or not message.is_a(self.name):
            return message
        if message.flags & NEED_REPLY:
            proxy.answer(Message.reply(self.name, struct.pack("=Q", 1)))
        return None


class Talks(Refuses):
    """Acknowledges without being asked to."""

    def request(self, proxy, message):
        passed = super().request(proxy, message)
        if message.is_a(self.name) and not message.flags & NEED_REPLY:
            proxy.answer(Message.reply(self.name, bytes(8)))
        return passed

    def reply(self, proxy, message):
        return [message]


class Unsolicited(Fault):
    """Sends a reply that nobody asked for."""

    def request(self, proxy, message):
        if message.is_a("SET_MEM_TABLE"):
            threading.Timer(0.005, proxy.answer,
                            (Message.reply("GET_FEATURES", bytes(8)),)).start()
        return message


class Dies(Fault):
    """Lives as long as so many connections: of the survey, and of the case."""

    def __init__(self, connections, bit=None):
        self.connections = connections
        self.protocol = 1 << bit if bit else 0


class ClosesFirst(Fault):
    """A new connection ends the one before."""

    def begin(self, proxy, number):
        if number == 2:
            proxy.front.shutdown(2)
        return True


class Blind(Fault):
    """Maps other memory than the front-end's, in which nothing is ever available."""

    def request(self, proxy, message):
        if message.is_a("SET_MEM_TABLE") or message.is_a("ADD_MEM_REG"):
            for i, fd in enumerate(message.fds):
                with open(os.memfd_create("blind"), "wb") as other:
                    other.truncate(os.fstat(fd).st_size)
                    os.dup2(other.fileno(), fd)
        return message


class SignalsError(Fault):
    def request(self, proxy, message):
        if message.is_a("SET_VRING_ERR"):
            os.eventfd_write(message.fds[0], 1)
        return message


class Speaks(Fault):
    """Sends on the channel while all vrings are stopped."""

    def request(self, proxy, message):
        if message.is_a("SET_BACKEND_REQ_FD"):
            os.write(message.fds[0], struct.pack("=III", 2, 1, 0))
        return message


class Mutates(Fault):
    """Changes memory between a completion and its call."""

    def __init__(self, change):
        self.change = change

    def request(self, proxy, message):
        if message.is_a("SET_MEM_TABLE"):
            self.memory = Memory(message)
        elif message.is_a("SET_VRING_NUM"):
            self.memory.size = struct.unpack("=II", message.payload)[1]
        elif message.is_a("SET_VRING_ADDR"):
            self.memory.rings(message)
        elif message.is_a("SET_VRING_CALL") and message.fds:
            ours = os.eventfd(0)
            threading.Thread(target=self.forward, args=(ours, os.dup(message.fds[0])),
                             daemon=True).start()
            message.fds = [ours]
        return message

    def forward(self, ours, theirs):
        while select.select([ours], [], [], 10)[0]:
            os.eventfd_read(ours)
            self.change(self.memory)
            os.eventfd_write(theirs, 1)


def used_length(value):
    def change(memory):
        at, _ = memory.last_used()
        struct.pack_into("<I", memory.map, at + 4, value)
    return change


def status(value):
    """Of a block device's request: its last byte."""
    def change(memory):
        at, length, _ = memory.last_used()[1][-1]
        memory.map[at + length - 1] = value
    return change


def data(memory, least=1):
    """Another first byte of what the device wrote, in a request with so many buffers for that."""
    written = [at for at, length, write in memory.last_used()[1] if write and length > 1]
    if len(written) >= least:
        memory.map[written[0]] ^= 0x55


def data_of_many(memory):
    data(memory, 2)


def outside(memory):
    at, length, _ = next(buf for buf in memory.last_used()[1] if buf[2])
    memory.map[at + length] ^= 0xff


def constant(memory):
    at, length, _ = memory.last_used()[1][0]
    memory.map[at:at + length] = bytes(length)


class AreaChanged(Fault):
    """The in-flight area has this byte at its start."""

    def reply(self, proxy, message):
        if message.is_a("GET_INFLIGHT_FD"):
            os.pwrite(message.fds[0], bytes([1]), 16)
        return [message]


# Pattern of names; fault; what the failure says.
TIME = r"not completed within|no reply within|is not served"
FAULTS = [
    ("framing-request-number", lambda: Altered("GET_FEATURES", header(request=1)), "request is"),
    ("framing-reply-flag", lambda: Altered("GET_FEATURES", header(flags=REPLY)), "bit 2"),
    ("framing-reply-version", lambda: Altered("GET_FEATURES", header(flags=3), SURVEY), "version"),
    ("framing-reply-size", lambda: Altered("GET_FEATURES", shorter), "size is 0x7"),
    ("framing-pipelined", lambda: Altered("GET_FEATURES", nothing, SURVEY + 2), "no reply within"),
    ("framing-alternating", lambda: Altered("GET_PROTOCOL_FEATURES", twice), "answered by message"),
    ("framing-unsolicited", Unsolicited, "without being asked|answered by message"),
    ("features-stay", lambda: Unstable("GET_FEATURES"), "second reply"),
    ("features-stay-when-accepted",
     lambda: Altered("GET_FEATURES", u64(lambda old: old ^ 32), SURVEY + 2), "after SET_FEATURES"),
    ("features-version-1", lambda: Altered("GET_FEATURES", u64(lambda old: old & ~(1 << 32))),
     "VERSION_1"),
    ("features-*", lambda: Closes("SET_FEATURES"), "closed"),
    ("protocol-features-stay", lambda: Unstable("GET_PROTOCOL_FEATURES"), "second reply"),
    ("protocol-features-first", lambda: Closes("GET_PROTOCOL_FEATURES"), "closed"),
    ("protocol-features-none", lambda: Closes("SET_PROTOCOL_FEATURES", lambda m: not m.u64),
     "closed"),
    ("queue-num-positive", lambda: Altered("GET_QUEUE_NUM", u64(lambda old: 0)), "no queue"),
    ("queue-num-stays", lambda: Unstable("GET_QUEUE_NUM"), "second reply"),
    ("queue-every-one", lambda: Altered("GET_VRING_BASE", u32_at(0, 9)), "index in the reply"),
    ("mem-slots-positive", lambda: Altered("GET_MAX_MEM_SLOTS", u64(lambda old: 0)), "no slot"),
    ("mem-slots-stay", lambda: Unstable("GET_MAX_MEM_SLOTS"), "second reply"),
    ("reconnect", lambda: Dies(6), "connect|served|No such"),
    ("reconnect-second-connection", ClosesFirst, "closed"),
    ("reply-SET_LOG_BASE", lambda: Swallows("SET_LOG_BASE", offer="LOG_SHMFD", answers=False),
     "no reply"),
    ("reply-once-SET_LOG_BASE", lambda: Swallows("SET_LOG_BASE", offer="LOG_SHMFD", answers=False),
     "no reply"),
    ("reply-GET_SHMEM_CONFIG",
     lambda: Swallows("GET_SHMEM_CONFIG", offer="SHMEM", answers=False), "no reply"),
    ("reply-once-GET_FEATURES", lambda: Altered("GET_FEATURES", twice, SURVEY),
     "without being asked|answered by message"),
    ("reply-once-*", lambda name: Altered(name, twice), "without being asked|answered by message"),
    ("reply-*", lambda name: Altered(name, shorter), "bytes of payload|a reply of"),
    ("ack-*", Refuses, "acknowledge"),
    ("quiet-*", Talks, "without being asked|answered by message|acknowledge"),
    ("probe-device-id", lambda: Altered("GET_DEVICE_ID", u32_at(0, 0)), "0 is not from 1"),
    ("probe-config-size", lambda: Altered("GET_CONFIG_SIZE", u32_at(0, 5000)), "5000 is not"),
    ("probe-min-vq", lambda: Altered("GET_MIN_VQ", u32_at(0, 0)), "0 is not from 1"),
    ("probe-min-vq-of-queue-num", lambda: Altered("GET_MIN_VQ", u32_at(0, 200)), "more than"),
    ("probe-config-offered", lambda: Altered("GET_CONFIG_SIZE", u32_at(0, 0)), "CONFIG is offered"),
    ("probe-unaccepted", lambda: Altered("GET_DEVICE_ID", nothing, 1), "no reply"),
    ("status-*-and-again", Blind, TIME),
    ("status-*", lambda: Altered("GET_STATUS", u64(lambda old: 0x80)), "status"),
    ("reset-device-and-again", Blind, TIME),
    ("config-whole", lambda: Altered("GET_CONFIG", payload(lambda old: b"")), "as a whole"),
    ("config-stays", lambda: Altered("GET_CONFIG", payload(lambda old: old[:-1] + b"x"), 1),
     "second reply"),
    ("config-parts", lambda: Altered("GET_CONFIG", payload(lambda old: old[:-1] + b"x"), 1),
     "differs from the whole"),
    ("channel-suspended", Speaks, "message on the channel"),
    ("*-base-0", lambda: Altered("GET_VRING_BASE", u32_at(4, 1)), "base is"),
    ("*-base-*", lambda: Altered("GET_VRING_BASE", u32_at(4, 1)), "base is"),
    ("split-stopped", lambda: Swallows("GET_VRING_BASE"), "stopped vring"),
    ("packed-stopped", lambda: Swallows("GET_VRING_BASE"), "stopped vring"),
    ("split-restart", lambda: Altered("GET_VRING_BASE", u32_at(4, 40000)), TIME + "|refused"),
    ("*-call-replaced", lambda: Swallows("SET_VRING_CALL", 1), TIME + "|without a call"),
    ("*-call-none", lambda: Closes("SET_VRING_CALL", lambda m: m.u64 & NO_FD), "closed"),
    ("*-no-error", SignalsError, "error fd"),
    ("split-used-length", lambda: Mutates(used_length(60000)), "used length of 60000"),
    ("*-in-order", lambda: type("", (Blind,), {"features": IN_ORDER})(), TIME),
    ("log-all", lambda: Swallows("SET_LOG_BASE", offer="LOG_SHMFD", features=LOG_ALL),
     "not logged|refused"),
    ("inflight-area", lambda: Altered("GET_INFLIGHT_FD",
                                      payload(lambda old: struct.pack("=Q", 1 << 40) + old[8:])),
     "smaller than"),
    ("inflight-area-packed", lambda: Altered("GET_INFLIGHT_FD",
                                             payload(lambda old: b"\1" + bytes(7) + old[8:])),
     "too small"),
    ("inflight-area-new", AreaChanged, "a flag of a new area"),
    ("inflight-tracked", lambda: Swallows("SET_INFLIGHT_FD"), "used_idx"),
    ("block-config", lambda: Altered("GET_CONFIG", payload(lambda old: old[:12] + bytes(8) +
                                                           old[20:])), "capacity is 0"),
    ("block-config-queues",
     lambda: Altered("GET_CONFIG", payload(lambda old: old[:46] + b"\xff\xff" + old[48:])),
     "num_queues is 65535"),
    ("block-read-*buffers", lambda: Mutates(data_of_many), "differ"),
    ("block-bounds", lambda: Mutates(outside), "outside"),
    ("block-unknown-type", lambda: Mutates(status(0)), "status is"),
    ("block-read-only", lambda: Mutates(status(0)), "status is"),
    ("block-get-id", lambda: Mutates(status(1)), "status is"),
    ("block-discard", lambda: Mutates(status(3)), "status is"),
    ("block-write-zeroes", lambda: Mutates(data), "not zero"),
    ("block-write*", lambda: Mutates(data), "not what was written"),
    ("block-*", lambda: Mutates(status(1)), "status is"),
    ("rng-fill-*", lambda: Mutates(used_length(0)), "no random byte"),
    ("rng-buffers", lambda: Mutates(used_length(0)), "no random byte"),
    ("rng-differs", lambda: Mutates(constant), "the same bytes"),
    ("*", Blind, TIME),
]
DEAD = "connect|served|No such|refused"


def fault_of(name, hostile):
    """The fault of a case and the pattern of its failure; None: there is none."""
    if hostile:
        return Dies(2, PROTOCOL["LOG_SHMFD"] if name.endswith("LOG_BASE") else None), DEAD
    for pattern, make, says in FAULTS:
        if not fnmatch.fnmatchcase(name, pattern):
            continue
        message = name.rsplit("-", 1)[-1]
        named = isinstance(make, type) and issubclass(make, Refuses)
        takes_name = named or (callable(make) and not isinstance(make, type) and
                               make.__code__.co_argcount)
        return (make(message) if takes_name else make()), says
    return None
