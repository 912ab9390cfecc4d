#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the tables of docs/security.md tell what the tests of sandboxes prove (reach.py).

check_reach.py ROOT

A table after a program's heading has the rows of reach.py. A cell is their statements, one after
the other. What a statement names - a `call()`, an ioctl, a number - is in its proof; "no" is not
proved by what works; and each attempt of attempts*.c is in a row of each table.
"""
import os
import platform
import re
import sys

sys.dont_write_bytecode = True
import reach  # noqa: E402

PAGE = "docs/security.md"
FIRST_HEADING = "what"


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def tables(text):
    """Heading -> {row: cell}, of all tables whose first column is "what"."""
    found, heading = {}, None
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith(f"| {FIRST_HEADING} |"):
            found[heading] = {}
        elif line.startswith("| ") and heading in found:
            found[heading][cells[0]] = cells[1]
    return found


def attempts_of(root):
    """Attempt -> the system call that it is, of attempts*.c; its own name without one."""
    text = "".join(read(root, f"tests/sandbox/{name}.c") for name in ("attempts", "attempts_open"))
    calls = dict(re.findall(r"^CALL\((\w+), (\w+)", text, re.MULTILINE))
    return {name: calls.get(name, name) for name in re.findall(r"\bATTEMPT\((\w+)\)", text)}


def looked_up(root):
    """Words that the tests and their programs have as strings: results that are no attempts."""
    folder = os.path.join(root, "tests/sandbox")
    texts = [read(folder, name) for name in os.listdir(folder)
             if name.startswith(("test_", "escape")) and name != "test_check_reach.py"]
    return set(re.findall(r"\"(\w+)\"", "".join(texts)))

def ioctls_in(root, array):
    """Those of a table of system calls somewhere in the sources, for this machine."""
    found, other = set(), "arm64" if platform.machine() == "x86_64" else "x86"
    for where, _, names in os.walk(os.path.join(root, "kvm-stub")):
        for name in names:
            text = read(where, name) if name.endswith(".c") and other not in name else ""
            for table in re.findall(rf"\b{array}\[\] = {{(.*?)}};", text, re.DOTALL):
                found.update(re.findall(r"SYSCALL_IOCTL\((\w+)\)", table))
    return found


def is_refused(result):
    return result not in ("works", "read", "written", "read, written")


class Checker:
    def __init__(self, root, programs):
        self.root, self.programs = root, programs
        self.attempts = attempts_of(root)
        self.looked_up = looked_up(root)

    def statement(self, text, proof):
        """What is wrong with a statement."""
        if not proof:
            yield "has no proof"
        calls = {self.attempts.get(name, name) for name in proof} | set(proof)
        for call in re.findall(r"`(\w+)\(\)`", text):
            if not any(call in name for name in calls):
                yield f"no attempt is {call}()"
        for name in re.findall(r"\b[A-Z][A-Z0-9_]{4,}\b", text):
            if name in reach.IOCTLS and name not in proof:
                yield f"no attempt is {name}"
        for number in re.findall(r"\b\d{4,}\b", text):
            if not any(number in str(result) for result in proof.values()):
                yield f"{number} is in no result"
        results = [r for result in proof.values()
                   for r in (result if isinstance(result, tuple) else (result,))]
        if re.match(r"(no|not|none|nothing)\b", text, re.IGNORECASE):
            works = [n for n, result in proof.items() if not is_refused(result)]
            if works and not re.search(r"\bbut for\b", text):
                yield f"it is no \"no\": {' '.join(works)}"
        elif results and all(result == reach.FORBIDDEN for result in results) \
                and "as for back-ends" not in text:
            yield "all is forbidden"

    def reference(self, row, text, proof):
        """A row that refers to that of back-ends has its results."""
        if "as for back-ends" in text:
            model = reach.proofs({row: reach.BACK_END[row]})
            for name in sorted(proof):
                if model.get(name) != proof[name]:
                    yield f"{name} is not as for back-ends"

    def row(self, row, cell, statements):
        rest = cell
        for text, proof in statements:
            rest = rest.lstrip(" ,;.:")
            if not rest.startswith(text):
                yield f"tests prove \"{text}\", the cell goes on with \"{rest}\""
                return
            rest = rest[len(text):]
            if rest and rest[0] not in " ,;.:":
                yield f"tests prove \"{text}\", the cell goes on with \"{rest}\""
            for fault in (*self.statement(text, proof), *self.reference(row, text, proof)):
                yield f"\"{text}\": {fault}"
        if rest.strip(" ."):
            yield f"no test proves \"{rest.strip(' ,;.:')}\""

    def ioctls(self, cell, statements):
        """All that the filter lets through are named, in the cell or by a table that it names."""
        named = set(re.findall(r"\b[A-Z][A-Z0-9_]{3,}\b", cell))
        for array in re.findall(r"`(\w+_calls)`", cell):
            named |= ioctls_in(self.root, array)
        if "the four of Xen below" in cell:
            named |= {"MMAP_BATCH", "MAP_GRANTS", "UNMAP_GRANTS", "COPY_GRANTS"}
        proved = {name for _, proof in statements for name in proof}
        for name in sorted(named ^ proved):
            yield f"{name} is {'not named' if name in proved else 'not proved'}"

    def faults(self):
        page = tables(read(self.root, PAGE))
        for heading in sorted(set(page) ^ set(self.programs)):
            yield f"{heading}: the table is {'only there' if heading in page else 'missing'}"
        for heading in sorted(set(page) & set(self.programs)):
            yield from self.program(heading, page[heading], self.programs[heading])

    def program(self, heading, rows, program):
        for row in sorted(set(rows) ^ set(program)):
            where = "no test has it" if row in rows else "it is missing"
            yield f"{heading}: {row}: {where}"
        for row in rows:
            statements = program.get(row, [])
            faults = list(self.row(row, rows[row], statements)) if statements else []
            if row == "ioctls":
                faults += self.ioctls(rows[row], statements)
            for fault in faults:
                yield f"{heading}: {row}: {fault}"
        proved = set(reach.proofs(program))
        for name in sorted(proved - {*self.attempts, *self.looked_up, *reach.IOCTLS}):
            yield f"{heading}: no test tries {name}"
        for name in sorted(set(self.attempts) - proved):
            yield f"{heading}: no row has the attempt {name}"


def main():
    faults = list(Checker(sys.argv[1], reach.PROGRAMS).faults())
    for fault in faults:
        print(f"{PAGE}: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
