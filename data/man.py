#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""man.py TEMPLATE PART KEY=VALUE...: prints the man page of one device.

A line @SECTION@ of the template becomes what PART has in its .SH SECTION, or nothing; @key@ becomes
the value, with hyphens that can be copied; @KEY@ inside a line the value in capitals.
"""
import re
import sys


def sections(text):
    """The texts under .SH, by title; what comes before the first is a comment."""
    parts = re.split(r'^\.SH (.+)\n', text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def main(template, part, *definitions):
    with open(template) as f:
        page = f.read()
    with open(part) as f:
        own = sections(f.read())
    places = re.findall(r'^@([A-Z ]+)@$', page, flags=re.M)
    for title in own:
        if title not in places:
            sys.exit(f'{part}: there is no section {title} (one of: {", ".join(places)})')
    page = re.sub(r'^@([A-Z ]+)@\n', lambda m: own.get(m.group(1), ''), page, flags=re.M)
    for key, value in (definition.split('=', 1) for definition in definitions):
        value = value.replace('-', r'\-')
        page = page.replace(f'@{key}@', value).replace(f'@{key.upper()}@', value.upper())
    sys.stdout.write(page)


main(*sys.argv[1:])
