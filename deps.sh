# SPDX-License-Identifier: Apache-2.0
# Debian packages for ./quickstart and ./check: installed when missing, and only then. Sourced.

deps_top=$(cd "$(dirname "${BASH_SOURCE:-$0}")" && pwd)
deps_cache=${VIRTIOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virtiod}

deps_build='gcc libc6-dev pkg-config meson ninja-build libglib2.0-dev liburing-dev libevdev-dev
	python3'
[ "$(uname -m)" != aarch64 ] || deps_build="$deps_build libfdt-dev"
deps_quickstart='e2fsprogs'
deps_check="clang clang-format libclang-rt-dev libcmocka-dev valgrind e2fsprogs qemu-system-x86
	qemu-utils busybox-static cpio kmod util-linux man-db binutils acpica-tools libfdt-dev
	device-tree-compiler lz4 apparmor libxen-dev systemtap-sdt-dev bpftrace
	libmicrohttpd-dev make python3-kconfiglib"
deps_check_long='debhelper dh-apparmor dpkg-dev fio fuse3 git libnbd-bin lintian nbdkit'
deps_check_arm64='gcc-aarch64-linux-gnu qemu-system-arm xz-utils'
# To compile Xen and Linux.
deps_xen_lab='gcc libc6-dev make flex bison bc cpio patch python3 xz-utils gcc-aarch64-linux-gnu'

deps_fail()
{
	echo "$0: $*" >&2
	exit 1
}

# deps_apt ARGS: apt-get as root, by sudo where that works without a password.
deps_apt()
{
	if [ "$(id -u)" = 0 ]; then
		DEBIAN_FRONTEND=noninteractive apt-get -q "$@"
	else
		sudo -n DEBIAN_FRONTEND=noninteractive apt-get -q "$@"
	fi
}

deps_missing()
{
	for deps_p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$deps_p" 2>/dev/null)" = installed ] ||
			printf ' %s' "$deps_p"
	done
}

# need_packages NAME...: installs those that are missing, or says what to install and fails.
need_packages()
{
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		echo "$0: no apt here; going on in the hope that these are installed: $*" >&2
		return 0
	fi
	deps_list=$(deps_missing "$@")
	[ -n "$deps_list" ] || return 0
	if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
		deps_fail "missing Debian packages (installing them needs root):$deps_list"
	fi
	echo "Installing Debian packages:$deps_list"
	deps_log=$(mktemp)
	if ! { deps_apt update && deps_apt install -y --no-install-recommends $deps_list; } \
		>"$deps_log" 2>&1; then
		tail -20 "$deps_log" >&2
		rm -f "$deps_log"
		deps_fail "apt-get could not install:$deps_list"
	fi
	rm -f "$deps_log"
}

# unpacked NAME FUNCTION [KEY]: the folder NAME of the cache, filled by FUNCTION (run in it) if it
# is not there yet, or was filled for another KEY; prints its path. Fails, and leaves nothing, if
# FUNCTION does.
unpacked()
{
	deps_dir=$deps_cache/$1
	if [ ! -e "$deps_dir/complete" ] || [ "$(cat "$deps_dir/complete")" != "${3:-}" ]; then
		deps_tmp=$deps_dir.tmp.$$
		mkdir -p "$deps_tmp"
		if ! (cd "$deps_tmp" && set -e && "$2" && echo "${3:-}" >complete) >&2; then
			rm -rf "$deps_tmp"
			return 1
		fi
		rm -rf "$deps_dir"
		mv "$deps_tmp" "$deps_dir"
	fi
	echo "$deps_dir"
}

# previous NAME: the folder NAME of the cache, filled for whatever key.
previous()
{
	[ -e "$deps_cache/$1/complete" ] && echo "$deps_cache/$1"
}

# Another suite's or architecture's packages by an apt of our own: the system's lists and packages
# stay as they are. private_apt SUITE ARCHITECTURE [SUITE], then private_packages. The first suite,
# and the first of several architectures, is preferred.
private_apt()
{
	deps_key=/usr/share/keyrings/debian-archive-keyring.gpg
	deps_mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
		sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb .*\(https\{0,1\}:[^ ]*\).*/\1/p' |
		head -1)
	[ -n "$deps_mirror" ] || return 1
	mkdir -p apt/none apt/state/lists/partial apt/cache/archives/partial
	for deps_p in $1 ${3:-}; do
		echo "deb [signed-by=$deps_key] $deps_mirror $deps_p main"
	done >apt/sources.list
	cat >apt/apt.conf <<-CONF
		APT::Sandbox::User "root";
		APT::Architecture "${2%% *}";
		APT::Architectures { $(printf '"%s"; ' $2)};
		APT::Default-Release "$1";
		Acquire::Languages "none";
		Dir::Etc::SourceList "$PWD/apt/sources.list";
		Dir::Etc::SourceParts "$PWD/apt/none";
		Dir::State "$PWD/apt/state";
		Dir::State::Status "/dev/null";
		Dir::Cache "$PWD/apt/cache";
		Debug::NoLocking "true";
	CONF
	export APT_CONFIG=$PWD/apt/apt.conf
	apt-get -q update
}

# private_packages NAME...: unpacks them, and what they depend on, into the current folder.
private_packages()
{
	apt-get -q -y --no-install-recommends --download-only install "$@"
	for deps_p in apt/cache/archives/*.deb; do
		dpkg -x "$deps_p" .
	done
}

# The package that METAPACKAGE stands for: the kernel's newest build.
kernel_package()
{
	apt-cache depends "$1" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p'
}

# unpack_kernel PACKAGE: downloads it; boot/vmlinuz-* and lib/modules/* with modules.dep.
unpack_kernel()
{
	apt-get -q download "$1" || return 1
	dpkg -x "$1"_*.deb .
	rm "$1"_*.deb
	PATH=$PATH:/usr/sbin:/sbin depmod -b . "$(ls lib/modules)"
}

get_kernel()
{
	apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || deps_apt update
	deps_name=$(kernel_package linux-image-cloud-amd64)
	unpack_kernel "$deps_name" || { deps_apt update && unpack_kernel "$deps_name"; }
}

# private_program PATH ARGUMENT...: bin/NAME, which runs it with the libraries of that release.
private_program()
{
	deps_path=$1
	shift
	mkdir -p bin
	cat >"bin/${deps_path##*/}" <<-WRAPPER
		#!/bin/sh
		root=\$(dirname "\$0")/..
		exec "\$root/usr/lib64/ld-linux-x86-64.so.2" \\
			--library-path "\$root/usr/lib/x86_64-linux-gnu" \\
			"\$root/$deps_path" $* "\$@"
	WRAPPER
	chmod +x "bin/${deps_path##*/}"
}

# get_qemu PACKAGE...: of the private apt.
get_qemu()
{
	private_packages "$@" libc6 qemu-system-x86 seabios
	rm -r apt
	private_program usr/bin/qemu-system-x86_64 \
		-L '"$root/usr/share/qemu"' -L '"$root/usr/share/seabios"'
	bin/qemu-system-x86_64 --version
}

get_newer_qemu()
{
	private_apt trixie-backports amd64 trixie
	get_qemu -t trixie-backports
}

get_qemu_10()
{
	private_apt trixie amd64
	get_qemu qemu-utils || return 1
	private_program usr/bin/qemu-storage-daemon
	bin/qemu-storage-daemon --version
}

# From trixie, as what this release has lacks what is needed, or is not there.
get_others()
{
	private_apt trixie amd64
	private_packages passt virtiofsd libblkio1 libblkio-dev
	rm -r apt
	ln -s usr/lib lib
	ln -s usr/lib64 lib64
	for deps_p in blkio-copy blkio-bench; do
		gcc -O1 -w -I usr/include -o usr/bin/$deps_p \
			usr/share/doc/libblkio-dev/examples/$deps_p.c \
			usr/lib/x86_64-linux-gnu/libblkio.so.1 -Wl,--allow-shlib-undefined
		private_program usr/bin/$deps_p
		bin/$deps_p --help
	done
	rm -r usr/share
}

# DPDK's testpmd, whose net_vhost device is a back-end; the drivers that it needs are plug-ins.
get_dpdk()
{
	private_apt trixie amd64
	private_packages dpdk-dev librte-net-vhost25 librte-mempool-ring25
	rm -r apt usr/share
	private_program usr/bin/dpdk-testpmd \
		-d '"$root/usr/lib/x86_64-linux-gnu/dpdk/pmds-25.0"'
	ls usr/lib/x86_64-linux-gnu/dpdk/pmds-25.0/librte_net_vhost.so*
}

# Debian's other back-end for virtio sockets, which no release has yet.
get_vhost_device_vsock()
{
	private_apt sid amd64
	private_packages vhost-device-vsock
	rm -r apt usr/share
	private_program usr/bin/vhost-device-vsock
	bin/vhost-device-vsock --version
}

# QEMU's sample of a back-end, which its packages lack, by its own files and the headers that its
# build would include.
get_qemu_sample()
{
	private_apt trixie amd64
	echo "deb-src [signed-by=$deps_key] $deps_mirror trixie main" >>apt/sources.list
	apt-get -q update
	apt-get -q source --download-only qemu
	mkdir -p source/shim/qemu
	tar -xf qemu_*.orig.tar.* -C source --strip-components 1 --wildcards \
		'*/contrib/vhost-user-blk' '*/subprojects/libvhost-user' '*/include'
	cd source
	touch shim/qemu/osdep.h shim/qemu/bswap.h
	gcc -O1 -w -D_GNU_SOURCE -Dle32_to_cpu=le32toh -Dle64_to_cpu=le64toh \
		$(printf ' -include %s.h' assert errno fcntl glib inttypes stdio stdlib string \
			sys/socket sys/stat sys/uio sys/un unistd qemu/compiler) \
		-I shim -I subprojects/libvhost-user -I include \
		$(pkg-config --cflags glib-2.0) -o ../vhost-user-blk \
		contrib/vhost-user-blk/vhost-user-blk.c \
		subprojects/libvhost-user/libvhost-user.c \
		subprojects/libvhost-user/libvhost-user-glib.c $(pkg-config --libs glib-2.0)
	cd ..
	rm -r apt source qemu_*
	./vhost-user-blk --help
}

# What virtiod is built from and tested with there.
deps_arm64='libc6-dev libglib2.0-dev libfdt-dev libcmocka-dev libxen-dev liburing-dev
	libevdev-dev libmicrohttpd-dev busybox-static e2fsprogs'

get_arm64()
{
	private_apt bookworm arm64
	unpack_kernel "$(kernel_package linux-image-cloud-arm64)"
	private_packages $deps_arm64
	rm -r apt usr/share/doc usr/share/locale
	# Libraries' absolute links would lead out of this folder.
	find . -type l -lname '/*' | while read -r deps_p; do
		ln -snfr ".$(readlink "$deps_p")" "$deps_p"
	done
	# The folder moves when it is complete.
	cat >cross.ini <<-CROSS
		[constants]
		root = '$deps_cache/arm64'
		[binaries]
		c = ['aarch64-linux-gnu-gcc', '--sysroot=' + root]
		ar = 'aarch64-linux-gnu-ar'
		objcopy = 'aarch64-linux-gnu-objcopy'
		strip = 'aarch64-linux-gnu-strip'
		pkgconfig = 'pkg-config'
		[properties]
		sys_root = root
		pkg_config_libdir = [root / 'usr/lib/aarch64-linux-gnu/pkgconfig',
		  root / 'usr/share/pkgconfig']
		[host_machine]
		system = 'linux'
		cpu_family = 'aarch64'
		cpu = 'cortex-a57'
		endian = 'little'
	CROSS
}

# To boot, to install packages, and what those of debian/ depend on.
deps_debian_vm='systemd-sysv udev dbus util-linux mount bash dash coreutils sed grep mawk findutils
	procps hostname login passwd libpam-modules dpkg tar perl-base init-system-helpers diffutils
	debianutils libc-bin base-files base-passwd python3-minimal apparmor libglib2.0-0
	liburing2 libevdev2 libmicrohttpd12'

# Unpacked packages are not installed: users, the cache of libraries, and what dpkg knows.
get_debian_vm()
{
	private_apt bookworm amd64
	private_packages $deps_debian_vm
	mkdir -p root var/lib/dpkg/info var/lib/dpkg/updates tmp run proc sys dev
	for deps_p in apt/cache/archives/*.deb; do
		dpkg-deb -f "$deps_p" | sed 's/^Package:.*/&\nStatus: install ok installed/'
		echo
		deps_name=$(dpkg-deb -f "$deps_p" Package)
		[ "$(dpkg-deb -f "$deps_p" Multi-Arch)" != same ] || deps_name=$deps_name:amd64
		dpkg-deb --fsys-tarfile "$deps_p" | tar -t | sed 's,^\.,,; s,/$,,; s,^$,/.,' \
			>"var/lib/dpkg/info/$deps_name.list"
	done >var/lib/dpkg/status
	rm -r apt usr/share/doc usr/share/locale usr/share/man
	# As on any Debian 12.
	for deps_p in bin sbin lib lib64; do
		cp -a "$deps_p/." "usr/$deps_p/"
		rm -r "$deps_p"
		ln -s "usr/$deps_p" "$deps_p"
	done
	for deps_p in passwd group; do
		cp "usr/share/base-passwd/$deps_p.master" "etc/$deps_p"
	done
	ln -sf dash bin/sh
	ldconfig -r .
}

# Debian's cloud kernel: boot/vmlinuz-* and lib/modules/* (with modules.dep), not installed.
debian_kernel()
{
	unpacked linux-cloud-amd64 get_kernel
}

# Debian 12 for a virtual machine: the root file system, with systemd. For the long tests.
debian_vm()
{
	unpacked debian-vm get_debian_vm "$deps_debian_vm"
}

# The QEMU of the backports to Debian 13: bin/qemu-system-x86_64, with the libraries it needs.
newer_qemu()
{
	unpacked qemu-backports get_newer_qemu
}

# The QEMU of Debian 13 itself: bin/qemu-system-x86_64, bin/qemu-storage-daemon. For the long tests.
qemu_10()
{
	unpacked qemu-10 get_qemu_10
}

# Debian 13's programs that speak vhost-user: usr/bin/passt, usr/libexec/virtiofsd; bin/blkio-copy
# and bin/blkio-bench, libblkio's examples; with the libraries they need.
others()
{
	unpacked others get_others
}

# Debian 13's dpdk-testpmd, for tests/e2e-loop/check_others.py alone.
dpdk()
{
	unpacked dpdk get_dpdk
}

# bin/vhost-device-vsock, for tests/bench/run --vsock alone.
vhost_device_vsock()
{
	unpacked vhost-device-vsock get_vhost_device_vsock
}

# Debian for arm64: boot/, lib/, usr/ with its cloud kernel, and what virtiod is built from and
# tested with there; cross.ini is for meson.
debian_arm64()
{
	unpacked arm64 get_arm64 "$deps_arm64"
}

# QEMU's own vhost-user-blk, from Debian 13's source.
qemu_sample()
{
	unpacked qemu-sample get_qemu_sample
}

get_xen_lab()
{
	if [ -n "${VIRTIOD_XEN_LAB_PREBUILT:-}" ] &&
		"$deps_top/tests/xen-lab/build" "$VIRTIOD_XEN_LAB_PREBUILT"; then
		return 0
	fi
	"$deps_top/tests/xen-lab/build"
}

# What tests/xen-lab/lab.py boots, from the archive $VIRTIOD_XEN_LAB_PREBUILT or built here. If that
# fails, the lab that an earlier run left is better than none; xen_lab_is_old tells.
xen_lab()
{
	unpacked xen-lab get_xen_lab "$(xen_lab_key)" || previous xen-lab
}

xen_lab_key()
{
	cat "$deps_top"/tests/xen-lab/build "$deps_top"/tests/xen-lab/conf/* | cksum
}

# xen_lab_is_old FOLDER: was it made by another version of tests/xen-lab?
xen_lab_is_old()
{
	[ "$(cat "$1/complete")" != "$(xen_lab_key)" ]
}

get_xen_lab_stock()
{
	mkdir -p usr/lib
	ln -s usr/lib lib
	private_apt trixie arm64 && unpack_kernel "$(kernel_package linux-image-arm64)" && rm -r apt
}

# Debian's own kernel for the lab: boot/vmlinuz-* and lib/modules/*.
xen_lab_stock()
{
	unpacked xen-lab-stock get_xen_lab_stock
}

# Debian's kernel of SUITE (bookworm, trixie-backports) for ARCHITECTURE, with the virtio drivers
# that its configuration leaves out: boot/vmlinuz-*, lib/modules/* (with modules.dep).
virtio_drivers()
{
	deps_suite=$1 deps_arch=$2
	unpacked "linux-$1-$2" get_virtio_drivers "$(cat "$deps_top"/tests/drivers/* | cksum)"
}

get_virtio_drivers()
{
	"$deps_top/tests/drivers/build" "$deps_suite" "$deps_arch"
}
