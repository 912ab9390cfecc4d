# SPDX-License-Identifier: Apache-2.0
"""The lab's dom0 and its guests: two shells, which run the commands of a test."""

import glob
import os
import re
import shlex
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE, "../xen-lab")]
import arm64  # noqa: E402
import initrd  # noqa: E402
import lab  # noqa: E402
from lines import Lines  # noqa: E402
from qemu import Monitor  # noqa: E402

PATIENCE = 240  # seconds, for what takes a moment on a machine that has nothing else to do
SILENCE = 60  # seconds
LOST_TIMER = "kthread timer wakeup didn't happen"  # as dom0's kernel puts it
BOOT_SECONDS = 4  # at most, to dom0's shell on such a machine

# What dom0 runs: a shell that takes commands from QEMU's stdin.
AGENT = """
export PATH=/usr/local/bin:/usr/local/sbin:$PATH
follow()
{
	while IFS= read -r line; do
		printf '%s| %s\\n' "$1" "$line"
	done <"$2"
	echo "$1| @ ended"
}
not() { ! "$@"; }
wait_for()
{
	tries=$1
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}
# xl takes long to start: most that is asked of it is in xenstore, too.
domid()
{
	for id in $(xenstore-list /local/domain); do
		[ "$(xenstore-read /local/domain/$id/name)" != "$1" ] || echo "$id"
	done
}
# The toolstack makes nodes empty first.
has_value() { [ -n "$(xenstore-read "$1" 2>/dev/null)" ]; }
reborn() { id=$(domid "$1"); [ "${id:-$2}" != "$2" ]; }
is_gone() { ! xl list | grep -qE "^($1|\\(null\\)) "; }
echo "@@ 0 0"
while read -r number line; do
	eval "$line" </dev/null
	printf '\\n@@ %s %s\\n' "$number" $?
done
"""
# What a failed test shows.
DIAGNOSIS = """for file in /tmp/*.log /var/log/xen/console/*; do
		echo "-- $file"; tail -n 80 "$file"; done;
	echo "-- xl list"; xl list; echo "-- xenstore"; xenstore-ls /local/domain/0/backend;
	echo "-- ps"; ps; echo "-- dmesg"; dmesg | tail -n 40;
	echo "-- xl dmesg"; xl dmesg | tail -n 30"""


def guest_image(folder, load, stock):
    """The initrd of the guests; stock: of Debian's own kernel."""
    arm64 = initrd.cached("arm64")
    content = initrd.Initrd(os.path.join(folder, "guest"), arm64, "aarch64")
    content.add_init(os.path.join(HERE, "guest"))
    content.add_program("mke2fs")
    content.add(load, "host/load")
    if stock:
        content.add_modules(initrd.modules(initrd.cached("xen-lab-stock"),
                                           ["virtio_mmio", "virtio_blk", "virtio-rng", "ext4"]))
    image = os.path.join(folder, "guest-initrd")
    content.pack(image)
    return image


def hostile_image(folder, binary):
    """A guest's kernel. Its zeroes, and its stack, are not in the file."""
    with open(binary, "rb") as file:
        code = file.read().ljust(256 << 10, b"\0")
    image = os.path.join(folder, "hostile")
    with open(image, "wb") as file:
        file.write(arm64.image(code))
    return image


def scenario_files(folder, tools, stock):
    """What dom0 has for the scenarios of run.py; tools: the folder with load, probe_fd, take_fd."""
    files = {"payload/" + tool: os.path.join(tools, tool) for tool in ("probe_fd", "take_fd")}
    files["boot/guest"] = guest_image(folder, os.path.join(tools, "load"), stock)
    hostile = os.path.join(tools, "hostile.bin")
    if os.path.exists(hostile):
        files["boot/hostile"] = hostile_image(folder, hostile)
    if stock:
        files["boot/Image"] = initrd.kernel_image(initrd.cached("xen-lab-stock"))
    return files


class Dom0:
    """
    Boots with what meson installs in build, and with the files (the names they have there: their
    paths). stock: with Debian's own kernel; cpus: that the machine has.
    """

    def __init__(self, folder, build, files, stock=False, cpus=1):
        self.commands = 0
        self.guests = {}
        self.lab = lab.Lab(folder, stock, cpus)
        subprocess.run([initrd.program("meson"), "install", "--quiet", "--no-rebuild", "-C",
                        build], env=dict(os.environ, DESTDIR=self.lab.root), check=True,
                       stdout=subprocess.DEVNULL)
        self.add_libraries()
        for name, file in files.items():
            self.lab.add(file, name)
        self.lab.command(AGENT)
        monitor = os.path.join(folder, "qmp")
        self.process = subprocess.Popen(
            [*self.lab.qemu(), "-qmp", f"unix:{monitor},server=on,wait=off"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.monitor = Monitor(monitor)
        self.shell = Lines(self.process.stdout)
        start = time.monotonic()
        self.result(PATIENCE)
        self.boot = time.monotonic() - start
        self.slowness = max(self.boot / BOOT_SECONDS, 1)

    def add_libraries(self):
        """What our programs need and dom0 lacks (its libc and libxen are other versions)."""
        root = initrd.cached("arm64")
        with open(os.path.join(self.lab.cache, "dom0.cpio"), "rb") as archive:
            names = subprocess.run([initrd.program("cpio"), "--quiet", "-t"], stdin=archive,
                                   check=True, capture_output=True, text=True).stdout
        there = {os.path.basename(name) for name in names.split()}
        for program in glob.glob(os.path.join(self.lab.root, "usr/*/*bin/*")):
            for path in initrd.libraries(program, root, "aarch64"):
                if os.path.basename(path) not in there:
                    self.lab.add(root + path, "usr/lib/aarch64-linux-gnu/" + os.path.basename(path))

    def next_line(self, deadline):
        """A machine that has stood still for good is woken up, or given up."""
        while True:
            line = self.shell.next(min(deadline, time.monotonic() + SILENCE))
            if line is not None or time.monotonic() >= deadline or self.process.poll() is not None:
                return line
            self.wake_up()
            if LOST_TIMER in self.console():
                raise LostTimer

    def wake_up(self):
        try:
            registers = self.monitor.run("human-monitor-command", command_line="info registers -a")
            self.monitor.run("stop")
            self.monitor.run("cont")
        except (AssertionError, OSError, ValueError):
            return  # QEMU ends
        print(f"nothing from dom0 for {SILENCE} s; QEMU is stopped and continued; its CPUs were at",
              *re.findall(r"PC=(\w+)", registers), flush=True)

    def line(self, deadline):
        """The next line of dom0's shell; those of guests go where they belong. None: no more."""
        line = self.next_line(deadline)
        if line is None:
            return None
        if line and not line.startswith("@@"):
            print("  " + line, flush=True)
        found = re.match(r"(\w+)\| (.*)", line)
        if not found or found.group(1) not in self.guests:
            return line
        guest, text = self.guests[found.group(1)], found.group(2).rstrip("\r")
        guest.lines.append(text)
        guest.ended = text == "@ ended"
        return ""

    def result(self, seconds):
        """Status and output of the last command."""
        deadline = time.monotonic() + seconds
        output = []
        while (line := self.line(deadline)) is not None:
            if line.startswith(f"@@ {self.commands} "):
                return int(line.split()[2]), "\n".join(x for x in output if x)
            output.append(line)
        raise AssertionError(f"no answer from dom0 in {seconds} s, or its end")

    def sh(self, command, seconds=PATIENCE, status=0):
        """Runs a command in dom0; its output."""
        print("dom0# " + command, flush=True)
        self.commands += 1
        text = " ".join(command.split("\n"))
        self.process.stdin.write(f"{self.commands} {text}\n".encode())
        self.process.stdin.flush()
        found, output = self.result(seconds)
        if status not in (found, None):
            raise AssertionError(f"dom0: {command!r} ended with status {found}")
        return output

    def wait_for(self, command, seconds=PATIENCE):
        """Until the command succeeds in dom0."""
        self.sh(f"wait_for {seconds * 10} {command} >/dev/null 2>&1", seconds + 30)

    def wait_log(self, name, text, seconds=PATIENCE):
        self.wait_for(f"grep -q {shlex.quote(text)} /tmp/{name}.log", seconds)

    def log(self, name):
        return self.sh(f"cat /tmp/{name}.log")

    def start(self, name, command):
        """In the background, with a log of that name; the pid."""
        return int(self.sh(f"{command} >/tmp/{name}.log 2>&1 & echo $!"))

    def end(self, name, pid, seconds=PATIENCE):
        """A daemon must end well on SIGTERM."""
        self.sh(f"kill {pid} && wait_for {seconds * 10} not kill -0 {pid}; wait {pid}")
        print(f"ok: {name} ends with status 0", flush=True)

    def diagnose(self):
        try:
            self.sh(DIAGNOSIS, 60, None)
        except (AssertionError, OSError):
            pass
        last = self.console().split("\n")[-60:]
        print("-- consoles of Xen and dom0", *last, sep="\n", flush=True)

    def console(self):
        """What Xen and dom0's kernel have printed."""
        with open(self.lab.console, encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        self.process.kill()
        self.process.wait()


class LostTimer(Exception):
    """An interrupt of a vCPU's timer was lost, as is rare in this emulated machine under load.

    Xen has masked the timer to inject the interrupt, which the vCPU never sees. It does not set the
    timer again, as that is still to expire, and sleeps; nothing but a new machine goes on.
    """


class Guest:
    """A domain; name: letters; kernel: instead of Linux with the guests' initrd."""

    def __init__(self, dom0, name, virtio=(), disk=(), vcpus=2, kernel=None):
        self.dom0, self.name, self.lines, self.tty, self.ended = dom0, name, [], None, False
        dom0.guests[name] = self
        config = [f'name = "{name}"', f'vcpus = {vcpus}', 'on_crash = "destroy"',
                  f"virtio = {list(virtio)}", f"disk = {list(disk)}"]
        config += [f'kernel = "{kernel}"', 'memory = 64', 'cpus = "1"'] if kernel else [
            'kernel = "/boot/Image"', 'ramdisk = "/boot/guest"', 'memory = 384',
            'cmdline = "console=hvc0 quiet panic=-1"']
        dom0.sh(f"printf '%s\\n' {' '.join(map(shlex.quote, config))} >/tmp/{name}.cfg")

    def create(self, *options):
        self.dom0.sh(f"xl create {' '.join(options)} /tmp/{self.name}.cfg")
        self.follow()
        return self

    def follow(self):
        node = f"/local/domain/{self.domid()}/console/tty"
        self.tty = self.dom0.sh(f"wait_for 2000 has_value {node} && xenstore-read {node}")
        self.ended = False
        self.dom0.sh(f"follow {self.name} {self.tty} &")

    def wait(self, name, seconds=PATIENCE):
        """The value of the guest's next report, which must have this name."""
        deadline = time.monotonic() + seconds
        while True:
            while self.lines:
                found = re.match(r"@ (\S+) ?(.*)", self.lines.pop(0))
                if found and found.group(1) == name:
                    return found.group(2)
                if found:
                    raise AssertionError(f"{self.name} says {found.group(0)!r}, not {name}")
            if self.dom0.line(deadline) is None:
                raise AssertionError(f"no {name!r} from {self.name} in {seconds} s")

    def send(self, command):
        print(f"{self.name}# {command}", flush=True)
        self.dom0.sh(f"echo {shlex.quote(command)} >{self.tty}")

    def sh(self, command, seconds=PATIENCE, status=0):
        """Runs a command in the guest; its output."""
        self.send(command)
        return self.result(seconds, status)

    def result(self, seconds=PATIENCE, status=0):
        deadline = time.monotonic() + seconds
        output = []
        while True:
            while self.lines:
                line = self.lines.pop(0)
                if line.startswith("@ status "):
                    if status is not None and line != f"@ status {status}":
                        raise AssertionError(f"{self.name}: {line}")
                    return "\n".join(output)
                output.append(line)
            if self.dom0.line(deadline) is None:
                raise AssertionError(f"no answer from {self.name} in {seconds} s")

    def rebooted(self, old):
        """After a reboot, when the domain with this id is no more."""
        self.wait("ended")
        self.dom0.wait_for(f"reborn {self.name} {old}")
        self.follow()
        self.wait("up")

    def domid(self):
        return int(self.dom0.sh(f"domid {self.name}"))

    def gone(self):
        """Name and memory, which comes back a little later; and all that its console said."""
        self.dom0.wait_for(f"is_gone {self.name}")
        deadline = time.monotonic() + PATIENCE
        while not self.ended:
            if self.dom0.line(deadline) is None:
                raise AssertionError(f"no end of {self.name}'s console in {PATIENCE} s")
