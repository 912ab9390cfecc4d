#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_docs.py finds what it is to find, and nothing else."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_docs  # noqa: E402

FILES = {
    'common/base/a.c': 'int twice(int n)\n{\n\treturn half(n) * 4;\n}\n',
    'common/base/b.c': 'int other(void);\n',
    'docs/there.md': '',
}

# Page -> what is wrong with it, if anything.
CASES = {
    'See `common/base/a.c`, `twice()` and [there](there.md#part).': None,
    'A word about common/base/none.c and none() that is no code.': None,
    'See `common/base/none.c`.': 'common/base/none.c does not exist',
    'See `none()`.': 'none() is not in the sources',
    'See [none](none.md).': 'none.md does not exist',
    'See `daemon/devices/echo2/echo2.c` and [web](https://example.org/x.md).': None,
    '```\ntwice()   common/base/a.c\n```': None,
    '```\n  half()   common/base/a.c  not other\n```': None,
    '```\ntwice()   common/base/b.c\n```': 'twice() is not in common/base/b.c',
    '```\nnone()    common/base/a.c\n```': 'none() is not in common/base/a.c',
    '<!-- file: common/base/b.c -->\n```c\nint other(void);\n```': None,
    '<!-- file: common/base/b.c -->\n\n```c\nint another(void);\n```':
        'the code block differs from common/base/b.c',
    '<!-- file: common/base/none.c -->\n```c\n```': 'common/base/none.c does not exist',
    '<!-- file: common/base/b.c -->\ntext\n```c\nint another(void);\n```': None,
}


class Docs(unittest.TestCase):
    def test_cases(self):
        with tempfile.TemporaryDirectory() as root:
            for path, text in FILES.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), 'w', encoding='utf-8') as f:
                    f.write(text)
            sources = check_docs.sources_of(root)
            for text, fault in CASES.items():
                with open(os.path.join(root, 'docs/page.md'), 'w', encoding='utf-8') as f:
                    f.write(text + '\n')
                page = check_docs.Page(root, 'docs/page.md', sources)
                with self.subTest(text):
                    self.assertEqual([f for _, f in page.faults()], [fault] if fault else [])

    def test_length(self):
        with tempfile.TemporaryDirectory() as root:
            for lines, found in (150, []), (151, [(151, 'more than 150 lines')]):
                with open(os.path.join(root, 'README.md'), 'w', encoding='utf-8') as f:
                    f.write('A line.\n' * lines)
                self.assertEqual(list(check_docs.Page(root, 'README.md', {}).faults()), found)


if __name__ == '__main__':
    unittest.main()
