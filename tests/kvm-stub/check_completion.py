#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_completion.py PROGRAM FILE: virtiod-kvm's completion knows the values that --help shows."""
import subprocess
import sys

COMPLETE = r'''
_filedir() { COMPREPLY=(file "$@"); }
_parse_help() { :; }
compopt() { :; }
. "$1"
_init_completion() { cur=$word prev=$option split=false; }
for pair in "${@:3}"; do
	COMPREPLY=()
	option=${pair%% *} word=${pair#* }
	_virtiod_kvm "$2"
	echo "$pair: ${COMPREPLY[*]}"
done
'''

EXPECTED = {
    '--log-level ': 'error warning info debug',
    '--log-level w': 'warning',
    '--sandbox ': 'auto strict none',
    '--guest ': 'selftest',
    '--kernel ': 'file',
    '--discovery-dir ': 'file -d',
    '--memory ': '',
    '--device ': 'socket= type=',
    '--device t': 'type=',
    '--device socket=/': 'file',
}

program, completion = sys.argv[1:]
completed = subprocess.run(['bash', '-c', COMPLETE, 'bash', completion, program, *EXPECTED],
                           check=True, stdout=subprocess.PIPE, text=True).stdout
expected = [f'{pair}: {words}' for pair, words in EXPECTED.items()]
assert completed.splitlines() == expected, completed
