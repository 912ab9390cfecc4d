#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of docs/devices.md is what their descriptions say, and ./check prints what was run."""

import json
import os
import re
import unittest
from types import SimpleNamespace

import devices
import matrix

PAGE = os.path.join(devices.HERE, "../../docs/devices.md")


def fake(name, without, partly=()):
    return SimpleNamespace(name=name, without=without, partly=dict(partly))


class Matrix(unittest.TestCase):
    def test_page(self):
        with open(PAGE, encoding="utf-8") as file:
            found = re.search(r"<!-- devices -->\n(.*?)\n<!-- end -->", file.read(), re.S)
        self.assertEqual(found.group(1), devices.expected(devices.all_devices()))

    def test_every_device_has_its_script(self):
        for device in devices.all_devices():
            self.assertTrue(os.path.exists(os.path.join(device.folder, "guest")), device.name)

    def test_reasons(self):
        text = devices.expected([fake("one", {"qemu": "Too old"}), fake("two", {"qemu": "Too old"}),
                                 fake("three", {"xen-grants": "No grants"}, {"qemu": "Half"})])
        self.assertEqual(text.splitlines()[2:], [
            "| one | (1) | yes | yes | yes | yes | yes |",
            "| two | (1) | yes | yes | yes | yes | yes |",
            "| three | yes (2) | yes | yes | yes | yes | (3) |",
            "", "(1) Too old.", "(2) Half.", "(3) No grants."])

    def test_results(self):
        logs = [[json.dumps({"stdout": "cell qemu one: ok\nxcell qemu two: ok\n"}),
                 json.dumps({"stdout": "cell qemu one: failed (why)\ncell generic one: ok\n"}),
                 json.dumps({"stdout": "cell qemu one: ok\n"}), "{}"]]
        found = matrix.results(logs)
        self.assertEqual(found, {("qemu", "one"): "failed", ("generic", "one"): "ok"})
        text = matrix.matrix([fake("one", {"kvm-x86_64": "No reason"})], found)
        self.assertEqual(text.splitlines()[2:], [
            "| one | failed | ok | (1) | not run | not run | not run |", "", "(1) No reason."])


if __name__ == "__main__":
    unittest.main()
