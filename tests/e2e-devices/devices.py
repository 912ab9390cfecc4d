# SPDX-License-Identifier: Apache-2.0
"""The devices of this folder, each a folder NAME with

device.ini   section device:
               id        the virtio device id
               options   of virtiod-NAME; it runs in a folder of its own (optional)
               program   the NAME there, if it is another device's folder, and its tool (optional)
               modules   the guest's, those first that the others need not name (optional)
               programs  of the guest, for /host (optional)
               foreign   a program of Debian 13 for the host; where there is none, neither is the
                         file "foreign", which has the command (optional)
               stub      QEMU's device of that type, with its properties (optional)
               xen       xl.cfg's type of the device (default: virtio,device)
             section without (optional): FRONT-END = why it cannot work there
             section partly (optional): FRONT-END = what does not work there
guest        a part of a shell script for the guest (the file "guest")
host         functions for it, run beside the back-end (optional; the file "agent")
tool.c       a program for both of them, $tool, linked statically (optional)
Devices of one type are found by their order.
"""

import configparser
import os

HERE = os.path.dirname(os.path.abspath(__file__))
# What a guest's device may come from, and how users call it.
FRONT_ENDS = {
    "qemu": "QEMU 7.2, 10",
    "generic": "QEMU 11.1",
    "kvm-x86_64": "KVM x86-64",
    "kvm-aarch64": "KVM arm64",
    "xen-foreign": "Xen",
    "xen-grants": "Xen, grants",
}


class Device:
    def __init__(self, name):
        self.name = name
        self.folder = os.path.join(HERE, name)
        ini = configparser.ConfigParser(interpolation=None)
        ini.read(os.path.join(self.folder, "device.ini"), encoding="utf-8")
        section = ini["device"]
        self.id = section.getint("id")
        self.options = section.get("options", "")
        self.program = section.get("program", name)
        self.foreign = section.get("foreign")
        self.modules = section.get("modules", "").split()
        self.programs = section.get("programs", "").split()
        self.stub = section.get("stub")
        self.xen = section.get("xen", "virtio,device")
        self.without = dict(ini["without"]) if ini.has_section("without") else {}
        if not self.stub:
            self.without.setdefault("qemu", "QEMU has no device of this type that takes a socket")
        self.partly = dict(ini["partly"]) if ini.has_section("partly") else {}
        unknown = (set(self.without) | set(self.partly)) - set(FRONT_ENDS)
        if unknown:
            raise ValueError(f"{name}: no such front-end: {', '.join(sorted(unknown))}")


def all_devices():
    return [Device(name) for name in sorted(os.listdir(HERE))
            if os.path.exists(os.path.join(HERE, name, "device.ini"))]


def table(devices, cell):
    """
    Markdown: cell(device, front_end) is what stands there, or None. Below the table: why not, or
    what not.
    """
    lines = ["| device | " + " | ".join(FRONT_ENDS.values()) + " |", "|---" * 7 + "|"]
    reasons = []
    for device in devices:
        cells = []
        for front_end in FRONT_ENDS:
            text = cell(device, front_end)
            reason = device.without[front_end] if text is None else device.partly.get(front_end)
            if reason:
                if reason not in reasons:
                    reasons.append(reason)
                text = f"{text or ''} ({reasons.index(reason) + 1})".lstrip()
            cells.append(text)
        lines.append(f"| {device.name} | " + " | ".join(cells) + " |")
    notes = [f"({n}) {reason}." for n, reason in enumerate(reasons, 1)]
    return "\n".join(lines + ([""] if notes else []) + notes)


def expected(devices):
    """The table of what works."""
    return table(devices, lambda device, end: None if end in device.without else "yes")
