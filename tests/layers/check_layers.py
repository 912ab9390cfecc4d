#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what keeps the tree in order: who includes whom, names, sizes, columns, SPDX, format.

check_layers.py ROOT            all but the format
check_layers.py --format ROOT   clang-format 14 would change nothing (exit 77: there is none)
"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import style  # noqa: E402
from style import blank, keep, line_of  # noqa: E402

# Layer -> the layers that it may include besides itself (design: "who lives where"). A file is of
# the longest folder named here; a folder without a layer may hold no C.
BASE = ('common/base',)
PURE = BASE + ('common/virtio',)
WIRE = PURE + ('common/memory', 'common/vhost-user/wire')
FRONT = PURE + ('common/memory', 'common/vhost-user/front')
LAYERS = {
    'common/base': (),
    'common/virtio': BASE,
    'common/launch': PURE,
    'common/control': BASE,
    'common/net': BASE,
    'common/priv': BASE,
    'common/memory': PURE,
    'common/ring': PURE + ('common/memory',),
    'common/driver': PURE + ('common/memory',),
    'common/vhost-user/wire': PURE + ('common/memory',),
    'common/vhost-user/front': WIRE,
    'common/mmio': PURE,
    'common/vmm': FRONT + ('common/vhost-user/wire', 'common/mmio'),
    'daemon': WIRE + ('common/control', 'common/priv', 'common/ring', 'daemon/control',
                      'daemon/session'),
    'daemon/control': PURE + ('common/control', 'common/ring', 'daemon', 'daemon/session'),
    'daemon/session': WIRE + ('common/ring', 'daemon', 'daemon/worker'),
    'daemon/worker': PURE + ('common/memory', 'common/ring', 'daemon'),
    'daemon/devices': PURE + ('common/net',),
    'xen': PURE + ('common/launch', 'common/priv', 'xen/supervisor', 'xen/worker',
                   'xen/hypervisor'),
    'xen/supervisor': PURE + ('common/launch', 'common/vhost-user/front', 'xen/hypervisor'),
    'xen/worker': FRONT + ('common/priv', 'common/mmio', 'common/vmm', 'xen/hypervisor'),
    'xen/hypervisor': PURE,
    'kvm-stub': FRONT + ('common/launch', 'common/priv', 'common/vmm', 'kvm-stub/boot',
                         'kvm-stub/machine', 'kvm-stub/vm'),
    'kvm-stub/boot': BASE + ('common/memory', 'kvm-stub'),
    'kvm-stub/vm': BASE + ('common/memory', 'kvm-stub'),
    'kvm-stub/machine': FRONT + ('common/control', 'common/launch', 'common/vmm', 'kvm-stub',
                                 'kvm-stub/boot', 'kvm-stub/vm'),
    'kvm-stub/guest': ('kvm-stub',),  # a driver that runs in the guest: it knows devices
    'tools': WIRE + ('common/vhost-user/front', 'common/driver', 'common/launch', 'common/priv',
                     'tools/block', 'tools/bench', 'tools/probe'),
    'tools/switch': BASE + ('common/control', 'common/net', 'common/priv'),
    'tools/supervisor': BASE + ('common/control', 'common/launch'),
    'tools/block': FRONT + ('common/driver', 'tools'),
    'tools/bench': FRONT + ('common/driver', 'tools', 'tools/block'),
    'tools/check': WIRE + ('common/driver', 'tools', 'tools/block'),
    'tools/control': PURE + ('tools',),
    'tools/metrics': PURE + ('tools', 'tools/control'),
    'tools/probe': WIRE + ('common/vhost-user/front', 'tools', 'tools/block'),
}
CODE_FOLDERS = ('common', 'daemon', 'xen', 'kvm-stub', 'tools')
# Headers that layers may include beyond those named above.
SHARED = {'xen/ipc.h': ('xen/supervisor', 'xen/worker')}
# Header of a device -> other devices that include it: both have ends of the same kinds on the host.
SHARED_BY_DEVICES = {
    'daemon/devices/console/console_end.h': ('rpmsg',),
    'daemon/devices/console/console_port.h': ('rproc-serial',),
    'daemon/devices/console/test_ports.h': ('rpmsg', 'rproc-serial'),
}
# (Layer, other layer) -> the only headers of the other one that it includes.
DOORS = {
    ('daemon/control', 'daemon'): ('daemon/device.h',),
    ('daemon/control', 'daemon/session'): ('daemon/session/backend.h', 'daemon/session/server.h'),
    ('daemon/session', 'daemon'): ('daemon/device.h',),
    ('daemon/session', 'daemon/worker'): ('daemon/worker/pool.h',),
    ('daemon/worker', 'daemon'): ('daemon/device.h', 'daemon/uring.h'),
}
# What a device's folder may include besides its own files, base, virtio and host libraries.
DEVICE_CONTRACT = ('daemon/device.h', 'daemon/uring.h', 'common/ring/vq.h')
# All that common/virtio may include of the host: it has constants and pure functions.
PURE_HEADERS = re.compile(
    r'(endian|errno|stdbool|stddef|stdint|string)\.h|linux/(types|virtio_\w+)\.h')
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

# A call (not a member: no "->" or "." before it, no "_" or letter) of ...
GLIB_SOURCE = re.compile(
    r'(?<![\w.>])(g_source_new|g_source_attach|g_unix_fd_\w+|g_unix_signal_\w+|g_timeout_\w+|'
    r'g_idle_\w+|g_io_\w+|g_child_watch_\w+|g_main_context_invoke\w*)\s*\(')
RAW_SOCKET = re.compile(
    r'(?<![\w.>])(socket|socketpair|bind|listen|connect|accept4?|'
    r'sendmsg|sendmmsg|sendto|recvmsg|recvmmsg|recvfrom)\s*\(')

# What is below these knows no device from another: identifiers and strings have none of these
# words. A word is whole: "non-blocking" and blocked_at have none, queue_block and "blk0" do.
NO_DEVICES = ('common/launch/', 'common/mmio/', 'common/vmm/', 'xen/', 'kvm-stub/')
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
TEXT_FOLDERS = CODE_FOLDERS + ('tests', 'data', 'docs', '.ci')
NO_COMMENTS = ('.json', '.json.in', '.md', '.gitignore')  # formats that have no place for it

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def layer_of(path):
    folders = path.split('/')[:-1]
    for n in range(len(folders), 0, -1):
        if '/'.join(folders[:n]) in LAYERS:
            return '/'.join(folders[:n])
    return None


def device_of(path):
    """The folder of daemon/devices that holds this file, or its name if it is in none."""
    return path.split('/')[2]


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
        own = to == layer and (device_of(path) == device_of(target) or
                               device_of(path) in SHARED_BY_DEVICES.get(target, ()))
        shared = to in PURE or (to == 'common/net' and device_of(path) == 'net')
        if own or target in DEVICE_CONTRACT or (shared and target != LOOP + '.h'):
            return None
        return f'a device includes {DEVICE_CONTRACT[0]}, base and host libraries, not {target}'
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
        elif path.startswith('common/virtio/') and not PURE_HEADERS.fullmatch(name):
            yield line, f'<{name}>: common/virtio has constants and pure functions alone'
        elif (VIRTIO_HEADER.match(name) and not path.startswith(DRIVERS)
              and path.split('/')[0] in ('common', 'xen', 'kvm-stub')):
            yield line, f'<{name}> is of one device: only a back-end or a tool knows devices'


def check_calls(path, text):
    code = keep(text, ('code',))
    stem = os.path.splitext(path)[0]
    for pattern, owner, what in ((GLIB_SOURCE, LOOP, 'makes a GLib source'),
                                 (RAW_SOCKET, SOCK, 'uses a socket directly')):
        if stem in (owner, owner + '_message'):
            continue
        if owner == SOCK and path.startswith(('daemon/devices/', 'common/net/')):
            continue  # a device may use sockets of its own: vsock, say
        for m in pattern.finditer(code):
            yield line_of(text, m.start()), f'{m.group(1)}() {what}: only {owner}.c does that'


def check_main(text):
    """A program deals with what it inherited (common/base/start.h) before anything else."""
    code = keep(text, ('code',))
    main_function = re.search(r'^int main\(', code, re.MULTILINE)
    if main_function and not ('start_program(' in code and 'start_close_fds(' in code):
        yield (line_of(text, main_function.start()),
               'main() without start_program() and start_close_fds()')


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
    if path.startswith(DRIVERS):
        return
    if not os.path.basename(path).startswith('test_'):
        yield from check_main(text)
    if path.startswith(NO_DEVICES):
        yield from check_devices(path, text)
    if path.startswith(('common/',) + NO_DEVICES):
        yield from check_ids(path, text)


def files_of(root, folders):
    """Paths from root of the files in these folders, and of those at the top for ''."""
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


def has_rules(path):
    """Not the licence, hidden files at the top, and the bytes that a fuzzer found."""
    return not (path == 'LICENSE' or re.match(r'\.[^/]+$', path) or '/corpus/' in path)


def needs_spdx(path):
    return not path.endswith(NO_COMMENTS)


def is_python(path, text):
    return path.endswith('.py') or text.startswith('#!/usr/bin/env python')


def check_text(path, text):
    """The rules for any file of text, code or not."""
    if needs_spdx(path) and SPDX not in '\n'.join(text.split('\n', 3)[:3]):
        yield 1, f'no "{SPDX}" line on top'
    yield from style.check_columns(path, text)
    if is_python(path, text):
        yield from style.check_python_budget(path, text)
    elif path.endswith(('.c', '.h')):
        yield from style.check_budget(path, text)
        yield from style.check_sleep(path, text)
        yield from style.check_comments(path, text)


def check_tree(root):
    """Every violation, as 'file:line: rule'."""
    sources = []
    for path in files_of(root, TEXT_FOLDERS + ('',)):
        text = read(root, path) if has_rules(path) else None
        if text is None:
            continue
        faults = list(check_text(path, text))
        if path.endswith(('.c', '.h')):
            sources.append((path, text))
            if path.startswith(tuple(f + '/' for f in CODE_FOLDERS)):
                faults += check_code(root, path, text)
        for line, fault in sorted(faults):
            yield f'{path}:{line}: {fault}'
    for path, line, fault in style.check_tags(sources):
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
