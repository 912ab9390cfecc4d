#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_units.py GENERATOR PAGE TEMPLATES PROGRAM...: systemd can read what the generator writes.

PAGE is its man page, TEMPLATES the folder of virtiod-TYPE@.socket and .service; PROGRAM are
virtiod-blk and the like.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

FILE = r'''
[vm-1/disk0]
device=blk
blk-file=/a b/"c"%i$HOME;\\x.img
read-only=true
after=rng
[vm-1/rng]
device=rng
'''
SOCKET, SERVICE = (rf'virtiod-blk@vm\x2d1-disk0.{kind}' for kind in ('socket', 'service'))


def run(*argv, status=0, **kwargs):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **kwargs)
    assert done.returncode == status, (argv, done.returncode, done.stdout)
    return done.stdout


def generate(folder, text, status=0):
    with open(os.path.join(folder, 'conf', 'a.conf'), 'w', encoding='utf-8') as f:
        f.write(text)
    return run(generator, f'--config-dir={folder}/conf', f'--run-dir={folder}/run',
               f'--programs={folder}/bin', f'--unit-dir={templates}', f'{folder}/units',
               f'{folder}/early', f'{folder}/late', status=status)


def check_man_page(page):
    with open(page, encoding='utf-8') as f:
        described = {name.replace('\\', '')
                     for name in re.findall(r'^\.TP\n\.BI? (\\-\\-[a-z\\-]+)', f.read(), re.M)}
    shown = set(re.findall(r'^ +(?:-\w, )?(--[a-z-]+)', run(generator, '--help'), re.M))
    assert described == shown, sorted(described ^ shown)


generator, page, templates, *programs = sys.argv[1:]
check_man_page(page)
with tempfile.TemporaryDirectory() as folder:
    for name in 'conf', 'bin', 'units':
        os.mkdir(os.path.join(folder, name))
    for program in programs:
        os.symlink(os.path.abspath(program), os.path.join(folder, 'bin', os.path.basename(program)))
    assert '2: [a/b]: has no device=TYPE' in generate(folder, '# x\n[a/b]\n', status=2)
    assert 'a folder to write to is needed' in run(generator, status=2)
    assert generate(folder, FILE) == ''
    units = os.path.join(folder, 'units')
    assert os.readlink(os.path.join(units, 'sockets.target.wants', SOCKET)) == os.path.join(
        templates, 'virtiod-blk@.socket')
    if not shutil.which('systemd-analyze'):
        print('SKIPPED: no systemd-analyze here', file=sys.stderr)
        sys.exit(77)
    env = dict(os.environ, SYSTEMD_UNIT_PATH=f'{units}:{templates}:/lib/systemd/system')
    said = run('systemd-analyze', 'verify', '--man=no', SERVICE, SOCKET, env=env)
    assert said == '', said
