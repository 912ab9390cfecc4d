#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_program.py PROGRAM PAGE COMPLETION: both agree with what PROGRAM --help shows."""
import os
import re
import shutil
import subprocess
import sys

COMPLETE = r'''
_filedir() { COMPREPLY=(file); }
_parse_help() { :; }
compopt() { :; }
. "$1"
_init_completion() { cur=$word prev=$option split=false; }
for pair in "${@:3}"; do
	COMPREPLY=()
	option=${pair%% *} word=${pair#* }
	_%s "$2"
	echo "$pair: ${COMPREPLY[*]}"
done
'''

EXPECTED = {'virtiod-switch': {
    '--log-level w': 'warning',
    '--sandbox ': 'auto strict none',
    '--control ': 'file',
    '--max-ports ': '',
    '--listen ': 'unix: fd:',
    '--listen unix:/': 'file',
    '--listen unix:/x,v': 'unix:/x,vlan=',
    '--port t': 'tap= tap-fd=',
    '--port stream=unix:/': 'file',
    '--port tap=x,vlan=1,is': 'tap=x,vlan=1,isolated=',
}, 'virtiod-metrics': {
    '--log-level w': 'warning',
    '--sandbox ': 'auto strict none',
    '--listen ': '',
    'x /run': 'file',
}, 'virtiod': {
    '--log-level w': 'warning',
    '--run-dir ': 'file',
    '--config-dir /': 'file',
    '--check-config ': '',
}}

program, page, completion = sys.argv[1:]
name = os.path.basename(program)
expected = EXPECTED[name]
completed = subprocess.run(['bash', '-c', COMPLETE % name.replace('-', '_'), 'bash', completion,
                            program, *expected],
                           check=True, stdout=subprocess.PIPE, text=True).stdout
assert completed.splitlines() == [f'{pair}: {words}' for pair, words in expected.items()], completed

with open(page, encoding='utf-8') as f:
    text = f.read()
described = {name.replace('\\', '')
             for name in re.findall(r'^\.TP\n\.BI? ?R? ?(\\-\\-[a-z\\-]+)', text, re.M)}
shown = set(re.findall(r'^ +(?:-\w, )?(--[a-z-]+)',
                       subprocess.run([program, '--help'], check=True, stdout=subprocess.PIPE,
                                      text=True).stdout, re.M)) - {'--help'}
assert described - {'--help'} == shown, sorted(described ^ shown)
if shutil.which('groff'):
    warnings = subprocess.run(['groff', '-man', '-ww', '-z', '-Tutf8', page], check=True,
                              stderr=subprocess.PIPE, text=True).stderr
    assert not warnings, warnings
