# SPDX-License-Identifier: Apache-2.0
"""The packages of debian/, built in a copy of what git knows."""
import glob
import os
import shutil
import subprocess


def run(*argv, **how):
    """A command that must succeed; returns what it printed."""
    done = subprocess.run(argv, check=False, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how)
    if done.returncode:
        raise AssertionError(f"{' '.join(argv)}: {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def build(top, folder):
    """Builds them in the folder, from the source in top; a dictionary of their paths by name."""
    source = os.path.join(folder, "virtiod")
    files = run("git", "-C", top, "ls-files", "--cached", "--others", "--exclude-standard")
    for name in files.splitlines():
        path = os.path.join(source, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy2(os.path.join(top, name), path)
    run("dpkg-buildpackage", "-us", "-uc", "-b", cwd=source)
    found = {os.path.basename(path).split("_")[0]: path
             for path in glob.glob(os.path.join(folder, "*.deb"))}
    return {name: path for name, path in found.items() if not name.endswith("-dbgsym")}
