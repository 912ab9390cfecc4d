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
# For passt, which exchanges its root, as an initrd's cannot be: where there is /foreign, goes on
# with /init in a file system of its own.
leave_initrd()
{
	[ -e /foreign ] && [ ! -e /moved ] || return 0
	mkdir /new && mount -t tmpfs new /new && touch /new/moved || fail mount
	for file in /*; do
		case $file in
		/dev | /mnt | /new | /proc | /sys | /tmp) mkdir -p "/new$file" ;;
		*) cp -a "$file" /new || fail cp ;;
		esac
	done
	umount /dev /proc /sys /tmp
	cd /new || fail cd
	exec switch_root /new /init
}

echo # the firmware left the cursor somewhere
