#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A device is one folder: in a copy of the tree, echo/ is put into daemon/devices/, and then its
program, man page, units, completion, discovery file, name and unit tests are there.

The copy differs from the tree in that folder alone.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PATIENCE = 60


def run(*argv, **more):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)
    if done.returncode:
        raise AssertionError(f'{" ".join(argv)}: {done.returncode}\n{done.stdout[-4000:]}')
    return done.stdout


class AddDevice(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix='add', dir='/tmp')
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.tree = os.path.join(cls.dir, 'tree')
        shutil.copytree(ROOT, cls.tree, symlinks=True,
                        ignore=shutil.ignore_patterns('build*', '.git', '__pycache__'))
        shutil.copytree(os.path.join(HERE, 'echo'), cls.path('tree/daemon/devices/echo'))
        run('meson', 'setup', cls.path('build'), cls.tree, '-Dbuildtype=plain', '-Dkvm=disabled',
            '-Dxen=disabled', '-Dtests=enabled', '--werror')
        cls.facts = json.loads(run('meson', 'introspect', '--installed', '--tests',
                                   cls.path('build')))
        run('ninja', '-C', cls.path('build'), 'daemon/virtiod-echo', 'data/virtiod-echo.1',
            'tools/virtioctl', 'tests/devices/test_device_echo')

    @classmethod
    def path(cls, name):
        return os.path.join(cls.dir, name)

    def test_program(self):
        program = self.path('build/daemon/virtiod-echo')
        capabilities = json.loads(run(program, '--print-capabilities'))
        self.assertEqual(capabilities, {'type': 'echo', 'features': []})
        text = run(program, '--help')
        self.assertIn('--upper', text)
        self.assertIn('--socket-path=PATH', text)
        run(os.path.join(HERE, 'check_program.py'), program, self.path('build/data'))

    def test_unit_tests(self):
        tests = {test['name']: test['cmd'] for test in self.facts['tests']}
        run(*tests['device_echo'], cwd=self.path('build'))
        self.assertIn('program_echo', tests)

    def test_installed(self):
        installed = set(self.facts['installed'].values())
        for name in ('bin/virtiod-echo', 'share/man/man1/virtiod-echo.1',
                     'lib/systemd/system/virtiod-echo@.service',
                     'lib/systemd/system/virtiod-echo@.socket',
                     'share/bash-completion/completions/virtiod-echo',
                     'share/virtiod/vhost-user/60-virtiod-echo.json'):
            self.assertIn(os.path.join('/usr/local', name), installed)
        self.assertFalse([f for f in installed if 'qemu' in f and 'echo' in f])

    def test_probe(self):
        socket = self.path('sock')
        with subprocess.Popen([self.path('build/daemon/virtiod-echo'), f'--socket-path={socket}'],
                              stderr=subprocess.PIPE) as daemon:
            try:
                self.assertIn(b'listening', daemon.stderr.readline())
                properties = json.loads(run(self.path('build/tools/virtioctl'), 'probe', '--json',
                                       socket))
            finally:
                daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(PATIENCE), 0)
        self.assertEqual(properties['device'], 'echo')
        self.assertEqual(properties['device_id']['value'], 60)
        self.assertEqual(properties['config'], '00100000')

    def test_layers(self):
        self.assertEqual(run(os.path.join(ROOT, 'tests/layers/check_layers.py'), self.tree), '')


if __name__ == '__main__':
    unittest.main()
