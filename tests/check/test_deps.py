#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deps.sh and tests/xen-lab/build fall back where a mirror lacks a file, so that Xen is tested."""
import os
import stat
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The suite is in sources.list; $GOOD is the one whose sources are there.
APT_GET = """#!/bin/bash
case "$*" in
*update* | *download*) exit 0 ;;
*source*) grep -q " $GOOD main" "$(dirname "$APT_CONFIG")/sources.list" || exit 100 ;;
esac
case "$*" in
*--tar-only*) mkdir -p xen-1 && tar -cJf xen_1.orig.tar.xz xen-1 ;;
*--diff-only*)
	mkdir -p debian/patches && echo "# none" >debian/patches/series
	tar -cJf xen_1.debian.tar.xz debian
	;;
esac
"""
FAKES = {
    "apt-get": APT_GET,
    "apt-cache": "#!/bin/sh\necho 'Version: 4.99.1-2'\n",
    "dpkg-query": "#!/bin/sh\necho installed\n",
    # No compiling here.
    "make": "#!/bin/sh\nexit 1\n",
}


class Fallback(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="deps-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def bash(self, text, **environment):
        return subprocess.run(["bash", "-c", text], cwd=self.folder, capture_output=True, text=True,
                              check=False, env={**os.environ, "VIRTIOD_CACHE": self.folder,
                                                **environment})

    def build(self, good):
        """The output of the lab's build, with sources in that suite alone."""
        path = os.path.join(self.folder, "bin")
        os.makedirs(path)
        for name, text in FAKES.items():
            file = os.path.join(path, name)
            with open(file, "w", encoding="utf-8") as out:
                out.write(text)
            os.chmod(file, stat.S_IRWXU)
        return self.bash(os.path.join(TOP, "tests/xen-lab/build"), GOOD=good,
                         PATH=f"{path}:{os.environ['PATH']}").stdout

    def test_skipped_suite(self):
        output = self.build("forky")
        self.assertIn("Xen and its toolstack are those of forky", output)

    def test_skipped_all_suites(self):
        output = self.build("none")
        for suite in "trixie", "forky", "sid":
            self.assertIn(f"{suite}: xen_packages failed", output)
        self.assertNotIn("toolstack are those", output)

    def xen_lab(self, key, works=False):
        """What "xen_lab" says of a cache with a lab of that key (None: with none)."""
        if key is not None:
            os.makedirs(os.path.join(self.folder, "xen-lab"))
        text = f"""
            . {TOP}/deps.sh
            get_xen_lab() {{ {str(works).lower()}; }}
            [ ! -d xen-lab ] || echo {key} >xen-lab/complete
            lab=$(xen_lab) || {{ echo none; exit; }}
            xen_lab_is_old "$lab" && echo "old $lab" || echo "new $lab"
            """
        return self.bash(text).stdout.strip()

    def test_skipped_renewal(self):
        lab = os.path.join(self.folder, "xen-lab")
        self.assertEqual(self.xen_lab(None), "none")
        self.assertEqual(self.xen_lab("previous"), "old " + lab)
        self.assertEqual(self.bash(f"rm -r {lab}").returncode, 0)
        self.assertEqual(self.xen_lab("previous", works=True), "new " + lab)


if __name__ == "__main__":
    unittest.main()
