#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what keeps the tree in its layers: who includes whom, sizes, names, SPDX lines, format.

check_layers.py ROOT            all but the format
check_layers.py --format ROOT   clang-format 14 would change nothing (exit 77: there is none)
"""
import os
import re
import subprocess
import sys

# Layer -> the layers that it may include besides itself. A folder not named here may hold no C.
LAYERS = {
    'common/base': (),
    'common/virtio': ('common/base',),
    'common/launch': ('common/base',),
    'common/priv': ('common/base',),
    'common/memory': ('common/base', 'common/virtio'),
    'common/ring': ('common/base', 'common/virtio', 'common/memory'),
    'common/driver': ('common/base', 'common/virtio', 'common/memory'),
    'common/vhost-user': ('common/base', 'common/virtio', 'common/memory'),
    'common/mmio': ('common/base', 'common/virtio'),
    'common/vmm': ('common/base', 'common/virtio', 'common/memory', 'common/vhost-user',
                   'common/mmio'),
    'daemon': ('common/base', 'common/virtio', 'common/priv', 'common/memory', 'common/ring',
               'common/vhost-user', 'daemon/session'),
    'daemon/session': ('common/base', 'common/virtio', 'common/memory', 'common/ring',
                       'common/vhost-user', 'daemon', 'daemon/worker'),
    'daemon/worker': ('common/base', 'common/virtio', 'common/memory', 'common/ring', 'daemon'),
    'daemon/devices': ('common/base', 'common/virtio'),
    'xen': ('common/base', 'common/virtio', 'common/launch', 'xen/supervisor', 'xen/worker',
            'xen/hypervisor'),
    'xen/supervisor': ('common/base', 'common/virtio', 'common/launch', 'common/vhost-user',
                       'xen/hypervisor'),
    'xen/worker': ('common/base', 'common/virtio', 'common/priv', 'common/memory', 'common/mmio',
                   'common/vhost-user', 'common/vmm', 'xen/hypervisor'),
    'xen/hypervisor': ('common/base', 'common/virtio'),
    'kvm-stub': ('common/base', 'common/virtio', 'common/launch', 'common/memory',
                 'common/vhost-user', 'common/vmm'),
    'kvm-stub/guest': ('kvm-stub',),  # the selftest guest: a driver, so it knows devices
    'tools': ('common/base', 'common/virtio', 'common/memory', 'common/vhost-user',
              'common/driver'),
}
CODE_FOLDERS = ('common', 'daemon', 'xen', 'kvm-stub', 'tools')
# Headers that layers may include beyond those named above.
SHARED = {'xen/ipc.h': ('xen/supervisor', 'xen/worker')}
# (Layer, other layer) -> the only headers of the other one that it includes.
DOORS = {
    ('daemon/session', 'daemon'): ('daemon/device.h',),
    ('daemon/session', 'daemon/worker'): ('daemon/worker/pool.h',),
    ('daemon/worker', 'daemon'): ('daemon/device.h', 'daemon/uring.h'),
}
DEVICE_CONTRACT = ('daemon/device.h', 'daemon/uring.h', 'common/ring/vq.h')
# A library of the host -> the only file that includes it.
LIBRARIES = {
    'xenstore.h': 'xen/supervisor/xenstore.c',
    'xenevtchn.h': 'xen/hypervisor/evtchn.c',
    'xendevicemodel.h': 'xen/hypervisor/devmodel.c',
    'xenforeignmemory.h': 'xen/hypervisor/foreign_memory.c',
    'liburing.h': 'daemon/worker/uring.c',
}
LOOP = 'common/base/loop'
SOCK = 'common/base/sock'

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# A call (not a member: no "->" or "." before it, no "_" or letter) of ...
GLIB_SOURCE = re.compile(
    r'(?<![\w.>])(g_source_new|g_source_attach|g_unix_fd_\w+|g_unix_signal_\w+|g_timeout_\w+|'
    r'g_idle_\w+|g_io_\w+|g_child_watch_\w+|g_main_context_invoke\w*)\s*\(')
RAW_SOCKET = re.compile(
    r'(?<![\w.>])(socket|socketpair|bind|listen|connect|accept4?|'
    r'sendmsg|sendmmsg|sendto|recvmsg|recvmmsg|recvfrom)\s*\(')

# Who must not know one device from another: their identifiers and strings have none of these
# words. A word is whole: "non-blocking" and blocked_at have none, queue_block and "blk0" do.
NO_DEVICES = ('common/launch', 'common/mmio', 'common/vmm', 'xen', 'xen/supervisor', 'xen/worker',
              'xen/hypervisor', 'kvm-stub')
DEVICE_WORDS = frozenset(
    'blk block disk rng entropy net nic console input keyboard gpio i2c vsock sound snd scsi '
    'balloon crypto gpu pmem rpmb video camera bluetooth wifi'.split())
# Not devices of virtio: libxl's node of that name, the kernel's parameter and the option (as said,
# and in its GOptionEntry), a signal mask.
NOT_DEVICES = re.compile(
    r'\bvirtio_disk\b|\bconsole=|(?<=\{ )"console",|\bSIG_(UN)?BLOCK\b')
# A guest's own drivers, run inside it to try devices.
DRIVERS = 'kvm-stub/guest/'
# In a comment such words are English, unless they are said of virtio.
DEVICE_IN_COMMENT = re.compile(
    r'\b(?:virtiod?|vhost-user)[-_ /](?:%s)\b' % '|'.join(sorted(DEVICE_WORDS)), re.I)
# The transport's headers; every other one of this name is a device's, or the list of the ids.
VIRTIO_HEADER = re.compile(r'linux/virtio_(?!config\.h|ring\.h|types\.h|mmio\.h|pci\.h)')

SPDX = 'SPDX-License-Identifier: Apache-2.0'
SPDX_FOLDERS = CODE_FOLDERS + ('tests', 'data', '.ci')
NO_COMMENTS = ('.json', '.json.in', '.md', '.gitignore')  # formats that have no place for it

TOKEN = re.compile(
    r'(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<string>"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')',
    re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


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


def layer_of(path):
    folders = path.split('/')[:-1]
    for n in (2, 1):
        if '/'.join(folders[:n]) in LAYERS:
            return '/'.join(folders[:n])
    return None


def device_of(path):
    """daemon/devices/foo.c, foo_io.h and foo/any.c are all of the device foo."""
    name = path[len('daemon/devices/'):]
    return name.split('/')[0] if '/' in name else re.split(r'[_.]', name)[0]


def resolve(root, path, name):
    """The file of the tree that this include means, or None."""
    folder = os.path.dirname(path)
    places = ['common', folder]
    while folder:
        folder = os.path.dirname(folder)
        places.append(folder)
    for place in places:
        candidate = os.path.normpath(os.path.join(place, name))
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def include_fault(path, target):
    """Why path must not include target (both of the tree); None: it may."""
    layer, to = layer_of(path), layer_of(target)
    if target.endswith('_impl.h') and os.path.dirname(path) != os.path.dirname(target):
        return f'{target} is private to its folder'
    if layer == 'daemon/devices':
        if os.path.basename(path).startswith('test_') and target.startswith('tests/lib/'):
            return None  # a device's unit test, on the device kit
        if target in DEVICE_CONTRACT or (to == layer and device_of(path) == device_of(target)):
            return None
        if to != 'common/base' or target == LOOP + '.h':
            return f'a device includes {DEVICE_CONTRACT[0]}, base and host libraries, not {target}'
        return None
    if to == layer or layer in SHARED.get(target, ()):
        return None
    if to not in LAYERS[layer] or target not in DOORS.get((layer, to), (target,)):
        return f'{layer} must not include {target}'
    return None


def check_includes(root, path, text):
    no_comments = keep(text, ('code', 'string'))
    for m in INCLUDE.finditer(no_comments):
        line, quote, name = line_of(text, m.start()), m.group(1), m.group(2)
        target = resolve(root, path, name)
        if target is None and quote == '"':
            yield line, f'"{name}" is no file of the tree'
        elif target is not None:
            fault = include_fault(path, target)
            if fault:
                yield line, fault
        elif LIBRARIES.get(name, path) != path:
            yield line, f'<{name}>: only {LIBRARIES[name]} includes it'
        elif (VIRTIO_HEADER.match(name) and not path.startswith(DRIVERS)
              and path.split('/')[0] in ('common', 'xen', 'kvm-stub')):
            yield line, f'<{name}> is of one device: only a back-end or a tool knows devices'


def check_calls(path, text):
    code = keep(text, ('code',))
    stem = os.path.splitext(path)[0]
    for pattern, owner, what in ((GLIB_SOURCE, LOOP, 'makes a GLib source'),
                                 (RAW_SOCKET, SOCK, 'uses a socket directly')):
        if stem == owner:
            continue
        for m in pattern.finditer(code):
            yield line_of(text, m.start()), f'{m.group(1)}() {what}: only {owner}.c does that'


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


def check_devices(path, text):
    code = re.sub(r'\bVIRTIO_ID_\w+', lambda m: blank(m.group()), keep(text, ('code', 'string')))
    code = INCLUDE.sub(lambda m: blank(m.group()), code)  # check_includes() has looked at them
    code = NOT_DEVICES.sub(lambda m: blank(m.group()), code)
    for m in re.finditer(r'[A-Za-z0-9]+', code):
        word = m.group().lower()
        if word in DEVICE_WORDS or word.rstrip('0123456789') in DEVICE_WORDS:
            yield line_of(text, m.start()), f"'{m.group()}' is a device's name"
    comments = NOT_DEVICES.sub(lambda m: blank(m.group()), keep(text, ('comment',)))
    for m in DEVICE_IN_COMMENT.finditer(comments):
        yield line_of(text, m.start()), f"'{m.group()}' names a device"


def check_ids(path, text):
    for m in re.finditer(r'\bVIRTIO_ID_\w+', text):
        yield line_of(text, m.start()), f'{m.group()} is a device id'


def check_code(root, path, text):
    layer = layer_of(path)
    if layer is None:
        yield 1, 'the folder belongs to no layer'
        return
    yield from check_includes(root, path, text)
    yield from check_calls(path, text)
    yield from check_budget(path, text)
    if path.startswith(DRIVERS):
        return
    if layer in NO_DEVICES:
        yield from check_devices(path, text)
    if layer.startswith('common/') or layer in NO_DEVICES:
        yield from check_ids(path, text)


def files_of(root, folders):
    """Paths from root of the files in these folders, and of those at the top if '' is among them."""
    for folder in folders:
        for where, below, names in os.walk(os.path.join(root, folder)):
            below.sort()
            below[:] = [b for b in below if folder and b != '__pycache__']
            for name in sorted(names):
                yield os.path.relpath(os.path.join(where, name), root).replace(os.sep, '/')


def read(root, path):
    """The text, or None for what is no text."""
    with open(os.path.join(root, path), 'rb') as f:
        data = f.read()
    try:
        return None if b'\0' in data else data.decode()
    except UnicodeDecodeError:
        return None


def needs_spdx(path):
    name = os.path.basename(path)
    if '/' not in path and (name.startswith('.') or name == 'LICENSE'):
        return False
    return not name.endswith(NO_COMMENTS) and '/corpus/' not in path


def check_tree(root):
    """Every violation, as 'file:line: rule'."""
    for path in files_of(root, SPDX_FOLDERS + ('',)):
        text = read(root, path) if needs_spdx(path) else None
        if text is not None and SPDX not in '\n'.join(text.split('\n', 3)[:3]):
            yield f'{path}:1: no "{SPDX}" line on top'
    for path in files_of(root, CODE_FOLDERS):
        if path.endswith(('.c', '.h')):
            for line, fault in sorted(check_code(root, path, read(root, path) or '')):
                yield f'{path}:{line}: {fault}'


def find_clang_format():
    """Other versions than 14 format differently."""
    for name in ('clang-format-14', 'clang-format'):
        try:
            out = subprocess.run([name, '--version'], stdout=subprocess.PIPE, text=True).stdout
        except OSError:
            continue
        if re.search(r'version 14\.', out):
            return name
    return None


def check_format(root):
    tool = find_clang_format()
    if not tool:
        print('SKIPPED: no clang-format 14 here, the format was not checked', file=sys.stderr)
        return 77
    files = [p for p in files_of(root, CODE_FOLDERS + ('tests',)) if p.endswith(('.c', '.h'))]
    return subprocess.run([tool, '--dry-run', '-Werror', '--style=file'] + files,
                          cwd=root).returncode if files else 0


def main(args):
    if args[:1] == ['--format'] and len(args) == 2:
        return check_format(args[1])
    if len(args) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    faults = list(check_tree(args[0]))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
