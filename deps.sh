# SPDX-License-Identifier: Apache-2.0
# Debian packages for ./quickstart and ./check: installed when missing, and only then. Sourced.

deps_cache=${VIRTIOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virtiod}

deps_build='gcc libc6-dev pkg-config meson ninja-build libglib2.0-dev python3'
deps_quickstart='e2fsprogs'
deps_check="clang clang-format libcmocka-dev valgrind e2fsprogs qemu-system-x86
	qemu-utils busybox-static cpio kmod util-linux man-db"

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
		deps_fail "these Debian packages are missing, and installing them needs root:$deps_list"
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

# Debian's cloud kernel, unpacked in the cache, not installed: prints the folder that holds
# boot/vmlinuz-* and lib/modules/* (with modules.dep). Nothing if it cannot be had.
debian_kernel()
{
	deps_dir=$deps_cache/linux-cloud-amd64
	if [ ! -e "$deps_dir/complete" ]; then
		deps_tmp=$deps_dir.tmp.$$
		rm -rf "$deps_tmp"
		mkdir -p "$deps_tmp"
		if ! (
			cd "$deps_tmp" || exit 1
			name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
				sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
			if [ -z "$name" ]; then
				deps_apt update
				name=$(apt-cache depends linux-image-cloud-amd64 |
					sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
			fi
			apt-get -q download "$name" || { deps_apt update && apt-get -q download "$name"; }
			dpkg -x "$name"_*.deb . && rm -f "$name"_*.deb
			PATH=$PATH:/usr/sbin:/sbin depmod -b . "$(ls lib/modules)" && touch complete
		) >&2; then
			rm -rf "$deps_tmp"
			return 1
		fi
		rm -rf "$deps_dir"
		mv "$deps_tmp" "$deps_dir"
	fi
	echo "$deps_dir"
}
