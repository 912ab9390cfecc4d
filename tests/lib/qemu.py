# SPDX-License-Identifier: Apache-2.0
"""Back-ends and QEMU's monitor."""

import json
import os
import signal
import socket
import subprocess
import time

from guest import check


class Daemon:
    """A back-end, from start to a clean end."""

    def __init__(self, folder, program, *options, socket_name=None, log=None):
        self.name = os.path.basename(program)
        self.log = log
        self.socket = os.path.join(folder, (socket_name or self.name) + ".sock")
        self.argv = [program, "--socket-path=" + self.socket, *options]
        self.start()

    def start(self, *options, stdout=None):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the test may run under nohup
        self.process = subprocess.Popen([*self.argv, *options], stdout=stdout, stderr=self.log)
        deadline = time.monotonic() + 60
        while not os.path.exists(self.socket):
            check_running(self.process, self.name)
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} does not listen")
            time.sleep(0.01)

    def kill(self):
        """At once, wherever it is; nothing is left but its socket file."""
        check_running(self.process, self.name)
        self.process.kill()
        self.process.wait()
        os.unlink(self.socket)

    def stop(self):
        check_running(self.process, self.name)
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(60) == 0, f"{self.name} ends with status 0 on SIGTERM")


def check_running(process, name):
    if process.poll() is not None:
        raise AssertionError(f"{name} ended with status {process.returncode}")


def end_all(started):
    """Ends what of these (each has a .process) still runs."""
    for process in (one.process for one in started):
        if process.poll() is None:
            process.kill()
            process.wait()


class Monitor:
    """QMP, as much as is needed."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 60
        while self.socket.connect_ex(path):  # it is there before QEMU listens
            if time.monotonic() > deadline:
                raise AssertionError(f"QEMU does not listen at {path}")
            time.sleep(0.01)
        self.stream = self.socket.makefile("rw")
        self.stream.readline()
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}))
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise AssertionError(f"QMP {command}: {answer['error']}")
