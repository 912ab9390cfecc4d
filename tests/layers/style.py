# SPDX-License-Identifier: Apache-2.0
"""Rules for the text of files: columns, sizes of files and functions, struct tags, sleeping."""
import ast
import re

MAX_COLUMNS = 100
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

TOKEN = re.compile(
    r'(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<string>"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')',
    re.DOTALL)
TAG = re.compile(r'\b(struct|union|enum)\s+(?:__attribute__\s*\(\(\w+\)\)\s*)?(\w+)\s*\{')
OPAQUE = re.compile(r'^struct (\w+);', re.M)
# A file of tests that is linked in place of one of the tree.
FAKE = re.compile(r'tests/.*/fake_\w+\.c$')
SLEEP = re.compile(r'(?<![\w.>])(g_usleep|usleep|sleep|nanosleep|clock_nanosleep)\s*\(')
# The helpers by which tests wait for a condition; what a benchmark measures may take its time.
MAY_SLEEP = ('tests/lib/', 'tests/bench/')


# A comment directly above the definition of a function.
COMMENTED = re.compile(
    r'^/\*(?P<comment>(?:(?!\*/).)*)\*/\n(?P<head>[A-Za-z_][^;{}#=]*?\b(?P<name>\w+)\s*\('
    r'[^;{}#]*\)[^;{}()=]*)\n\{', re.DOTALL | re.M)
VERB = re.compile(r'[\s*]*(?!(?:This|Its|Always|Unless|Besides|Thus|As|Less)\b)[A-Z][a-z-]*s\b')
# The comment of a test says what its case is; a line like "--- reading ---" begins a section.
MAY_LACK_VERB = re.compile(r'test_|main$')
SECTION = re.compile(r'\s*(---|SPDX)')


def blank(text):
    return re.sub(r'[^\n]', ' ', text)


def keep(text, kinds):
    """The text with everything blanked but tokens of these kinds ('code', 'string', 'comment')."""
    out, end = [], 0
    for m in TOKEN.finditer(text):
        between = text[end:m.start()]
        out.append(between if 'code' in kinds else blank(between))
        out.append(m.group() if m.lastgroup in kinds else blank(m.group()))
        end = m.end()
    out.append(text[end:] if 'code' in kinds else blank(text[end:]))
    return ''.join(out)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


STRING = re.compile(r'\s*"\w+": "[^\n]*",?')


def check_columns(path, text):
    """Tabs count to the next multiple of 8. What cannot be wrapped: tables of Markdown, strings of
    JSON, addresses."""
    for i, line in enumerate(text.splitlines(), 1):
        width = len(line.expandtabs(8))
        if width <= MAX_COLUMNS or '://' in line:
            continue
        if path.endswith('.md') and line.lstrip().startswith('|'):
            continue
        if path.endswith('.json') and STRING.fullmatch(line):
            continue
        yield i, f'{width} columns, {MAX_COLUMNS} is the limit'


def function_name(lines, brace):
    """The name before the parameters, which may go over several lines, above the brace."""
    head = ''
    for line in reversed(lines[max(0, brace - 12):brace]):
        if not line.strip() or line.rstrip().endswith((';', '}')):
            break
        head = line + ' ' + head
    m = re.search(r'(\w+)\s*\(', head)
    return m.group(1) if m else '?'


def check_budget(path, text):
    """Sizes of a C file and of its functions."""
    lines = text.splitlines()
    if path.endswith('.c') and len(lines) > MAX_FILE_LINES:
        yield len(lines), f'the file has {len(lines)} lines, {MAX_FILE_LINES} is the limit'
    start = None
    for i, line in enumerate(keep(text, ('code',)).splitlines()):
        if line.startswith('{'):
            start = i
        elif line.startswith('}') and start is not None:
            if i - start + 1 > MAX_FUNCTION_LINES:
                yield start + 1, (f'{function_name(lines, start)}() has {i - start + 1} lines, '
                                  f'{MAX_FUNCTION_LINES} is the limit')
            start = None


def check_python_budget(path, text):
    """Sizes of the functions of a Python file."""
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield node.lineno, (f'{node.name}() has {lines} lines, '
                                    f'{MAX_FUNCTION_LINES} is the limit')


def check_sleep(path, text):
    """C tests wait for a condition: tests/lib/test.h has the helpers."""
    is_test = path.startswith('tests/') or path.split('/')[-1].startswith('test_')
    if not is_test or path.startswith(MAY_SLEEP):
        return
    code = keep(text, ('code',))
    for m in SLEEP.finditer(code):
        yield line_of(code, m.start()), f'{m.group(1)}(): a test waits for a condition instead'


def check_comments(path, text):
    """The comment on a function begins with a verb in the third person: "Returns ..."."""
    for m in COMMENTED.finditer(text):
        if MAY_LACK_VERB.match(m['name']) or SECTION.match(m['comment']):
            continue
        if not VERB.match(m['comment']):
            yield line_of(text, m.start()), (f'the comment on {m["name"]}() does not begin with a '
                                             'verb, such as "Returns"')


def tags_of(text):
    """(kind, tag, line, body without white space) of each struct, union or enum defined here."""
    code = keep(text, ('code', 'string'))
    for m in TAG.finditer(code):
        depth, end = 1, m.end()
        while depth and end < len(code):
            depth += {'{': 1, '}': -1}.get(code[end], 0)
            end += 1
        yield m.group(1), m.group(2), line_of(code, m.start()), re.sub(r'\s', '', code[m.end():end])


def check_tags(texts):
    """A tag means one thing in the whole tree. texts: (path, text); yields path, line, fault.

    Not so in a fake, which defines the opaque struct of the header that it implements.
    """
    first = {}
    opaque = {tag for path, text in texts if path.endswith('.h')
              for tag in OPAQUE.findall(keep(text, ('code',)))}
    for path, text in texts:
        for kind, tag, line, body in tags_of(text):
            if kind == 'struct' and tag in opaque and FAKE.match(path):
                continue
            where, there, known = first.setdefault((kind, tag), (path, line, body))
            if known != body and where != path:
                yield path, line, f'{kind} {tag} is another one in {where}:{there}'
