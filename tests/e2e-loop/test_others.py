#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""README's table of back-ends, ours and others': each cell of those that are here, as root.

Run with --print it writes what the table's rows would be.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import check_others
import initrd
from harness import listens, wait_until

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../README.md")
VIRTIOCTL = os.environ["VIRTIOCTL"]
# By the heading of the column: what check_others.py knows, and our own.
COLUMNS = {
    "virtiod-blk": (None, os.environ["VIRTIOD_BLK"], False,
                    "{program} --socket-path={socket} --blk-file={folder}/img", []),
    "qemu-storage-daemon 7.2": check_others.OTHERS["qemu-storage-daemon"],
    "10.0": check_others.OTHERS["qemu-storage-daemon-10"],
    "virtiofsd 1.13": check_others.OTHERS["virtiofsd"],
    "passt": check_others.OTHERS["passt"],
    "vhost-device-vsock 0.3": (
        "vhost-device-vsock", "bin/vhost-device-vsock", False,
        "{program} --guest-cid=3 --socket={socket} --uds-path={folder}/uds",
        ["--device-id=vsock"]),
}


def bit(kind, name):
    return lambda facts: "yes" if name in facts[kind] else "no"


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return dict(re.findall(r"^(\w+):\s+(\w+)", f.read(), re.M))


def capabilities(facts):
    left = int(facts["CapEff"], 16)
    return "none" if not left else "all" if left == int(status("self")["CapEff"], 16) else "some"


# By the last word of the row's heading, in brackets: the cell.
ROWS = {
    "PROBE": bit("protocol_features", "PROBE"),
    "INFLIGHT_SHMFD": bit("protocol_features", "INFLIGHT_SHMFD"),
    "STATUS": bit("protocol_features", "STATUS"),
    "RING_PACKED": bit("features", "RING_PACKED"),
    "seccomp": lambda facts: "yes" if facts["Seccomp"] == "2" else "no",
    "capabilities": capabilities,
}


def look(column):
    """The facts of a program that serves, started as its manual says and without more options."""
    cached, path, own_libraries, command, options = COLUMNS[column]
    program = check_others.find(cached, path, own_libraries)
    with tempfile.TemporaryDirectory(prefix="others-") as folder:
        socket = os.path.join(folder, "socket")
        os.mkdir(os.path.join(folder, "shared"))
        with open(os.path.join(folder, "img"), "wb") as f:
            f.truncate(16 << 20)
        argv = command.replace("{program}", program).format(socket=socket, folder=folder).split()
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: listens(socket) or process.poll() is not None, column)
                done = subprocess.run(
                    [VIRTIOCTL, "probe", "--json", *(o for o in options if "device-id" in o),
                     socket], check=False, capture_output=True, text=True)
                facts = status(process.pid)
            finally:
                process.kill()
    if done.returncode:
        raise AssertionError(f"{column}: {done.stderr}")
    said = json.loads(done.stdout)
    for kind in ("features", "protocol_features"):
        facts[kind] = {b["name"] for b in said[kind]["bits"]}
    return facts


def table():
    """Returns the headings of the columns, and the cells by the rows' last words."""
    with open(README, encoding="utf-8") as f:
        lines = f.read().partition("<!-- others -->\n")[2].partition("<!-- end -->")[0].split("\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line]
    return rows[0][1:], {re.search(r"\((\w+)\)$", row[0])[1]: row[1:] for row in rows[2:]}


class Others(unittest.TestCase):
    def test_all_is_tested(self):
        columns, rows = table()
        self.assertEqual(columns, list(COLUMNS))
        self.assertEqual(set(rows), set(ROWS))

    def test_cells(self):
        columns, rows = table()
        for i, column in enumerate(columns):
            with self.subTest(column):
                try:
                    facts = look(column)
                except initrd.Missing as missing:
                    print(f"SKIPPED: README's column '{column}': {missing}")
                    continue
                self.assertEqual({row: cells[i] for row, cells in rows.items()},
                                 {row: fact(facts) for row, fact in ROWS.items()})


if __name__ == "__main__":
    if os.environ.get("SANITIZED"):
        print("SKIPPED: README's table: it is about programs as they are installed")
        sys.exit(77)
    if os.geteuid() != 0:
        print("SKIPPED: README's table: it is about programs that root has started")
        sys.exit(77)
    if "--print" in sys.argv:
        found = {column: look(column) for column in COLUMNS}
        for name, cell in ROWS.items():
            print(f"| ({name}) | {' | '.join(cell(found[column]) for column in COLUMNS)} |")
        sys.exit()
    unittest.main()
