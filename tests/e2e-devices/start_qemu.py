#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""QEMU with the device at the socket RUN/N.sock for each folder in DEVICES.

Usage: start_qemu.py DEVICES RUN VIRTIOCTL QEMU...: a folder with a file "stub" gets QEMU's device
of that name, the others the generic one, filled from what the back-end says of itself.
"""

import json
import os
import subprocess
import sys

GENERIC = "vhost-user-test-device-pci"
NETWORK = "virtio-net-"


def probe(virtioctl, socket):
    """What the back-end says of itself."""
    text = subprocess.run([virtioctl, "probe", "--json", socket], check=True,
                          stdout=subprocess.PIPE).stdout
    properties = json.loads(text)
    return {name: properties[name]["value"] for name in ("device_id", "max_queues", "config_size")}


def generic(properties):
    """QEMU's device that knows nothing of its type but what is said here."""
    return (f"{GENERIC},virtio-id={properties['device_id']},"
            f"num_vqs={properties['max_queues']},config_size={properties['config_size']}")


def options(devices, run, virtioctl):
    for n, name in enumerate(sorted(os.listdir(devices))):
        socket = os.path.join(run, f"{n}.sock")
        stub = os.path.join(devices, name, "stub")
        if os.path.exists(stub):
            with open(stub, encoding="utf-8") as file:
                device = file.read().strip()
        else:
            device = generic(probe(virtioctl, socket))
        yield from ("-chardev", f"socket,id=c{n},path={socket}")
        if device.startswith(NETWORK):  # QEMU's own device, and the back-end as a network
            pairs = probe(virtioctl, socket)["max_queues"] // 2
            yield from ("-netdev", f"vhost-user,id=n{n},chardev=c{n},queues={pairs}",
                        "-device", f"{device},netdev=n{n}")
        else:
            yield from ("-device", f"{device},chardev=c{n}")


def main(devices, run, virtioctl, *qemu):
    os.execv(qemu[0], [*qemu, *options(devices, run, virtioctl)])


if __name__ == "__main__":
    main(*sys.argv[1:])
