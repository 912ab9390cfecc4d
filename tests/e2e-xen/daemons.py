# SPDX-License-Identifier: Apache-2.0
"""Our programs in the lab's dom0, and what guests' configurations say of their devices."""

from dom0 import PATIENCE

PRIVILEGES = "--run-as=65534:65534 --chroot=/run/empty"
XEN = "virtiod-xen --log-level=info"


def device(memory, kind="device"):
    return f"type=virtio,{kind},transport=mmio,grant_usage={int(memory == 'grants')}"


def disk(memory, image):
    return (f"{image},raw,xvda,w,specification=virtio,backendtype=standalone,"
            f"grant_usage={int(memory == 'grants')}")


def other(memory):
    return "foreign" if memory == "grants" else "grants"


def back_end(dom0, guest, devid, program, options=""):
    """Listens where virtiod-xen looks; without privileges. Its log's name, and its pid."""
    name = f"{program}-{guest}{devid}"
    path = f"/run/virtiod/{guest}/{devid}.sock"
    dom0.sh(f"mkdir -p /run/virtiod/{guest} /run/empty")
    pid = dom0.start(name, f"{program} --socket-path={path} {PRIVILEGES} {options}")
    dom0.wait_for(f"test -S {path}")
    return name, pid


def blk(dom0, guest, devid, mib=32, options=""):
    image = f"/tmp/{guest}{devid}.img"
    dom0.sh(f"test -e {image} || truncate -s {mib}M {image}")
    return back_end(dom0, guest, devid, "virtiod-blk",
                    f"--blk-file={image} --num-queues=2 {options}")


def start_xen(dom0, options="", wait=PATIENCE):
    """wait: for how many seconds an access of a guest waits for a back-end."""
    pid = dom0.start("xen", f"{XEN} --wait={wait:.0f} {options}")
    dom0.wait_log("xen", "waiting for guests")
    return pid


def worker(dom0, guest, but=0):
    """The pid of the guest's worker, when it is another than that one."""
    say = (f"sed -n 's/.*domain {guest} .*: worker process \\([0-9]*\\)$/\\1/p' /tmp/xen.log | "
           "tail -n 1")
    return int(dom0.sh(f"other_worker() {{ pid=$({say}); [ ${{pid:-{but}}} != {but} ]; }}; "
                       "wait_for 2000 other_worker && echo $pid"))
