# SPDX-License-Identifier: Apache-2.0
# What the init scripts of test guests share; sourced. Reports: lines "@ name value" on the console.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp

say() { echo "@ $*"; }
end() { sync; sleep 0.2; poweroff -f; }
fail() { say failed "$*"; dmesg | tail -30; end; }
sha() { sha256sum <"$1" | cut -d' ' -f1; }
# Of each disk: 1 if its rings are packed (the number of VIRTIO_F_RING_PACKED is 34), or 0.
packed() { cut -c 35 /sys/block/vd*/device/features | xargs; }
# Until it holds, at most $1 tenths of a second.
wait_for()
{
	tries=$1
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}
load_modules()
{
	for module in /modules/*; do
		[ ! -e "$module" ] || insmod "$module" || fail insmod "$module"
	done
}

echo # the firmware left the cursor somewhere
