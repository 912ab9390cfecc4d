#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_program.py PROGRAM FOLDER: what is installed with a device's program agrees with it.

FOLDER holds the discovery file, the man page and the completion.
"""
import json
import os
import re
import shutil
import subprocess
import sys

program, folder = sys.argv[1:]
name = os.path.basename(program)


def run(*argv, **more):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def contents(file_name):
    with open(os.path.join(folder, file_name), encoding='utf-8') as f:
        return f.read()


def check_discovery():
    discovery = json.loads(contents(f'60-{name}.json'))
    capabilities = json.loads(run(program, '--print-capabilities'))
    assert set(discovery) == {'description', 'type', 'binary'}, discovery
    assert discovery['type'] == capabilities['type'], (discovery, capabilities)
    assert os.path.isabs(discovery['binary']), discovery
    assert os.path.basename(discovery['binary']) == name, discovery


def check_man_page():
    page = contents(f'{name}.1')
    assert not re.search(r'^@|@[a-z]+@', page, re.M), 'a place of the template was not filled'
    described = {m.replace('\\', '') for m in re.findall(r'^\.BI? (?:R )?(\\-\\-[a-z\\-]+)',
                                                         page[page.index('.SH OPTIONS'):], re.M)}
    described |= {m.replace('\\', '')
                  for m in re.findall(r'^\.TP\n\.BR (\\-\\-[a-z\\-]+)', page, re.M)}
    shown = set(re.findall(r'^ +(?:-\w, )?(--[a-z-]+)', run(program, '--help'), re.M))
    assert described == shown, f'man page and --help differ: {sorted(described ^ shown)}'
    if shutil.which('groff'):
        path = os.path.join(folder, f'{name}.1')
        warnings = subprocess.run(['groff', '-man', '-ww', '-z', '-Tutf8', path], check=True,
                                  stderr=subprocess.PIPE, text=True).stderr
        assert not warnings, warnings


COMPLETE = r'''
_filedir() { COMPREPLY=(a file); }
_parse_help() { :; }
. "$1"
for option in "${@:3}"; do
	COMPREPLY=()
	_init_completion() { cur= prev=$option split=false; }
	_%s "$2"
	echo "$option ${COMPREPLY[*]}"
done
''' % name.replace('-', '_')


def check_completion():
    """What values can be is taken from --help."""
    completed = run('bash', '-c', COMPLETE, 'bash', os.path.join(folder, name), program, '--xen',
                    '--socket-path', '--poll-us', '--workers', '--sandbox')
    assert completed.splitlines() == ['--xen auto on off', '--socket-path a file',
                                      '--poll-us auto', '--workers ',
                                      '--sandbox auto strict none'], completed


def check_units():
    for unit in ('socket', 'service'):
        assert f'man:{name}(1)' in contents(f'{name}@.{unit}')


check_discovery()
check_man_page()
check_completion()
check_units()
