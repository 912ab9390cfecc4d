#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that README.md, CONTRIBUTING.md and docs/ name what is in the tree.

check_docs.py ROOT

A relative link leads to a file. A path in a code span or a code block exists, if it begins with a
folder of the tree. A `function()` is called or defined somewhere in the sources; if its line in a
code block names a C file, in that file. A code block after <!-- file: PATH --> equals that file.
README.md can be read at one go: it has at most 150 lines.
"""
import os
import re
import sys

PAGES = ('README.md', 'CONTRIBUTING.md', 'docs')
MAX_LINES = {'README.md': 150}
SOURCES = ('common', 'daemon', 'xen', 'kvm-stub', 'tools', 'tests')
# What a page tells its reader to make.
EXAMPLE = re.compile(r'\becho2')

LINK = re.compile(r'\]\(([^)#:]+)(?:#[^)]*)?\)')
SPAN = re.compile(r'`([^`\n]+)`')
PATH = re.compile(r'(?<![\w/.-])((?:%s|data|docs)/[\w./-]*\w)' % '|'.join(SOURCES))
CALL = re.compile(r'\b([a-z_]\w+)\(\)')
FILE_MARK = re.compile(r'<!-- file: (\S+) -->')


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as f:
        return f.read()


def sources_of(root):
    """The text of all C sources, and that of each by its path."""
    texts = {}
    for folder in SOURCES:
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                path = os.path.relpath(os.path.join(where, name), root)
                if name.endswith(('.c', '.h')):
                    texts[path] = read(root, path)
    return texts


def has_call(text, function):
    return re.search(r'\b%s\b' % function, text)


class Page:
    def __init__(self, root, path, sources):
        self.root, self.path, self.sources = root, path, sources
        self.all = '\n'.join(sources.values())

    def names(self, text, in_code):
        """What this text (a span, or a line of a block) names and the tree has not."""
        if EXAMPLE.search(text):
            return
        paths = PATH.findall(text)
        for path in paths:
            if not os.path.exists(os.path.join(self.root, path)):
                yield f'{path} does not exist'
        files = [p for p in paths if in_code and p in self.sources]
        for function in CALL.findall(text):
            if files and not any(has_call(self.sources[p], function) for p in files):
                yield f'{function}() is not in {" ".join(files)}'
            elif not has_call(self.all, function):
                yield f'{function}() is not in the sources'

    def quoted(self, mark, block):
        try:
            if ''.join(block) == read(self.root, mark):
                return
            yield f'the code block differs from {mark}'
        except OSError:
            yield f'{mark} does not exist'

    def faults(self):
        mark, block, start = None, None, 0
        lines = read(self.root, self.path).splitlines(True)
        most = MAX_LINES.get(self.path, len(lines))
        if len(lines) > most:
            yield len(lines), f'more than {most} lines'
        for n, line in enumerate(lines, 1):
            if line.startswith('```'):
                if block is not None and mark:
                    yield from ((start, fault) for fault in self.quoted(mark, block))
                block, start = ([], n) if block is None else (None, n)
                mark = mark if block is not None else None
            elif block is not None:
                block.append(line)
                if not mark:
                    yield from ((n, fault) for fault in self.names(line, True))
            else:
                found = FILE_MARK.search(line)
                mark = found.group(1) if found else mark if not line.strip() else None
                for text in SPAN.findall(line):
                    yield from ((n, fault) for fault in self.names(text, False))
                for target in LINK.findall(line):
                    there = os.path.join(self.root, os.path.dirname(self.path), target)
                    if not os.path.exists(there):
                        yield n, f'{target} does not exist'


def pages_of(root):
    for page in PAGES:
        if os.path.isdir(os.path.join(root, page)):
            for name in sorted(os.listdir(os.path.join(root, page))):
                yield os.path.join(page, name)
        else:
            yield page


def main(root):
    sources = sources_of(root)
    faults = [f'{path}:{line}: {fault}' for path in pages_of(root)
              for line, fault in Page(root, path, sources).faults()]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
