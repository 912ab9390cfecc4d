# SPDX-License-Identifier: Apache-2.0
"""Cases of load by virtioctl bench: each side in turn, round after round, so that what else the
machine does meets all of them alike."""
import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass

from backend import FAILURES, PATIENCE, Failed, Running, describe, pin
from report import Line, Section, number, summary

PACKED_WORTH = 0.95  # of what split rings reach
WARMUP = 0.2  # seconds


@dataclass(frozen=True)
class Metric:
    unit: str
    value: object  # of virtioctl's report
    higher_is_better: bool


METRICS = {
    "iops": Metric("kIOPS", lambda r: r["iops"] / 1000, True),
    "mb": Metric("MB/s", lambda r: r["mb_per_s"], True),
    "cpu": Metric("CPU us/rq", lambda r: r["backend"]["cpu_us_per_request"], False),
    "cpu_percent": Metric("CPU %", lambda r: r["backend"]["cpu_percent"], False),
}


@dataclass(frozen=True)
class Case:
    key: str
    title: str
    rw: str
    depth: int
    mode: str
    required: dict  # of the ratio, by metric; None: only shown
    block_size: int = 4096
    rate: int = 0
    one_cpu: bool = False
    direct: bool = False


CASES = (
    Case("polled-qd1", "polled, QD1 4k randread", "randread", 1, "polling", {"iops": 3.2}),
    Case("polled-randread", "polled, QD32 4k randread", "randread", 32, "polling", {"iops": 2.1}),
    Case("polled-randwrite", "polled, QD32 4k randwrite", "randwrite", 32, "polling",
         {"iops": 2.2}),
    Case("blocking-qd1", "blocking, QD1 4k randread", "randread", 1, "blocking", {"iops": 4}),
    Case("blocking-randread", "blocking, QD32 4k randread", "randread", 32, "blocking",
         {"iops": 2.8, "cpu": 0.45}),
    Case("blocking-randwrite", "blocking, QD32 4k randwrite", "randwrite", 32, "blocking",
         {"iops": 2.6, "cpu": None}),
    Case("sequential", "polled, QD8 128k read", "read", 8, "polling", {"mb": 1.4},
         block_size=131072),
    Case("one-cpu", "both on one CPU, blocking, QD32", "randread", 32, "blocking",
         {"iops": 1.7, "cpu": None}, one_cpu=True),
    Case("paced", "1000 IOPS, blocking", "randread", 1, "blocking", {"cpu_percent": 1},
         rate=1000),
    Case("direct", "O_DIRECT file, blocking, QD32", "randread", 32, "blocking",
         {"iops": 0.97, "cpu": 0.95}, direct=True),
)


def front_end(machine, socket, cpus, case, packed=False, queues=1):
    argv = [machine.virtioctl, "bench", "--json", f"--rw={case.rw}",
            f"--block-size={case.block_size}", f"--depth={case.depth}", f"--mode={case.mode}",
            f"--seconds={machine.seconds:g}", f"--warmup={WARMUP}", f"--queues={queues}",
            f"--threads={queues}", f"--packed={'on' if packed else 'off'}"]
    if case.rate:
        argv.append(f"--rate={case.rate}")
    done = subprocess.run([*argv, socket], capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=machine.seconds + PATIENCE, check=False, preexec_fn=pin(cpus))
    if done.returncode != 0:
        raise Failed(f"virtioctl bench: {done.stderr.decode(errors='replace').strip()}")
    report = json.loads(done.stdout)
    if report["errors"]:
        raise Failed(f"{report['errors']} requests failed")
    return report


@dataclass
class Side:
    program: object
    packed: bool = False

    @property
    def name(self):
        return self.program.name + (", packed" if self.packed else "")

    def measure(self, machine, case):
        socket = os.path.join(machine.folder, "s")
        image = machine.direct_image if case.direct else machine.image
        argv = self.program.argv(image, socket, **({"direct": True} if case.direct else {}))
        with Running(argv, socket, machine.back_cpus) as back_end:
            cpus = machine.back_cpus if case.one_cpu else machine.front_cpus
            report = front_end(machine, back_end.socket, cpus, case, self.packed)
        machine.runs.append({"case": case.key, "side": self.name, **report})
        return report


def required(metric, ratio):
    if ratio is None:
        return None
    return (">=" if metric.higher_is_better else "<=", ratio)


def required_of_packed(metric, _):
    return required(metric, PACKED_WORTH if metric.higher_is_better else 1 / PACKED_WORTH)


class Comparison:
    """Cases with each side."""

    def __init__(self, cases, ours, theirs, packed, others):
        self.cases = cases
        self.ours, self.theirs = Side(ours), Side(theirs)
        self.packed = Side(ours, packed=True) if packed else None
        self.others = [Side(o) for o in others]
        # Those that are compared side by side.
        self.sides = [self.theirs, self.ours, *([self.packed] if packed else []), *self.others]
        self.reports = {(c.key, s.name): [] for c in cases for s in self.sides
                        if s.program.has_direct or not c.direct}

    def measure(self, machine, rounds, errors):
        """What fails once is not tried again."""
        failed = set()
        for n in range(rounds):
            # The side that comes second finds a warmer machine: turn about.
            sides = self.sides[::-1] if n % 2 else self.sides
            for case, side in itertools.product(self.cases, sides):
                at = case.key, side.name
                if at not in self.reports or at in failed:
                    continue
                try:
                    self.reports[at].append(side.measure(machine, case))
                except FAILURES as e:
                    failed.add(at)
                    errors.append(f"{case.key}, {side.name}: {describe(e)}")
            print(f"round {n + 1} of {rounds}", file=sys.stderr)

    def samples(self, case, side, metric):
        return [metric.value(r) for r in self.reports.get((case.key, side.name), ())]

    def section(self, title, ours, theirs, bound):
        """bound(metric, what the case requires of it) is what is required of the ratio."""
        section = Section(title, ours.name, theirs.name)
        for case in self.cases:
            for key, ratio in case.required.items():
                metric = METRICS[key]
                both = [self.samples(case, side, metric) for side in (ours, theirs)]
                if any(both):
                    section.lines.append(Line(case.title, metric.unit, *both,
                                              bound(metric, ratio)))
        return section

    def sections(self):
        """The promises, those for packed rings, and each other back-end for information."""
        out = [self.section("load", self.ours, self.theirs, required)]
        if self.packed:
            out.append(self.section("packed rings", self.packed, self.ours, required_of_packed))
        return out + [self.section(o.name, o, self.theirs, lambda *_: None) for o in self.others]

    def chart(self, higher_is_better):
        """Groups of bars for chart.svg()."""
        groups = []
        for case in self.cases:
            for key, needed in case.required.items():
                metric = METRICS[key]
                theirs = self.samples(case, self.theirs, metric)
                if metric.higher_is_better != higher_is_better or not theirs:
                    continue
                lines = [(s.name, Line("", "", self.samples(case, s, metric), theirs,
                                       required(metric, needed)))
                         for s in self.sides if s is not self.theirs]
                bars = [(name, line.ratio, f"{number(summary(line.ours)[0])} {metric.unit}")
                        for name, line in lines if line.ratio is not None]
                groups.append((case.title, needed, lines[0][1].ok, bars))
        return groups


SCALED = (
    Case("scaling", "4k randread, QD32 a queue", "randread", 32, "blocking", {"iops": None}),
    Case("scaling", "128k read, QD8 a queue", "read", 8, "blocking", {"mb": None},
         block_size=131072),
)
SHAPES = ((1, 1), (1, 2), (2, 2))  # workers, queues


def scaling(machine, ours, rounds, errors):
    """What more queues and workers bring, on all CPUs; two of both must beat one."""
    samples = {(c.title, shape): [] for c in SCALED for shape in SHAPES}
    socket = os.path.join(machine.folder, "s")
    try:
        for _ in range(rounds):
            for case, (workers, queues) in [(c, s) for c in SCALED for s in SHAPES]:
                argv = ours.argv(machine.image, socket, workers=workers, queues=queues)
                with Running(argv, socket) as back_end:
                    report = front_end(machine, back_end.socket, None, case, queues=queues)
                machine.runs.append({"case": case.key, "workers": workers, **report})
                [metric] = case.required
                samples[case.title, (workers, queues)].append(METRICS[metric].value(report))
    except FAILURES as e:
        errors.append(f"scaling: {describe(e)}")
    section = Section("scaling, blocking, on all CPUs", ours.name, "1 worker, 1 queue")
    for case in SCALED:
        [metric] = case.required
        for workers, queues in SHAPES[1:]:
            section.lines.append(Line(
                f"{case.title}: {workers}w {queues}q", METRICS[metric].unit,
                samples[case.title, (workers, queues)], samples[case.title, SHAPES[0]],
                (">", 1) if workers > 1 else None))
    return section
