#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""All devices in one stock Linux guest: the devices' drivers do what their folders here describe.

Usage: run.py FRONT-END BUILD [CACHED | long]: one that devices.py names, or "xen" for both of
Xen's; what meson has built; the folder of the cache with another QEMU than this machine's. In the
emulated machine that has KVM, devices move less data, as their guest's script has it, without
"long".
Prints a line "cell FRONT-END DEVICE: RESULT" for each device that can work with the front-end.
Exits 77 (skipped) where QEMU, the kernel or the lab is missing.
"""

import ctypes
import os
import re
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, folder) for folder in ("../lib", "../e2e-qemu", "../e2e-xen")]
import initrd  # noqa: E402
import stock  # noqa: E402
from devices import all_devices  # noqa: E402
from dom0 import Dom0  # noqa: E402
from guest import Guest  # noqa: E402
from nested import Machine  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
PATIENCE = 1500  # seconds; a loaded machine takes its time
REPORT = re.compile(r"@ (ok|fail|done)\b ?(\S*) ?(.*)")


class Results:
    """What became of each device that can work with this front-end."""

    def __init__(self, front_end):
        self.front_end = front_end
        self.devices = [one for one in all_devices() if front_end not in one.without]
        self.found = {one.name: "failed (the guest did not get there)" for one in self.devices}
        self.done = self.short = False

    def line(self, text):
        report = REPORT.match(text)
        if not report:
            return
        what, name, why = report.groups()
        self.done = what == "done"
        if what == "fail":
            self.found[name] = f"failed ({why})"
        elif what == "ok" and self.found[name].startswith("failed (the guest did not"):
            self.found[name] = "ok"

    def print(self):
        """Returns whether all is well."""
        for name, result in self.found.items():
            print(f"cell {self.front_end} {name}: {result}", flush=True)
        return self.done and all(result == "ok" for result in self.found.values())


def write(folder, name, text):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text + "\n")


def describe(results, folder, build, with_stub=False, foreign=None):
    """
    What the agent, the front-end's script and the guest read; foreign: where the host has programs
    of another release.
    """
    ids = []
    for one in results.devices:
        target = os.path.join(folder, one.name)
        write(target, "options", one.options)
        write(target, "program", one.program)
        write(target, "id", str(one.id))
        write(target, "before", str(ids.count(one.id)))
        ids.append(one.id)
        write(target, "xen", one.xen)
        if results.front_end in one.partly:
            write(target, "partly", one.partly[results.front_end])
        if results.short:
            write(target, "short", "")
        if foreign and one.foreign:
            write(target, "foreign", f"{foreign}/lib64/ld-linux-x86-64.so.2 --library-path "
                  f"{foreign}/lib/x86_64-linux-gnu {foreign}/{one.foreign}")
        if with_stub:
            write(target, "stub", one.stub)
        for name in "guest", "host":
            if os.path.exists(os.path.join(one.folder, name)):
                shutil.copy(os.path.join(one.folder, name), target)
        tool = os.path.join(build, "tests/e2e-devices", one.program + "-tool")
        if os.path.exists(tool):
            shutil.copy(tool, os.path.join(target, "tool"))
    return folder


def guest_image(folder, results, build, kernel, transport, content):
    """The guest's initrd; kernel: has its modules, or None."""
    devices = results.devices
    content.add_init(os.path.join(HERE, "guest"))
    if kernel:
        names = [transport] + [name for one in devices for name in one.modules]
        content.add_modules(initrd.modules(kernel, names))
    for one in devices:
        for program in one.programs:
            content.add_program(program)
    describe(results, os.path.join(content.folder, "devices"), build)
    image = os.path.join(folder, "guest-initrd")
    content.pack(image)
    return image


def follow(guest, results):
    """Reads the agent's output until it is through."""
    while not results.done:
        text = guest.line(time.monotonic() + PATIENCE)
        if text is None:
            print(f"the agent's output ended, or paused for {PATIENCE} s", flush=True)
            return
        results.line(text)


def others():
    """The folder of programs of another release, or None."""
    try:
        return initrd.cached("others")
    except initrd.Missing as missing:
        print(f"SKIPPED: programs for devices' other ends: {missing}", flush=True)
        return None


def adopt_children():
    """Makes this process the parent of what its children leave behind."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("prctl(PR_SET_CHILD_SUBREAPER) failed")


def end_children():
    """Ends the other ends of devices, which have left the agent that started them."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            children = [int(pid) for pid in file.read().split()]
        if not children:
            return
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def run_qemu(results, folder, build, cached=None):
    qemu = stock.Qemu(cached)
    generic = results.front_end == "generic"
    kernel = initrd.cached("linux-trixie-backports-amd64" if generic else "linux-bookworm-amd64")
    image = guest_image(folder, results, build, kernel, "virtio_pci",
                        initrd.Initrd(os.path.join(folder, "guest")))
    devices = describe(results, os.path.join(folder, "devices"), build, not generic, others())
    run = os.path.join(folder, "run")
    programs = ":".join(os.path.join(build, place) for place in ("daemon", "tools"))
    os.mkdir(run)
    adopt_children()
    start = [os.path.join(HERE, "start_qemu.py"), devices, run,
             os.path.join(build, "tools/virtioctl")]
    guest = Guest([os.path.join(HERE, "agent"), programs, devices, run, *start,
                   *qemu.command(image, "512M", kernel)])
    try:
        follow(guest, results)
    finally:
        guest.process.terminate()  # it ends what it has started
        guest.process.wait()
        end_children()
    return [results]


def run_kvm(results, folder, build, amount="short"):
    results.short = amount != "long"
    name = results.front_end.removeprefix("kvm-")
    machine = Machine(name)
    kernel = initrd.cached("linux-trixie-backports-" + ("arm64" if name == "aarch64" else "amd64"))
    image = guest_image(folder, results, build, kernel, "virtio_mmio",
                        machine.initrd(os.path.join(folder, "guest")))
    content = machine.initrd(os.path.join(folder, "machine"))
    content.add_init(os.path.join(HERE, "machine"))
    content.add_modules(initrd.modules(machine.kernel, machine.modules + ["tun"]))
    content.add(image, "guest/initrd")
    content.add(initrd.kernel_image(kernel), "guest/vmlinuz")
    root = others() if name == "x86_64" else None
    for one in results.devices:
        if root and one.foreign:
            content.add_foreign(one.foreign, root)
    describe(results, os.path.join(content.folder, "devices"), build, foreign=root and "/foreign")
    for program in ["kvm-stub/virtiod-kvm", "tools/virtioctl"] + sorted(
            {f"daemon/virtiod-{one.program}" for one in results.devices}):
        content.add_program(os.path.join(build, program))
    for script in "agent", "start-kvm":
        content.add(os.path.join(HERE, script), "host/" + script)
    image = os.path.join(folder, "machine-initrd")
    content.pack(image)
    guest = machine.start(image)
    try:
        follow(guest, results)
    finally:
        guest.kill()
    return [results]


def xen_files(folder, results, build):
    """What dom0 gets for one guest: {its name there: the file}; the guest's name."""
    name = results.front_end.removeprefix("xen-")
    top = os.path.join(folder, name)
    os.mkdir(top)
    content = initrd.Initrd(os.path.join(top, "guest"), initrd.cached("arm64"), "aarch64")
    # Debian's kernels know no grants; the lab's own has its drivers built in, and boots faster.
    files = {f"payload/{name}/initrd": guest_image(top, results, build, None, None, content)}
    devices = describe(results, os.path.join(top, "devices"), build)
    for place, _, names in os.walk(devices):
        for one in names:
            path = os.path.join(place, one)
            files[f"payload/{name}/devices/{os.path.relpath(path, devices)}"] = path
    return name, files


def run_xen(_, folder, build):
    both = [Results("xen-foreign"), Results("xen-grants")]
    files = {f"payload/{script}": os.path.join(HERE, script) for script in ("agent", "start-xen")}
    names = []
    for results in both:
        name, more = xen_files(folder, results, build)
        names.append(name)
        files.update(more)
    dom0 = Dom0(folder, build, files)
    try:
        dom0.sh(f"date -s @{int(time.time())}")  # devices with clocks know no year before 2000
        xen = dom0.start("xen", "virtiod-xen")
        dom0.wait_log("xen", "waiting for guests")
        for name, results in zip(names, both):
            guest, run = f"/payload/{name}", f"/run/virtiod/{name}"
            dom0.sh(f"mkdir -p {run}")
            dom0.start(name, f"sh /payload/agent /usr/local/bin {guest}/devices {run} "
                       f"sh /payload/start-xen {guest}/devices {run} {guest} "
                       f"{int(name == 'grants')}")
            dom0.wait_log(name, "@ done", PATIENCE)
            for text in dom0.log(name).split("\n"):
                results.line(text)
        dom0.end("virtiod-xen", xen)
    except BaseException:
        dom0.diagnose()
        raise
    finally:
        dom0.close()
    return both


RUNS = {"qemu": run_qemu, "generic": run_qemu, "kvm": run_kvm, "xen": run_xen}


def main(front_end, build, *more):
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:
        run = RUNS[front_end.split("-")[0]]
        ends = run(Results(front_end), folder, os.path.abspath(build), *more)
    if not all([results.print() for results in ends]):
        sys.exit(1)


if __name__ == "__main__":
    stock.run(main)
