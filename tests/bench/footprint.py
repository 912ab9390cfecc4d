# SPDX-License-Identifier: Apache-2.0
"""What a back-end costs that does nothing: memory, CPU, the time to its start, its size on disk."""
import contextlib
import os
import signal
import subprocess
import time

from backend import FAILURES, PATIENCE, Failed, Running, activity, describe, memory_kb, pin
from report import Line, Section

IDLE_DEVICES = 32
START_RUNS = 24  # in blocks of this many, side by side:
START_BLOCK = 6


def start_times(start_bench, machine, program):
    """In ms, from before fork() to a connection."""
    socket = os.path.join(machine.folder, "s")
    [cpu] = machine.back_cpus
    with open(socket + ".log", "w+b") as log:
        done = subprocess.run(
            [start_bench, str(START_BLOCK), str(cpu), socket,
             *program.argv(machine.image, socket)],
            stdout=subprocess.PIPE, stderr=log, timeout=PATIENCE, check=False,
            preexec_fn=pin(machine.front_cpus))
        if done.returncode != 0:
            log.seek(0)
            raise Failed(log.read().decode(errors="replace").strip())
    return [float(us) / 1000 for us in done.stdout.split()]


def starts(start_bench, machine, ours, theirs):
    times = {ours: [], theirs: []}
    for _ in range(START_RUNS // START_BLOCK):
        for program in times:
            times[program] += start_times(start_bench, machine, program)
    return [Line("exec to listening socket", "ms", times[ours], times[theirs], ("<", 4), True)]


def program_kib(machine, path):
    """Without symbols, as it is installed."""
    stripped = os.path.join(machine.folder, "stripped")
    done = subprocess.run(["strip", "-o", stripped, path], capture_output=True, check=False)
    if done.returncode != 0:
        raise Failed(done.stderr.decode(errors="replace").strip())
    size = os.path.getsize(stripped)
    os.unlink(stripped)
    return size / 1024


def memory(machine, program):
    """Of a back-end that waits for its first front-end, alone: Pss shares pages out."""
    socket = os.path.join(machine.folder, "s")
    with Running(program.argv(machine.image, socket), socket, machine.back_cpus) as back_end:
        time.sleep(0.2)
        return {key: kb * 1.024e-3 for key, kb in memory_kb(back_end.pid).items()}


def sizes(machine, ours, theirs):
    ours_mb, theirs_mb = (memory(machine, p) for p in (ours, theirs))
    lines = [Line(title, "MB", [ours_mb[key]], [theirs_mb[key]], limit, True)
             for title, key, limit in (("idle, before a front-end: Pss", "Pss", ("<=", 1.8)),
                                       ("private dirty", "Private_Dirty", ("<", 0.5)),
                                       ("RSS", "Rss", None))]
    lines.append(Line("program, stripped", "KiB", *([program_kib(machine, p.binary)]
                                                    for p in (ours, theirs))))
    return lines


class Guest:
    """A front-end that has done some requests, and now neither asks nor answers: it is stopped
    (SIGSTOP), its rings are running."""

    def __init__(self, machine, socket):
        self.process = subprocess.Popen(
            [machine.virtioctl, "bench", "--json", "--rw=randread", "--depth=1", "--rate=100",
             "--mode=blocking", "--packed=off", "--seconds=600", socket],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def pause(self):
        if self.process.poll() is not None:
            raise Failed(f"virtioctl bench: exit status {self.process.returncode}")
        self.process.send_signal(signal.SIGSTOP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def wait_shared(pid):
    """Until a front-end has shared its memory with this back-end."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
            if "memfd:" in f.read():
                return
        time.sleep(0.01)
    raise Failed(f"process {pid}: no front-end's memory")


def idle_programs(machine, program, count, stack):
    """Starts so many with a guest each; returns (back-ends, guests)."""
    running, guests = [], []
    for n in range(count):
        path = os.path.join(machine.folder, f"{program.name}-{n}")
        with open(path + ".img", "wb") as f:
            f.truncate(1 << 20)
        stack.callback(os.unlink, path + ".img")
        running.append(stack.enter_context(Running(program.argv(path + ".img", path), path)))
        guests.append(stack.enter_context(Guest(machine, path)))
    return running, guests


def idle(machine, ours, theirs, seconds):
    """32 of ours and one of theirs, each with a guest that does nothing."""
    with contextlib.ExitStack() as stack:
        us, our_guests = idle_programs(machine, ours, IDLE_DEVICES, stack)
        them, their_guests = idle_programs(machine, theirs, 1, stack)
        for back_end in us + them:
            wait_shared(back_end.pid)
        time.sleep(0.5)
        for guest in our_guests + their_guests:
            guest.pause()
        time.sleep(1)
        before = [activity(r.pid) for r in us + them]
        time.sleep(seconds)
        after = [activity(r.pid) for r in us + them]
    spent = [{key: b[key] - a[key] for key in a} for a, b in zip(before, after)]
    lines = []
    for title, unit, per, key in ((f"idle with a guest, {seconds:g} s: CPU", "us", 1e-3, "ns"),
                                  ("context switches", "", 1, "switches"),
                                  ("user and system time", "ticks", 1, "ticks")):
        one, theirs_one = spent[0][key] * per, spent[-1][key] * per
        lines.append(Line(title, unit, [one], [theirs_one], ("<=", 0), True))
        every = sum(s[key] for s in spent[:IDLE_DEVICES]) * per
        lines.append(Line(f"  {IDLE_DEVICES} of them", unit, [every], (), ("<=", 0), True))
    return lines


def footprint(start_bench, machine, ours, theirs, idle_seconds, errors):
    section = Section("footprint", ours.name, theirs.name)
    for what, lines in (("sizes", lambda: sizes(machine, ours, theirs)),
                        ("start", lambda: starts(start_bench, machine, ours, theirs)),
                        ("idle", lambda: idle(machine, ours, theirs, idle_seconds))):
        try:
            section.lines += lines()
        except FAILURES as e:
            errors.append(f"{what}: {describe(e)}")
    return section
