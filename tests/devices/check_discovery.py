#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_discovery.py PROGRAM JSON: the discovery file names the program and tells its type."""

import json
import os
import subprocess
import sys

program, discovery = sys.argv[1:]

with open(discovery) as f:
    said = json.load(f)
capabilities = json.loads(
    subprocess.run([program, '--print-capabilities'], check=True, stdout=subprocess.PIPE).stdout)

assert set(said) == {'description', 'type', 'binary'}, said
assert said['type'] == capabilities['type'], (said, capabilities)
assert os.path.isabs(said['binary']), said
assert os.path.basename(said['binary']) == os.path.basename(program), said
