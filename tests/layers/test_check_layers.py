#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The layer checker is itself checked: a small tree is clean, and each thing done to it is seen."""
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import check_layers  # noqa: E402

TOP = '/* SPDX-License-Identifier: Apache-2.0 */\n'
def c(*lines):
    """A C file of these lines; those that are no code are included."""
    return TOP + ''.join(('#include ' + l if l[0] in '"<' else l) + '\n' for l in lines)


TREE = {
    'LICENSE': 'no line here\n',
    'README.md': 'nor here\n',
    'meson.build': '# SPDX-License-Identifier: Apache-2.0\n',
    'common/base/sock.h': TOP,
    'common/base/loop.h': TOP,
    'common/base/loop.c': c('"base/loop.h"', 'void f(void)', '{',
                            '\tg_source_attach(g_idle_source_new(), 0);', '}'),
    'common/base/sock.c': c('"base/sock.h"', 'int f(void)', '{', '\treturn socket(1, 1, 0);', '}'),
    'common/virtio/probe.h': c('<stdint.h>', '<linux/virtio_ring.h>', '"base/sock.h"'),
    'common/launch/child.h': c('"base/sock.h"'),
    'common/net/stream.h': c('"base/sock.h"', 'int f(void)', '{', '\treturn recv(1) + sendmsg(2);',
                             '}'),
    'common/priv/user.h': c('"base/sock.h"'),
    'common/memory/guest_mem.h': c('"virtio/probe.h"', '"memory/types/memfd.h"'),
    'common/memory/types/memfd.h': c('"base/sock.h"'),
    'common/ring/vq.h': TOP,
    'common/ring/vq_engine.h': TOP,
    'common/ring/vq_impl.h': TOP,
    'common/ring/vq.c': c('<linux/virtio_ring.h>', '"ring/vq.h"', '"ring/vq_impl.h"',
                          '"memory/guest_mem.h"'),
    'common/driver/driver_ring.h': c('"memory/guest_mem.h"'),
    'common/vhost-user/wire/vu_msg.h': c('"memory/guest_mem.h"'),
    'common/vhost-user/front/vu_front.h': c('"memory/guest_mem.h"',
                                            '"vhost-user/wire/vu_msg.h"'),
    'common/mmio/virtio_mmio.h': TOP,
    'common/mmio/virtio_mmio.c': c(
        '"mmio/virtio_mmio.h"', '<linux/virtio_config.h>',
        '/* Non-blocking: no input or net effect, it cannot block. */',
        'static const char *how = "non-blocking, blocked";', 'int blocked_at, SIG_BLOCKED;'),
    'common/vmm/vmm_dev.h': c('"mmio/virtio_mmio.h"', '"vhost-user/front/vu_front.h"'),
    'daemon/device.h': c('"ring/vq.h"'),
    'daemon/uring.h': TOP,
    'daemon/backend.h': TOP,
    'daemon/backend.c': c('"backend.h"', '"daemon/device.h"', '"vhost-user/wire/vu_msg.h"'),
    'daemon/session/session.h': TOP,
    'daemon/session/session.c': c('"daemon/device.h"', '"daemon/worker/pool.h"',
                                  '"vhost-user/wire/vu_msg.h"'),
    'daemon/worker/pool.h': c('"daemon/device.h"', '"ring/vq_engine.h"'),
    'daemon/worker/worker_impl.h': TOP,
    'daemon/worker/queue.c': c('"daemon/worker/worker_impl.h"'),
    'daemon/worker/poll.h': TOP,
    'daemon/devices/foo/foo.c': c(
        '"daemon/device.h"', '"daemon/uring.h"', '"base/sock.h"', '"virtio/probe.h"', '"foo_io.h"',
        '<linux/virtio_blk.h>', '<unistd.h>', 'int f(void)', '{',
        '\treturn VIRTIO_ID_BLOCK + c->connect(1) + my_bind(2) + socket(1, 2, 3);', '}'),
    'daemon/devices/foo/foo_io.h': c('"ring/vq.h"'),
    'daemon/devices/net/net.c': c('"net/stream.h"', '"daemon/device.h"'),
    'daemon/devices/bar/bar.c': c('"bar.h"'),
    'daemon/devices/bar/bar.h': TOP,
    'xen/main.c': c('"launch/child.h"', '"xs.h"', '"xen/supervisor/guest.h"',
                    '"xen/worker/worker.h"',
                    'static const char *dir = "backend/virtio_disk", *arg = "console=hvc0";',
                    'static const GOptionEntry option = { "console", 0 };',
                    'int f(void)', '{', '\treturn SIG_BLOCK;', '}'),
    'xen/xs.h': TOP,
    'xen/ipc.h': c('"xen/hypervisor/evtchn.h"'),
    'xen/hypervisor/evtchn.h': c('"base/sock.h"'),
    'xen/supervisor/guest.h': c('"launch/child.h"', '"xen/ipc.h"'),
    'xen/supervisor/xenstore.c': c('<xenstore.h>'),
    'xen/worker/worker.h': c('"vmm/vmm_dev.h"', '"xen/ipc.h"', '"xen/hypervisor/evtchn.h"'),
    'kvm-stub/main.c': c('"launch/child.h"', '"vmm/vmm_dev.h"', '"kvm-stub/boot/boot.h"',
                         '"kvm-stub/machine/slots.h"', '"kvm-stub/vm/vm.h"'),
    'kvm-stub/ram.h': TOP,
    'kvm-stub/boot/boot.h': c('"kvm-stub/ram.h"'),
    'kvm-stub/vm/vm.h': c('"kvm-stub/ram.h"'),
    'kvm-stub/machine/slots.h': c('"kvm-stub/boot/boot.h"', '"kvm-stub/vm/vm.h"'),
    'kvm-stub/guest/blk.c': c('<linux/virtio_blk.h>', 'int blk_read(void)', '{',
                              '\treturn VIRTIO_ID_BLOCK;', '}'),
    'tools/main.c': c('"driver/driver_ring.h"', '"tools/probe/probe.h"'),
    'tools/text.h': TOP,
    'tools/block/device.h': c('"tools/text.h"'),
    'tools/bench/bench.h': c('"tools/block/device.h"'),
    'tools/probe/probe.h': c('"tools/block/device.h"'),
    'tests/corpus/seed': 'bytes\n',
    'tests/lib/test.c': c('void f(void)', '{', '\tg_usleep(1);', '}'),
}
# Each wall of the design, from both sides where it has two.
FORBIDDEN = (
    ('common/base/sock.c', '"memory/guest_mem.h"'),
    ('common/virtio/probe.h', '"memory/guest_mem.h"'),
    ('common/launch/child.h', '"memory/guest_mem.h"'),
    ('common/memory/guest_mem.h', '"ring/vq.h"'),
    ('common/memory/types/memfd.h', '"ring/vq.h"'),
    ('common/ring/vq.c', '"vhost-user/front/vu_front.h"'),
    ('common/ring/vq.c', '"driver/driver_ring.h"'),
    ('common/driver/driver_ring.h', '"ring/vq.h"'),
    ('common/vhost-user/wire/vu_msg.h', '"vhost-user/front/vu_front.h"'),
    ('common/vhost-user/front/vu_front.h', '"ring/vq.h"'),
    ('common/vhost-user/front/vu_front.h', '"mmio/virtio_mmio.h"'),
    ('common/mmio/virtio_mmio.c', '"memory/guest_mem.h"'),
    ('common/mmio/virtio_mmio.c', '"vhost-user/wire/vu_msg.h"'),
    ('common/vmm/vmm_dev.h', '"ring/vq.h"'),
    ('common/vmm/vmm_dev.h', '"driver/driver_ring.h"'),
    ('common/vmm/vmm_dev.h', '"daemon/device.h"'),
    ('daemon/backend.c', '"mmio/virtio_mmio.h"'),
    ('daemon/backend.c', '"vmm/vmm_dev.h"'),
    ('daemon/backend.c', '"launch/child.h"'),
    ('daemon/backend.c', '"driver/driver_ring.h"'),
    ('daemon/backend.c', '"vhost-user/front/vu_front.h"'),
    ('daemon/backend.c', '"xen/xs.h"'),
    ('daemon/backend.c', '"daemon/devices/foo/foo_io.h"'),
    ('daemon/session/session.c', '"daemon/worker/poll.h"'),
    ('daemon/session/session.c', '"daemon/worker/worker_impl.h"'),
    ('daemon/session/session.c', '"daemon/backend.h"'),
    ('daemon/session/session.c', '"daemon/devices/foo/foo_io.h"'),
    ('daemon/session/session.c', '"mmio/virtio_mmio.h"'),
    ('daemon/worker/queue.c', '"daemon/session/session.h"'),
    ('daemon/worker/queue.c', '"daemon/backend.h"'),
    ('daemon/worker/queue.c', '"vhost-user/wire/vu_msg.h"'),
    ('daemon/backend.c', '"daemon/worker/pool.h"'),
    ('daemon/devices/foo/foo.c', '"daemon/worker/pool.h"'),
    ('daemon/devices/foo/foo.c', '"base/loop.h"'),
    ('daemon/devices/foo/foo.c', '"net/stream.h"'),
    ('daemon/backend.c', '"net/stream.h"'),
    ('daemon/devices/foo/foo.c', '"memory/guest_mem.h"'),
    ('daemon/devices/foo/foo.c', '"ring/vq_engine.h"'),
    ('daemon/devices/foo/foo.c', '"vhost-user/wire/vu_msg.h"'),
    ('daemon/devices/foo/foo.c', '"daemon/backend.h"'),
    ('daemon/devices/foo/foo.c', '"../bar/bar.h"'),
    ('daemon/devices/bar/bar.c', '"daemon/devices/foo/foo_io.h"'),
    ('xen/main.c', '"ring/vq.h"'),
    ('xen/main.c', '"daemon/device.h"'),
    ('xen/main.c', '"mmio/virtio_mmio.h"'),
    ('xen/main.c', '"vmm/vmm_dev.h"'),
    ('xen/supervisor/guest.h', '"xen/worker/worker.h"'),
    ('xen/supervisor/guest.h', '"xen/xs.h"'),
    ('xen/supervisor/guest.h', '"vmm/vmm_dev.h"'),
    ('xen/worker/worker.h', '"xen/supervisor/guest.h"'),
    ('xen/worker/worker.h', '"xen/xs.h"'),
    ('xen/worker/worker.h', '"launch/child.h"'),
    ('xen/hypervisor/evtchn.h', '"xen/supervisor/guest.h"'),
    ('xen/hypervisor/evtchn.h', '"xen/ipc.h"'),
    ('common/priv/user.h', '"memory/guest_mem.h"'),
    ('kvm-stub/main.c', '"xen/xs.h"'),
    ('kvm-stub/main.c', '"driver/driver_ring.h"'),
    ('kvm-stub/boot/boot.h', '"kvm-stub/vm/vm.h"'),
    ('kvm-stub/boot/boot.h', '"kvm-stub/machine/slots.h"'),
    ('kvm-stub/boot/boot.h', '"vmm/vmm_dev.h"'),
    ('kvm-stub/vm/vm.h', '"kvm-stub/boot/boot.h"'),
    ('kvm-stub/vm/vm.h', '"kvm-stub/machine/slots.h"'),
    ('kvm-stub/guest/blk.c', '"ring/vq.h"'),
    ('tools/main.c', '"ring/vq.h"'),
    ('tools/main.c', '"vmm/vmm_dev.h"'),
    ('tools/block/device.h', '"tools/probe/probe.h"'),
    ('tools/block/device.h', '"tools/bench/bench.h"'),
    ('tools/bench/bench.h', '"tools/probe/probe.h"'),
    ('tools/probe/probe.h', '"tools/bench/bench.h"'),
)
LONGEST_FUNCTION = 'int g(int a,\n\tint b)\n{\n' + '\ta++;\n' * 58 + '}\n'


class CheckLayers(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix='virtiod-layers-')
        self.addCleanup(self.dir.cleanup)
        for path, text in TREE.items():
            self.write(path, text)

    def write(self, path, text):
        full = os.path.join(self.dir.name, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w') as f:
            f.write(text)

    def run_program(self, *args):
        done = subprocess.run([sys.executable, '-B', os.path.join(HERE, 'check_layers.py'), *args,
                               self.dir.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        return done.returncode, done.stdout

    def run_checker(self):
        """The same without starting Python again, which the many cases below would feel."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = check_layers.main([self.dir.name])
        return status, out.getvalue()

    def assert_clean(self):
        self.assertEqual(self.run_checker(), (0, ''))

    def assert_only(self, *said):
        """There is exactly one fault, of which this is the beginning and more."""
        status, out = self.run_checker()
        self.assertEqual((status, out.count('\n')), (1, 1), out)
        self.assertTrue(out.startswith(said[0]), out)
        for word in said[1:]:
            self.assertIn(word, out)

    def assert_fault(self, path, more, *said, line=None):
        """Adding `more` to path gives exactly one fault, at its last line if none is named."""
        before = TREE.get(path, '')
        self.write(path, before + more)
        status, out = self.run_checker()
        self.write(path, before or TOP)
        self.assertEqual(status, 1, out)
        self.assertEqual(out.count('\n'), 1, out)
        line = line or (before + more).count('\n')
        self.assertTrue(out.startswith(f'{path}:{line}: '), out)
        for word in said:
            self.assertIn(word, out)

    def test_clean(self):
        self.assert_clean()

    def test_program(self):
        status, out = self.run_program()
        self.assertEqual((status, out), (0, ''))
        self.write('tools/main.c', TREE['tools/main.c'] + '#include "ring/vq.h"\n')
        status, out = self.run_program()
        self.assertEqual(status, 1)
        self.assertEqual(out, 'tools/main.c:4: tools must not include common/ring/vq.h\n')
        self.assertEqual(self.run_program('--nonsense')[0], 2)

    def test_includes(self):
        for path, include in FORBIDDEN:
            with self.subTest(path=path, include=include):
                self.assert_fault(path, f'#include {include}\n', include.strip('"').split('/')[-1])

    def test_ways_of_including(self):
        self.assert_fault('tools/main.c', '  #  include "ring/vq.h"\n', 'common/ring/vq.h')
        self.assert_fault('tools/main.c', '#include <ring/vq.h>\n', 'common/ring/vq.h')
        self.assert_fault('tools/main.c', '#include "../common/ring/vq.h"\n', 'common/ring/vq.h')
        self.assert_fault('tools/main.c', '#include "gone.h"\n', 'no file')
        self.assert_fault('daemon/backend.c', '#include "ring/vq_impl.h"\n', 'private')
        self.write('tools/main.c', TREE['tools/main.c'] + '/*\n#include "ring/vq.h"\n*/\n')
        self.assert_clean()

    def test_libraries(self):
        for path, library in (('xen/main.c', 'xenstore.h'), ('xen/xs.h', 'xenevtchn.h'),
                              ('xen/supervisor/xenstore.c', 'xendevicemodel.h'),
                              ('common/memory/guest_mem.h', 'xenforeignmemory.h')):
            with self.subTest(path=path, library=library):
                self.assert_fault(path, f'#include <{library}>\n', library, 'only xen/')

    def test_pure(self):
        for name in ('unistd.h', 'glib.h', 'sys/mman.h', 'stdio.h'):
            self.assert_fault('common/virtio/probe.h', f'#include <{name}>\n', name, 'pure')

    def test_folder_without_layer(self):
        self.assert_fault('common/new/new.h', TOP, 'no layer')

    def test_calls(self):
        for path, call in (('common/base/sock.c', 'g_timeout_add(1, f, 0)'),
                           ('daemon/backend.c', 'g_unix_fd_add (1, 1, f, 0)'),
                           ('daemon/backend.c', 'g_source_attach(s, 0)'),
                           ('xen/main.c', 'g_idle_add(f, 0)'),
                           ('common/base/loop.c', 'socket(1, 1, 0)'),
                           ('daemon/backend.c', 'connect(1, a, 2)'),
                           ('tools/main.c', 'recvmsg(1, m, 0)'),
                           ('kvm-stub/main.c', 'socketpair(1, 1, 0, p)')):
            with self.subTest(path=path, call=call):
                more = f'int h(void)\n{{\n\treturn {call};\n}}\n'
                line = (TREE[path] + more).count('\n') - 1
                self.assert_fault(path, more, call.split('(')[0].strip() + '()', line=line)
        self.write('tools/main.c', TREE['tools/main.c'] + '/* socket(1) */ char *s = "bind(2)";\n')
        self.assert_clean()

    def test_main(self):
        for body in ('', 'start_program("x", 0);', 'start_close_fds(argv, 0);',
                     '/* start_program() */ start_close_fds(argv, 0);'):
            with self.subTest(body=body):
                more = f'int main(void)\n{{\n\t{body}\n}}\n'
                line = (TREE['tools/main.c'] + more).count('\n') - 3
                self.assert_fault('tools/main.c', more, 'main() without', line=line)
        self.write('tools/main.c', TREE['tools/main.c'] + 'int main(void)\n{\n'
                   '\tstart_program("x", 0);\n\tstart_close_fds(argv, 0);\n}\n')
        self.assert_clean()

    def test_budget(self):
        for path in ('tools/main.c', 'tests/x/test_x.c'):
            before = TREE.get(path, TOP)
            with self.subTest(path=path):
                self.write(path, before + LONGEST_FUNCTION)
                self.assert_clean()
                longer = LONGEST_FUNCTION.replace('\ta++;\n', '\ta++;\n\n', 1)
                self.write(path, before + longer)
                self.assert_only(f"{path}:{before.count(chr(10)) + 3}: g() has 61 lines")
                self.write(path, before + '\n' * (400 - before.count('\n')))
                self.assert_clean()
                self.write(path, before + '\n' * (401 - before.count('\n')))
                self.assert_only(f'{path}:401: the file has 401 lines')
                self.write(path, before)

    def test_python_budget(self):
        top = '# SPDX-License-Identifier: Apache-2.0\nclass A:\n    def f(self):\n'
        self.write('tests/x.py', top + '        a = 1\n' * 59)
        self.assert_clean()
        self.write('tests/x.py', top + '        a = 1\n' * 60)
        self.assert_only('tests/x.py:3: f() has 61 lines')

    def test_columns(self):
        for path, long in (('tools/main.c', '/* %s */' % ('x' * 95)), ('tests/x.py', '#' * 101),
                           ('data/x.1', 'x' * 101), ('README.md', 'x' * 101),
                           ('meson.build', "\t'%s'" % ('x' * 91)), ('tests/run', '#' * 101)):
            before = TREE.get(path, '# SPDX-License-Identifier: Apache-2.0\n')
            with self.subTest(path=path):
                self.write(path, before + long[1:] + '\n')
                self.assert_clean()
                self.write(path, before + long + '\n')
                self.assert_only(f'{path}:{before.count(chr(10)) + 1}: ', 'columns')
                self.write(path, before)
        self.write('data/x.json', '{\n  "a": [\n    %s\n  ]\n}\n' % ('1, ' * 40 + '1'))
        self.assert_only('data/x.json:3: ', 'columns')
        self.write('data/x.json', '{\n  "a": "%s"\n}\n' % ('x' * 100))
        self.write('README.md', '| %s |\nhttps://%s\n' % ('x' * 100, 'x' * 100))
        self.assert_clean()

    def test_tags(self):
        self.write('tests/x/a.c', TOP + 'struct one {\n\tint a; /* b */\n\tstruct two {\n'
                                        '\t\tint c;\n\t} d;\n};\nstruct four *f;\n')
        self.write('tests/x/b.c', TOP + 'struct one *a;\nstruct three { int a; } b;\n'
                                        '/* struct two { */\nenum one { TWO };\n')
        self.assert_clean()
        for line, tag in (('struct one { int a; };', 'one'), ('struct two {', 'two'),
                          ('struct x { struct two { int d; } e; };', 'two'),
                          ('enum e { A, B };', 'e'), ('union u { int c; };', 'u')):
            with self.subTest(line=line):
                self.write('common/base/a.h', TOP + 'union u { int a; };\nenum e { A };\n')
                self.write('tools/text.h', TOP + line + '\n')
                status, out = self.run_checker()
                self.assertEqual(status, 1)
                self.assertEqual(out.count('\n'), 1, out)
                self.assertIn(f' {tag} is another one in ', out)
                self.write('tools/text.h', TOP)
        self.write('tests/x/b.c', TOP)
        fake = TOP + 'struct one { int fake; };\n'
        self.write('tests/x/fake_a.c', fake)
        self.assert_only('tests/x/fake_a.c:2: ', 'struct one')
        self.write('tests/x/a.h', TOP + 'struct one;\n')
        self.assert_clean()
        self.write('tests/x/fake_a.c', TOP)
        self.write('tests/x/test_a.c', fake)
        self.assert_only('tests/x/test_a.c:2: ', 'struct one')

    def test_sleep(self):
        for call in ('g_usleep(1)', 'usleep (1)', 'sleep(1)', 'nanosleep(&t, 0)'):
            with self.subTest(call=call):
                self.write('tests/x/test_x.c',
                           TOP + f'/* sleep(1) */ int x = a->sleep(2) + {call};\n')
                self.assert_only('tests/x/test_x.c:2: ' + call.split('(')[0].strip(), 'waits')
        self.write('tests/x/test_x.c', TOP)
        self.write('tools/text.h', TOP + 'int x = usleep(1);\n')
        self.assert_clean()

    def test_comments(self):
        body = 'static int\nf(int a,\n\tint b)\n{\n}\n'
        for comment in ('/* The sum. */', '/*\n * As g().\n */', '/* returns it */', '/* 0: no */'):
            self.write('tools/text.c', TOP + comment + '\n' + body)
            self.assert_only('tools/text.c:2: ', 'f() does not begin')
        for more in ('/* Returns it. */\n' + body, '/*\n * Does it.\n */\n' + body,
                     '/* --- sums --- */\n' + body, '/* The sums. */\n\n' + body,
                     '/* The sum. */\nint f(int a);\n', '/* The case. */\n' +
                     body.replace('f(', 'test_f(')):
            self.write('tools/text.c', TOP + more)
            self.assert_clean()

    def test_device_names(self):
        for path in ('common/launch/child.h', 'common/mmio/virtio_mmio.c', 'common/vmm/vmm_dev.h',
                     'xen/main.c', 'kvm-stub/main.c', 'kvm-stub/vm/vm.h'):
            for more in ('int blk_size;', 'int queue_block;', 'int RNG;', 'char *s = "virtio-net";',
                         'char *s = "i2c";', 'int x = VIRTIO_ID_CONSOLE;', 'char *s = "blk0";',
                         '#include <linux/virtio_ids.h>', '#include <linux/virtio_gpio.h>',
                         '/* as virtio-blk does */', '/* for vhost-user-gpio */',
                         '/* what virtiod-rng offers */', '/* VIRTIO_ID_NET */'):
                with self.subTest(path=path, more=more):
                    self.assert_fault(path, more + '\n')
        self.assert_fault('common/ring/vq.c', 'int x = VIRTIO_ID_NET;\n', 'VIRTIO_ID_NET')
        self.assert_fault('common/ring/vq.c', '#include <linux/virtio_blk.h>\n', 'virtio_blk.h')

    def test_spdx(self):
        for path in ('tools/new.c', 'tests/x/meson.build', 'tests/run', 'data/a.service', 'check',
                     '.ci/run'):
            with self.subTest(path=path):
                self.assert_fault(path, '\n\n\n# SPDX-License-Identifier: Apache-2.0\n', 'SPDX',
                                  line=1)

    @unittest.skipUnless(check_layers.find_clang_format(), 'no clang-format 14 here')
    def test_format(self):
        with open(os.path.join(HERE, '../../.clang-format')) as f:
            self.write('.clang-format', f.read())
        for path in [p for p in TREE if p.endswith(('.c', '.h'))]:
            self.write(path, TOP)
        self.assertEqual(self.run_program('--format'), (0, ''))
        self.write('tools/main.c', TOP + 'int x  =  1;\n')
        status, out = self.run_program('--format')
        self.assertNotEqual(status, 0)
        self.assertIn('tools/main.c:2:', out)


if __name__ == '__main__':
    unittest.main()
