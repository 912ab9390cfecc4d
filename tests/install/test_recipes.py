#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_recipes.py SOURCE BUILD [--build]: the package of Buildroot and the recipe of Yocto.

They are read by make, by kconfiglib where it is, and by a reader of this test's own: what they name
has to be in this tree. --build compiles with the options that they give, each with all that it can
have; for the machine that BUILD is for.
"""
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = map(os.path.abspath, sys.argv[1:3])
BUILDROOT = os.path.join(SOURCE, "packaging/buildroot")
RECIPE = os.path.join(SOURCE, "packaging/yocto/recipes-virtiod/virtiod/virtiod.bb")
# What meson looks for -> what Buildroot and Yocto call it. None: part of every system there.
NAMES = {"glib-2.0": ("libglib2", "glib-2.0"), "liburing": ("liburing", "liburing"),
         "libevdev": ("libevdev", "libevdev"), "threads": None, "cmocka": None, "systemd": None,
         "libmicrohttpd": ("libmicrohttpd", "libmicrohttpd"),
         "xenstore": ("xen", "xen-tools")}


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def output(*argv, **how):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **how).stdout


def meson_options():
    """The names of what can be switched on and off."""
    return set(re.findall(r"^option\('(\w+)', type: 'feature'", read(SOURCE, "meson_options.txt"),
                          re.M))


def dependencies():
    found = set()
    for folder, folders, files in os.walk(SOURCE):
        folders[:] = [f for f in folders if f != "tests" and not f.startswith(("build", "."))]
        if "meson.build" in files:
            found |= set(re.findall(r"\bdependency\('([^']*)'", read(folder, "meson.build")))
    return found


def decided(options):
    """-Dname=value -> {name: value}"""
    return dict(re.fullmatch(r"-D(\w+)=(\w+)", option).groups() for option in options)


def buildroot(*on):
    """The variables of the package, with these symbols set, by make."""
    return json.loads(output("make", "-s", "-f", "-", *(symbol + "=y" for symbol in on),
                             f"BR2_EXTERNAL_VIRTIOD_PATH={BUILDROOT}", input="""
meson-package =
include $(BR2_EXTERNAL_VIRTIOD_PATH)/external.mk
all:
	@echo '{"options": "$(VIRTIOD_CONF_OPTS)", "needs": "$(VIRTIOD_DEPENDENCIES)",' \\
		'"licence": "$(VIRTIOD_SITE)/$(VIRTIOD_LICENSE_FILES)", "eval": "$(meson-package)"}'
"""))


class Recipe:
    """Yocto's: variables by name, with all that is set of them; any other line is a fault."""

    def __init__(self):
        self.set = {}
        text = re.sub(r"\\\n\s*", "", read(RECIPE))
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            if line.startswith("inherit "):
                self.set["inherit"] = line.split()[1:]
                continue
            name, value = re.fullmatch(
                r"([A-Z_]+(?:\[\w+\])?(?::[\w${}-]+)*) (?:\?\?=|=\+|\+=|=) \"([^\"]*)\"",
                line).groups()
            self.set[name] = value

    def configurations(self):
        """What PACKAGECONFIG knows: name -> (option on, option off, needs)"""
        return {re.search(r"\[(\w+)\]", name)[1]: (value.split(",") + [""])[:3]
                for name, value in self.set.items() if name.startswith("PACKAGECONFIG[")}


class Recipes(unittest.TestCase):
    def test_all_needs_are_known(self):
        # Xen's libraries are looked for in a loop.
        self.assertEqual(dependencies() | {"xenstore"}, set(NAMES))

    def test_buildroot(self):
        symbols = ["BR2_PACKAGE_VIRTIOD_KVM", "BR2_PACKAGE_VIRTIOD_XEN",
                   "BR2_PACKAGE_VIRTIOD_METRICS", "BR2_aarch64"]
        for on in itertools.product((False, True), repeat=4):
            with self.subTest(on):
                got = buildroot(*itertools.compress(symbols, on))
                options, needs = decided(got["options"].split()), set(got["needs"].split())
                self.assertEqual(set(options), meson_options())
                for i, name in enumerate(("kvm", "xen", "metrics")):
                    self.assertEqual(options[name], "enabled" if on[i] else "disabled")
                self.assertEqual("xen" in needs, on[1])
                self.assertEqual("libmicrohttpd" in needs, on[2])
                self.assertEqual("dtc" in needs, on[0] and on[3])
                for name in ("glib-2.0", "liburing", "libevdev"):
                    self.assertIn(NAMES[name][0], needs)
                self.assertTrue(os.path.exists(got["licence"]))

    def test_buildroot_menu(self):
        sys.path.append("/usr/lib/python3/dist-packages")
        try:
            import kconfiglib
        except ImportError:
            print("SKIPPED: Buildroot's menu: there is no kconfiglib")
            self.skipTest("kconfiglib")
        os.environ["BR2_EXTERNAL_VIRTIOD_PATH"] = BUILDROOT
        menu = kconfiglib.Kconfig(os.path.join(BUILDROOT, "Config.in"), warn=False)
        defined = {symbol.name for symbol in menu.unique_defined_syms}
        self.assertEqual(defined, set(re.findall(r"\((BR2_PACKAGE_\w+)\)",
                                                 read(BUILDROOT, "package/virtiod/virtiod.mk")))
                         | {"BR2_PACKAGE_VIRTIOD"})
        needs = buildroot()["needs"].split()
        for symbol, _ in menu.syms["BR2_PACKAGE_VIRTIOD"].selects:
            self.assertIn(symbol.name[len("BR2_PACKAGE_"):].lower(), needs)

    def test_yocto(self):
        recipe = Recipe()
        options = decided(recipe.set["EXTRA_OEMESON"].split())
        for name, (on, off, _) in recipe.configurations().items():
            self.assertEqual(decided([on, off])[name], "disabled")
            options[name] = decided([on])[name]
        self.assertEqual(set(options), meson_options())
        self.assertIn("meson", recipe.set["inherit"])
        for name in ("glib-2.0", "liburing", "libevdev"):
            self.assertIn(NAMES[name][1], recipe.set["DEPENDS"].split())
        self.assertEqual(recipe.configurations()["xen"][2], NAMES["xenstore"][1])
        self.assertEqual(recipe.set["PV"], re.search(r"version: '([^']*)'",
                                                     read(SOURCE, "meson.build"))[1])
        path, md5 = re.fullmatch(r"file://(\w+);md5=(\w+)",
                                 recipe.set["LIC_FILES_CHKSUM"]).groups()
        with open(os.path.join(SOURCE, path), "rb") as f:
            self.assertEqual(hashlib.md5(f.read(), usedforsecurity=False).hexdigest(), md5)
        up = re.search(r"'THISDIR'\), '([./]+)'", recipe.set["EXTERNALSRC"])[1]
        self.assertEqual(os.path.normpath(os.path.join(os.path.dirname(RECIPE), up)), SOURCE)

    def test_yocto_layer(self):
        layer = read(SOURCE, "packaging/yocto/conf/layer.conf")
        pattern = re.search(r'^BBFILES \+= "\$\{LAYERDIR\}/(.*)"', layer, re.M)[1]
        self.assertRegex(os.path.relpath(RECIPE, os.path.join(SOURCE, "packaging/yocto")),
                         "^" + pattern.replace("*", "[^/]*") + "$")


class Built(unittest.TestCase):
    def build(self, options):
        command_line = read(BUILD, "meson-private/cmd_line.txt")
        cross = re.search(r"^cross_file = \[(.*)\]", command_line, re.M)
        files = re.findall(r"'([^']*)'", cross[1]) if cross else []
        with tempfile.TemporaryDirectory(prefix="recipes-") as folder:
            output("meson", "setup", "--werror", folder, SOURCE, *options,
                   *itertools.chain.from_iterable(("--cross-file", f) for f in files))
            output("nice", "ninja", "-C", folder)
            for program in ("daemon/virtiod-blk", "tools/supervisor/virtiod",
                            "kvm-stub/virtiod-kvm", "xen/virtiod-xen"):
                self.assertTrue(os.path.exists(os.path.join(folder, program)), program)

    def test_all(self):
        recipe = Recipe()
        yocto = (recipe.set["EXTRA_OEMESON"].split()
                 + [on for on, _, _ in recipe.configurations().values()])
        made = buildroot("BR2_PACKAGE_VIRTIOD_KVM", "BR2_PACKAGE_VIRTIOD_XEN",
                         "BR2_PACKAGE_VIRTIOD_METRICS", "BR2_aarch64")
        # Mostly they are the same.
        for options in {frozenset(yocto), frozenset(made["options"].split())}:
            self.build(sorted(options))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], defaultTest="Built" if "--build" in sys.argv else "Recipes")
