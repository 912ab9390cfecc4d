# SPDX-License-Identifier: Apache-2.0
"""What a program that was taken over still reaches: the one table of it.

The tests of this folder compare it with what attempts from inside lead to, test_reach.py with the
tables of docs/security.md. A cell of theirs is a list of statements; each has its proof here: names
of attempts (attempts*.c) and of what the tests look up from outside, each with its result.
"""
import os
import platform

KERNEL = tuple(map(int, os.uname().release.split(".")[:2]))
FORBIDDEN, WORKS = "forbidden", "works"
NO_FILE = ("No such process", "No such file or directory")  # by the kernel's version
DENIED, BAD_FD, NOT_OURS = "Permission denied", "Bad file descriptor", "Operation not permitted"


def no(names):
    return dict.fromkeys(names.split(), FORBIDDEN)


def yes(names):
    return dict.fromkeys(names.split(), WORKS)


# Sizes of an argument that the sweep over all ioctls tries (attempts_sweep.c).
SIZES = (4, 8, 12, 16, 24, 32, 44, 64, 0x90, 0x138)


def of_any_size(number):
    """The numbers of an ioctl that returns as much as there is room for."""
    return [0x80000000 | size << 16 | number for size in SIZES]


# Of ioctls: numbers by architecture, or several. All that a filter does not catch must be "yes"
# below.
IOCTLS = {
    "FIONREAD": 0x541B, "TCGETS": 0x5401, "TCSETS": 0x5402, "TCGETS2": 0x802C542A,
    "TCSETS2": 0x402C542B, "TIOCGPGRP": 0x540F, "TIOCGWINSZ": 0x5413, "TIOCSTI": 0x5412,
    "BLKGETSIZE64": 0x80081272, "BLKDISCARD": 0x1277,
    "I2C_RDWR": 0x707, "I2C_SMBUS": 0x720, "I2C_SLAVE": 0x703, "I2C_SLAVE_FORCE": 0x706,
    "GPIO_V2_LINE_SET_CONFIG_IOCTL": 0xC110B40D, "GPIO_V2_LINE_GET_VALUES_IOCTL": 0xC010B40E,
    "GPIO_V2_LINE_SET_VALUES_IOCTL": 0xC010B40F,
    "SPI_IOC_MESSAGE": 0x40206B00, "SPI_IOC_WR_MODE32": 0x40046B05,
    "EVIOCGKEY": of_any_size(0x4518), "EVIOCGLED": of_any_size(0x4519),
    "EVIOCGSW": of_any_size(0x451B), "EVIOCGMTSLOTS": of_any_size(0x450A),
    "EVIOCGABS": range(0x80184540, 0x80184580),
    "TUNSETOFFLOAD": 0x400454D0, "TUNSETQUEUE": 0x400454D9,
    "DM_OP": 0x105005, "MMAP_BATCH": 0x205004, "EVTCHN_NOTIFY": 0x44504,
    "MAP_GRANTS": 0x184700, "UNMAP_GRANTS": 0x104701, "COPY_GRANTS": 0x104708,
    "KVM_CREATE_VM": 0xAE01, "KVM_CHECK_EXTENSION": 0xAE03, "KVM_GET_VCPU_MMAP_SIZE": 0xAE04,
    "KVM_CREATE_VCPU": 0xAE41, "KVM_RUN": 0xAE80, "KVM_IRQ_LINE": 0x4008AE61,
    "KVM_SET_USER_MEMORY_REGION": 0x4020AE46, "KVM_IRQFD": 0x4020AE76, "KVM_IOEVENTFD": 0x4040AE79,
}
KVM_OF = {
    "x86_64": {
        "KVM_GET_SUPPORTED_CPUID": 0xC008AE05, "KVM_SET_TSS_ADDR": 0xAE47,
        "KVM_CREATE_IRQCHIP": 0xAE60, "KVM_SET_GSI_ROUTING": 0x4008AE6A,
        "KVM_SET_CPUID2": 0x4008AE90, "KVM_SET_MSRS": 0x4008AE89, "KVM_GET_SREGS": 0x8138AE83,
        "KVM_SET_SREGS": 0x4138AE84, "KVM_GET_REGS": 0x8090AE81, "KVM_SET_REGS": 0x4090AE82},
    "aarch64": {
        "KVM_ARM_PREFERRED_TARGET": 0x8020AEAF, "KVM_ARM_VCPU_INIT": 0x4020AEAE,
        "KVM_CREATE_DEVICE": 0xC00CAEE0, "KVM_SET_DEVICE_ATTR": 0x4018AEE1,
        "KVM_SET_ONE_REG": 0x4010AEAC, "KVM_GET_ONE_REG": 0x4010AEAB},
}[platform.machine()]
IOCTLS.update(KVM_OF)
KVM = " ".join(name for name in IOCTLS if name.startswith("KVM_"))

# Rows that all tables have; what differs is an argument.
EMPTY_ROOT = {"root": "empty", "stat": NO_FILE, "readlink": NO_FILE}
NO_FILES = no("open open_to_write openat2 open_by_handle open_tree open_outside mkdir rename link "
              "chmod chown chdir inotify execveat")
NAMES = yes("stat_outside readlink_outside")
NO_CODE = no("map_code make_code personality")
CLOSER = yes("closer")
OTHER_PROCESSES = no("kill kill_all tgkill tkill sigqueue ptrace process_vm_readv pidfd_open "
                     "pidfd_send_signal signal_owner prlimit affinity priority")
SOCKETS = no("socket_inet socket_unix socket_netlink socket_vsock socket_tipc socketpair "
             "socketpair_stream connect bind listen")
NAMESPACES = {"network": "own, empty", "ipc": "own", **no("shmget")}
NO_RING = no("io_uring_setup io_uring_files")
CAPABILITIES = {"capabilities": "none", **no("setuid capset")}
KERNEL_CALLS = no("bpf userfaultfd perf_event_open keyctl mount unshare fsopen setns chroot reboot "
                  "module settime hostname seccomp prctl other_calls")


TIMES = ("CPU times can be asked (`clock_gettime()`)", yes("clock_of_other"))


def resources(descriptors):
    return [("CPU time", {"cpu_time": "unlimited"}), ("memory", {"memory": "unlimited"}),
            (descriptors + " descriptors" if descriptors.isdigit() else descriptors,
             {"descriptors": descriptors}), ("no core file", {"core_file": "0"})]


def as_back_ends(sockets, **more):
    """What the front-ends' tables have in common."""
    return {
        "other files, directories, devices": [
            ("no: cannot be opened, made, renamed, removed, executed",
             {**NO_FILES, **EMPTY_ROOT, **no("unlink unlink_outside unlink_sibling")})],
        "names of files": [
            ("`stat()` and `readlink()` of what the user may look up, as for back-ends", NAMES)],
        "executing programs, making code": [("no", {**no("exec execveat"), **NO_CODE})],
        "processes": [
            ("no `fork()`, but for copies in the same sandbox, as for back-ends",
             {**no("fork"), "clone3": "Function not implemented", **CLOSER})],
        "other processes": [("no", OTHER_PROCESSES), TIMES],
        "sockets": [
            ("none can be made, bound or connected",
             {**SOCKETS, "abstract_socket": BAD_FD, "datagram": BAD_FD, **more}), *sockets],
        "network, System V IPC": [("namespaces of its own, both empty", NAMESPACES)],
        "io_uring": [("none", NO_RING)],
        "privileges": [("none", {**CAPABILITIES, "NoNewPrivs": "1", "Seccomp": "2"})],
        "the rest of the kernel": [("as for back-ends", KERNEL_CALLS)],
        "the log": [("a taken-over one writes what it likes", yes("write_log"))],
    }


PAIRS = "the connector makes connected pairs"

# Of devices: the ioctls in their tables.
LISTED = {
    "blk": "BLKGETSIZE64 BLKDISCARD",
    "i2c": "I2C_RDWR I2C_SMBUS I2C_SLAVE I2C_SLAVE_FORCE",
    "gpio": "GPIO_V2_LINE_SET_CONFIG_IOCTL GPIO_V2_LINE_SET_VALUES_IOCTL "
            "GPIO_V2_LINE_GET_VALUES_IOCTL",
    "input": "EVIOCGKEY EVIOCGLED EVIOCGSW EVIOCGMTSLOTS EVIOCGABS",
    "spi": "SPI_IOC_MESSAGE SPI_IOC_WR_MODE32",
    "console": "TIOCGWINSZ TCGETS TCSETS",
    "rpmsg": "TIOCGWINSZ TCGETS TCSETS",
    "rproc-serial": "TIOCGWINSZ TCGETS TCSETS",
    "net": "TUNSETOFFLOAD TUNSETQUEUE",
}
LISTED_TEXT = "; ".join(f"`virtiod-{device}`: {names.replace(' ', ', ')}"
                        for device, names in LISTED.items())

BACK_END = {
    "guest memory": [
        ("all that the front-end shares, not only what requests name", yes("guest_memory"))],
    "the device's host side": [
        ("what is open: the disk image (for writing unless `--read-only`)",
         {"disk_image": "read, written", "read_only_image": "read"}),
        ("`--filename`", {"filename": "read"}),
        ("the files of `--state` and of simulated chips (for writing)",
         {"eeprom_file": "read, written"}),
        ("with `virtiod-vsock` the sockets PATH_N of `--uds-path=PATH` and `--group=PATH`, "
         "whatever the number: a process of its own (\"connector\") connects to them",
         yes("numbered_socket")),
        ("and to no other socket",
         {"other_socket": "cannot connect to '/dev/null': Permission denied"})],
    "the front-end": [
        ("its socket", yes("peer")), ("and the eventfds of its vrings", yes("vring_eventfds")),
        ("the next front-end's, too", yes("next_front_end"))],
    "other files, directories, devices": [
        ("no: cannot be opened, made, renamed, executed", NO_FILES),
        ("(seccomp", {"Seccomp": "2"}), ("an empty root directory", EMPTY_ROOT),
        ("Landlock)", {"unlink_outside": DENIED})],
    "names of files": [
        ("`stat()` and `readlink()` of what the user may look up on the host: `..` leads there "
         "from a directory that is open (/proc/self/fd, the folder of `--socket-path`)", NAMES),
        ("No contents", no("open_outside"))],
    "removing files": [
        ("those in the folder of `--socket-path`, if its user may", yes("unlink_sibling")),
        ("none elsewhere (Landlock)", {"unlink_outside": DENIED, **no("unlink")}),
        ("none with `--fd`, socket activation or `--chroot`",
         no("unlink_sibling_fd unlink_sibling_activated unlink_sibling_chroot"))],
    "executing programs, making code": [
        ("no: no `execve()`", no("exec execveat")), ("no executable memory", NO_CODE)],
    "processes": [
        ("no `fork()`", {**no("fork"), "clone3": "Function not implemented"}),
        ("copies of itself in the same sandbox that share its descriptors can be made (how a "
         "descriptor is closed whose file system does not answer)", CLOSER)],
    "other processes": [
        ("no: no `kill()`, `ptrace()`, `process_vm_readv()`, pidfds, `prlimit()`, priorities",
         OTHER_PROCESSES), TIMES],
    "sockets": [
        ("none can be made, bound to a chosen name or connected: not TCP, Unix, netlink, vsock",
         SOCKETS),
        ("The service manager's ($NOTIFY_SOCKET) stays open", yes("datagram")),
        ("before Linux 6.12 it also sends datagrams to abstract Unix sockets",
         {"abstract_socket": NOT_OURS if KERNEL >= (6, 12) else WORKS})],
    "network, System V IPC": [("namespaces of its own, both empty", NAMESPACES)],
    "ioctls": [
        (f"those that the device lists ({LISTED_TEXT})", yes(" ".join(LISTED.values()))),
        ("FIONREAD", yes("FIONREAD")),
        ("and with `--xen` the four of Xen below",
         yes("MMAP_BATCH MAP_GRANTS UNMAP_GRANTS COPY_GRANTS"))],
    "io_uring": [
        ("instances that the device made before, restricted to its files and operations",
         {**yes("ring_read"), "ring_write": DENIED, "ring_other_file": BAD_FD}),
        ("none can be made or changed", NO_RING)],
    "privileges": [
        ("none: no capabilities (bounding and ambient sets, too)", CAPABILITIES),
        ("no_new_privs", {"NoNewPrivs": "1"}),
        ("The user stays, without use, unless `--run-as`",
         {"user": "the same", "user_of_run_as": "another"})],
    "the rest of the kernel": [
        ("no `bpf()`, `userfaultfd()`, `perf_event_open()`, `keyctl()`, `mount()`, `unshare()` and "
         "whatever else is not in `common/priv/syscall_core.c` or the device's table",
         KERNEL_CALLS)],
    "resources": resources("2048 descriptors and 4 for each queue"),
    "the log": [
        ("1000 lines in 5 seconds by the program's own rules", {"log_lines": "1000 in 5 seconds"}),
        ("a taken-over one writes what it likes", yes("write_log"))],
}

KVM_STUB = {
    "the guest": [("all of its memory and state", yes("guest_memory " + " ".join(KVM_OF)))],
    "the back-ends": [
        ("the sockets of `--device`: it can connect again, later as well",
         yes("listed_socket peer")),
        ("A process of its own (\"connector\") does so", yes("connector")),
        ("no other socket can be named",
         {"other_socket": "cannot connect to '/dev/null': Permission denied"})],
    "the terminal": [
        ("standard input and output", {"terminal": "read, written"}),
        ("the terminal's mode", yes("TCSETS terminal_mode")),
        ("not what is typed by others (TIOCSTI)", no("TIOCSTI"))],
    **as_back_ends([(PAIRS, yes("pair connector"))]),
    "ioctls": [
        ("those of KVM that the machine takes (`vm_calls`, `vm_arch_calls`)", yes(KVM)),
        ("of terminals TCGETS, TCSETS, TCGETS2, TCSETS2 and TIOCGPGRP",
         yes("TCGETS TCSETS TCGETS2 TCSETS2 TIOCGPGRP")),
        ("and FIONREAD", yes("FIONREAD")),
        ("With KVM_CREATE_VM other virtual machines can be made", yes("KVM_CREATE_VM"))],
    "resources": resources("16384"),
}
KVM_STUB["other files, directories, devices"] += [
    ("What is open: kernel and initrd (reading)", {"kernel": "read", "initrd": "read"}),
    ("the file of `--console` (writing)", {"console": "written"})]
KVM_STUB["other processes"] += [
    ("Back-ends that it started can be signalled, by their pidfds alone", yes("own_child"))]

VIRTIOCTL = {
    "its file": [
        ("`read`: the one that is written to", {"file_of_read": "written"}),
        ("`write`: the one that is read", {"file_of_write": "read"})],
    "the back-end": [
        ("SOCKET: it can connect again", yes("peer reconnect")),
        ("`bench`: what /proc tells of its memory", {"memory_of_back_end": "read"})],
    "the terminal": [
        ("standard input and output, if these are one", {"terminal": "read, written"}),
        ("not its mode", no("TCSETS TCSETS2")), ("not what others type", no("TIOCSTI"))],
    **as_back_ends([(PAIRS, yes("connector"))]),
    "ioctls": [
        ("TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD", yes("TCGETS TCGETS2 TIOCGWINSZ FIONREAD"))],
    "resources": resources("4096"),
}

SWITCH = {
    "the ports": [
        ("all frames", yes("peer")), ("capture files (for writing)", {"capture": "written"}),
        ("the sockets of `--port`, later as well: a process of its own (\"connector\") connects to "
         "them", yes("connector"))],
    **as_back_ends([(PAIRS, yes("connector"))]),
    "ioctls": [("FIONREAD", yes("FIONREAD"))],
    "resources": resources("1024 descriptors and one for each port"),
}

WORKER = {
    **as_back_ends([], peer=BAD_FD),
    "ioctls": [
        ("device model operations, event channel notifications, mappings (DM_OP, EVTCHN_NOTIFY, "
         "MMAP_BATCH)", yes("DM_OP EVTCHN_NOTIFY MMAP_BATCH")), ("FIONREAD", yes("FIONREAD"))],
    "privileges": [
        ("none", {**CAPABILITIES, "NoNewPrivs": "1", "Seccomp": "2"}),
        ("The user is the guest's own", {"user": "the guest's"})],
    "resources": resources("16384"),
}

# By the heading of the table's section.
PROGRAMS = {
    "Back-ends: `virtiod-DEVICE`": BACK_END,
    "`virtiod-xen`": WORKER,
    "`virtiod-kvm`": KVM_STUB,
    "`virtiod-switch`": SWITCH,
    "`virtioctl`": VIRTIOCTL,
}


def proofs(program):
    """Name -> the result that is expected, of all rows."""
    return {name: result for row in program.values() for _, proof in row
            for name, result in proof.items()}
