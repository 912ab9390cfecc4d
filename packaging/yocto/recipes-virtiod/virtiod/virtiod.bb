# SPDX-License-Identifier: Apache-2.0
SUMMARY = "Virtio devices as standalone programs"
DESCRIPTION = "vhost-user back-ends for the guests of any virtual machine monitor, virtiod, which \
    starts and supervises them, and front-ends for KVM and Xen."
SECTION = "virtualization"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"
PV = "0.1.0"

# This very tree.
inherit externalsrc meson pkgconfig python3native systemd useradd
EXTERNALSRC = "${@os.path.abspath(os.path.join(d.getVar('THISDIR'), '../../../..'))}"

DEPENDS = "glib-2.0 libevdev liburing"
EXTRA_OEMESON = "-Dtests=disabled -Dusdt=disabled"

# libfdt, for virtiod-kvm.
DEPENDS:append:aarch64 = " dtc"

PACKAGECONFIG ??= "kvm"
PACKAGECONFIG[kvm] = "-Dkvm=enabled,-Dkvm=disabled"
PACKAGECONFIG[metrics] = "-Dmetrics=enabled,-Dmetrics=disabled,libmicrohttpd"
PACKAGECONFIG[xen] = "-Dxen=enabled,-Dxen=disabled,xen-tools"

PACKAGES =+ "${PN}-kvm ${PN}-xen"
FILES:${PN} += "${nonarch_libdir}/systemd ${nonarch_libdir}/sysusers.d ${datadir}/qemu \
    ${datadir}/virtiod ${datadir}/fish ${datadir}/zsh"
FILES:${PN}-kvm = "${bindir}/virtiod-kvm"
FILES:${PN}-xen = "${sbindir}/virtiod-xen ${nonarch_libdir}/systemd/system/virtiod-xen.service \
    ${datadir}/virtiod/xen.conf"
RDEPENDS:${PN}-xen = "${PN}"

SYSTEMD_PACKAGES = "${@bb.utils.contains('PACKAGECONFIG', 'xen', '${PN}-xen', '', d)}"
SYSTEMD_SERVICE:${PN}-xen = "virtiod-xen.service"

# Whom services run as.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system kvm"
USERADD_PARAM:${PN} = "--system --no-create-home --home-dir / --shell /sbin/nologin virtiod"
