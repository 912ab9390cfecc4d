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
TREE = {
    'LICENSE': 'no line here\n',
    'README.md': 'nor here\n',
    'meson.build': '# SPDX-License-Identifier: Apache-2.0\n',
    'common/base/sock.h': TOP,
    'common/base/loop.h': TOP,
    'common/base/loop.c': TOP + '#include "base/loop.h"\n'
                                'void f(void)\n{\n\tg_source_attach(g_idle_source_new(), 0);\n}\n',
    'common/base/sock.c': TOP + '#include "base/sock.h"\nint f(void)\n{\n\treturn socket(1, 1, 0);\n}\n',
    'common/launch/child.h': TOP + '#include "base/sock.h"\n',
    'common/priv/user.h': TOP + '#include "base/sock.h"\n',
    'common/memory/guest_mem.h': TOP + '#include "base/sock.h"\n',
    'common/ring/vq.h': TOP,
    'common/ring/vq_engine.h': TOP,
    'common/ring/vq_impl.h': TOP,
    'common/ring/vq.c': TOP + '#include <linux/virtio_ring.h>\n#include "ring/vq.h"\n'
                              '#include "ring/vq_impl.h"\n#include "memory/guest_mem.h"\n',
    'common/driver/driver_ring.h': TOP,
    'common/vhost-user/vu_front.h': TOP + '#include "memory/guest_mem.h"\n',
    'common/mmio/virtio_mmio.h': TOP,
    'common/mmio/virtio_mmio.c': TOP + '#include "mmio/virtio_mmio.h"\n'
        '#include <linux/virtio_config.h>\n'
        '/* Non-blocking: no input or net effect, it cannot block. */\n'
        'static const char *how = "non-blocking, blocked";\nint blocked_at, SIG_BLOCKED;\n',
    'common/vmm/vmm_dev.h': TOP + '#include "mmio/virtio_mmio.h"\n#include "vhost-user/vu_front.h"\n',
    'daemon/device.h': TOP + '#include "ring/vq.h"\n',
    'daemon/backend.h': TOP,
    'daemon/backend.c': TOP + '#include "backend.h"\n#include "daemon/device.h"\n'
                              '#include "vhost-user/vu_front.h"\n',
    'daemon/session/session.h': TOP,
    'daemon/session/session.c': TOP + '#include "daemon/device.h"\n#include "daemon/worker/pool.h"\n'
                                      '#include "vhost-user/vu_front.h"\n',
    'daemon/worker/pool.h': TOP + '#include "daemon/device.h"\n#include "ring/vq_engine.h"\n',
    'daemon/worker/worker_impl.h': TOP,
    'daemon/worker/queue.c': TOP + '#include "daemon/worker/worker_impl.h"\n',
    'daemon/worker/poll.h': TOP,
    'daemon/devices/foo.c': TOP + '#include "daemon/device.h"\n#include "base/sock.h"\n'
        '#include "foo_io.h"\n#include <linux/virtio_blk.h>\n#include <unistd.h>\n'
        'int f(void)\n{\n\treturn VIRTIO_ID_BLOCK + c->connect(1) + my_bind(2);\n}\n',
    'daemon/devices/foo_io.h': TOP + '#include "ring/vq.h"\n',
    'daemon/devices/bar/bar.c': TOP + '#include "bar.h"\n',
    'daemon/devices/bar/bar.h': TOP,
    'xen/main.c': TOP + '#include "launch/child.h"\n#include "xs.h"\n'
                        '#include "xen/supervisor/guest.h"\n#include "xen/worker/worker.h"\n'
                        'static const char *dir = "backend/virtio_disk", *arg = "console=hvc0";\n'
                        'static const GOptionEntry option = { "console", 0 };\n'
                        'int f(void)\n{\n\treturn SIG_BLOCK;\n}\n',
    'xen/xs.h': TOP,
    'kvm-stub/main.c': TOP + '#include "launch/child.h"\n#include "vmm/vmm_dev.h"\n',
    'xen/ipc.h': TOP + '#include "xen/hypervisor/evtchn.h"\n',
    'xen/hypervisor/evtchn.h': TOP + '#include "base/sock.h"\n',
    'xen/supervisor/guest.h': TOP + '#include "launch/child.h"\n#include "xen/ipc.h"\n',
    'xen/supervisor/xenstore.c': TOP + '#include <xenstore.h>\n',
    'xen/worker/worker.h': TOP + '#include "vmm/vmm_dev.h"\n#include "xen/ipc.h"\n'
                                 '#include "xen/hypervisor/evtchn.h"\n',
    'kvm-stub/guest/blk.c': TOP + '#include <linux/virtio_blk.h>\n'
                                  'int blk_read(void)\n{\n\treturn VIRTIO_ID_BLOCK;\n}\n',
    'tools/main.c': TOP + '#include "driver/driver_ring.h"\n',
    'tests/corpus/seed': 'bytes\n',
}
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
        self.assertEqual(out, 'tools/main.c:3: tools must not include common/ring/vq.h\n')
        self.assertEqual(self.run_program('--nonsense')[0], 2)

    def test_includes(self):
        for path, include in (
                ('common/base/sock.c', '"memory/guest_mem.h"'),
                ('common/launch/child.h', '"memory/guest_mem.h"'),
                ('common/memory/guest_mem.h', '"ring/vq.h"'),
                ('common/ring/vq.c', '"vhost-user/vu_front.h"'),
                ('common/ring/vq.c', '"driver/driver_ring.h"'),
                ('common/driver/driver_ring.h', '"ring/vq.h"'),
                ('common/vhost-user/vu_front.h', '"ring/vq.h"'),
                ('common/vhost-user/vu_front.h', '"mmio/virtio_mmio.h"'),
                ('common/mmio/virtio_mmio.c', '"memory/guest_mem.h"'),
                ('common/mmio/virtio_mmio.c', '"vhost-user/vu_front.h"'),
                ('common/vmm/vmm_dev.h', '"ring/vq.h"'),
                ('common/vmm/vmm_dev.h', '"driver/driver_ring.h"'),
                ('common/vmm/vmm_dev.h', '"daemon/device.h"'),
                ('daemon/backend.c', '"mmio/virtio_mmio.h"'),
                ('daemon/backend.c', '"vmm/vmm_dev.h"'),
                ('daemon/backend.c', '"launch/child.h"'),
                ('daemon/backend.c', '"driver/driver_ring.h"'),
                ('daemon/backend.c', '"xen/xs.h"'),
                ('daemon/backend.c', '"daemon/devices/foo_io.h"'),
                ('daemon/session/session.c', '"daemon/worker/poll.h"'),
                ('daemon/session/session.c', '"daemon/worker/worker_impl.h"'),
                ('daemon/session/session.c', '"daemon/backend.h"'),
                ('daemon/session/session.c', '"daemon/devices/foo_io.h"'),
                ('daemon/session/session.c', '"mmio/virtio_mmio.h"'),
                ('daemon/worker/queue.c', '"daemon/session/session.h"'),
                ('daemon/worker/queue.c', '"daemon/backend.h"'),
                ('daemon/worker/queue.c', '"vhost-user/vu_front.h"'),
                ('daemon/backend.c', '"daemon/worker/pool.h"'),
                ('daemon/devices/foo.c', '"daemon/worker/pool.h"'),
                ('daemon/devices/foo.c', '"base/loop.h"'),
                ('daemon/devices/foo.c', '"memory/guest_mem.h"'),
                ('daemon/devices/foo.c', '"ring/vq_engine.h"'),
                ('daemon/devices/foo.c', '"vhost-user/vu_front.h"'),
                ('daemon/devices/foo.c', '"backend.h"'),
                ('daemon/devices/foo.c', '"bar/bar.h"'),
                ('daemon/devices/bar/bar.c', '"../foo_io.h"'),
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
                ('tools/main.c', '"ring/vq.h"'),
                ('tools/main.c', '"vmm/vmm_dev.h"')):
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

    def test_folder_without_layer(self):
        self.assert_fault('common/new/new.h', TOP, 'no layer')

    def test_calls(self):
        for path, call in (('common/base/sock.c', 'g_timeout_add(1, f, 0)'),
                           ('daemon/backend.c', 'g_unix_fd_add (1, 1, f, 0)'),
                           ('daemon/backend.c', 'g_source_attach(s, 0)'),
                           ('xen/main.c', 'g_idle_add(f, 0)'),
                           ('common/base/loop.c', 'socket(1, 1, 0)'),
                           ('daemon/devices/foo.c', 'connect(1, a, 2)'),
                           ('tools/main.c', 'recvmsg(1, m, 0)'),
                           ('kvm-stub/main.c', 'socketpair(1, 1, 0, p)')):
            with self.subTest(path=path, call=call):
                more = f'int h(void)\n{{\n\treturn {call};\n}}\n'
                line = (TREE[path] + more).count('\n') - 1
                self.assert_fault(path, more, call.split('(')[0].strip() + '()', line=line)
        self.write('tools/main.c', TREE['tools/main.c'] + '/* socket(1) */ char *s = "bind(2)";\n')
        self.assert_clean()

    def test_budget(self):
        path = 'tools/main.c'
        self.write(path, TREE[path] + LONGEST_FUNCTION)
        self.assert_clean()
        self.assert_fault(path, LONGEST_FUNCTION.replace('\ta++;\n', '\ta++;\n\n', 1),
                          'g() has 61 lines', line=5)
        lines = TREE[path].count('\n')
        self.write(path, TREE[path] + '\n' * (400 - lines))
        self.assert_clean()
        self.assert_fault(path, '\n' * (401 - lines), '401 lines', line=401)

    def test_device_names(self):
        for path in ('common/launch/child.h', 'common/mmio/virtio_mmio.c', 'common/vmm/vmm_dev.h',
                     'xen/main.c', 'kvm-stub/main.c'):
            for more in ('int blk_size;', 'int queue_block;', 'int RNG;', 'char *s = "virtio-net";',
                         'char *s = "i2c";', 'int x = VIRTIO_ID_CONSOLE;', 'char *s = "blk0";',
                         '#include <linux/virtio_ids.h>', '#include <linux/virtio_gpio.h>',
                         '/* as virtio-blk does */', '/* for vhost-user-gpio */',
                         '/* what virtiod-rng offers */', '/* VIRTIO_ID_NET */'):
                with self.subTest(path=path, more=more):
                    self.assert_fault(path, more + '\n')
        self.assert_fault('kvm-stub/guest/blk.c', '#include "ring/vq.h"\n', 'common/ring/vq.h')
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
