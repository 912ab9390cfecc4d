/* SPDX-License-Identifier: Apache-2.0 */
/* Names the format of a file that is not the kernel it should be, and what to load instead. */
#include "kvm-stub/boot/boot_impl.h"

#include <string.h>

#define START_SIZE 1024u

/* EFI's self-extracting kernel (drivers/firmware/efi/libstub/zboot-header.S). */
struct zboot_header {
	char mz[4], zimg[4];
	uint32_t payload_offset, payload_size, reserved[2];
	char type[32]; /* of compression: "gzip", "zstd22" */
};

struct format {
	unsigned at, len;
	const char *magic, *text;
};

/* EFI programs last, as an arm64 Image and a bzImage may be one, too. */
static const struct format formats[] = {
	{ 0, 2, "\x1f\x8b", "compressed by gzip: unpack it with gunzip first" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "compressed by zstd: unpack it with unzstd first" },
	{ 0, 6, "\xfd\x37zXZ\0", "compressed by xz: unpack it with unxz first" },
	{ 0, 3, "BZh", "compressed by bzip2: unpack it with bunzip2 first" },
	{ 0, 3, "\x5d\0\0", "compressed by lzma: unpack it with unlzma first" },
	{ 0, 4, "\x89LZO", "compressed by lzop: unpack it with lzop -d first" },
	{ 0, 4, "\x02\x21\x4c\x18", "compressed by lz4: unpack it with lz4 -d first" },
	{ 0, 4, "\x04\x22\x4d\x18", "compressed by lz4: unpack it with lz4 -d first" },
	{ 0, 4, "\x27\x05\x19\x56", "a U-Boot uImage: load the kernel it was made of" },
	{ 0, 4, "\xd0\x0d\xfe\xed",
		"a device tree or a FIT image: load the kernel it was made of" },
	{ 0, 4, "\177ELF", "an ELF file (vmlinux): load arch/arm64/boot/Image of the same kernel" },
	{ 0x38, 4, "ARM\x64", "an arm64 Image: this machine is not arm64" },
	{ 0x202, 4, "HdrS", "an x86 bzImage: this machine is not x86" },
	{ 0, 2, "MZ", "an EFI program: load the kernel in it" },
};

bool boot_refuse_format(const struct boot_file *f, const char *wanted, GError **error)
{
	char start[START_SIZE] = { 0 };
	struct zboot_header zboot;

	if (!boot_file_read(f, 0, start, MIN(f->size, sizeof(start)), error))
		return false;
	memcpy(&zboot, start, sizeof(zboot));
	if (!memcmp(zboot.mz, "MZ", 2) && !memcmp(zboot.zimg, "zimg", 4))
		return boot_refuse(f, error,
			"not %s but an EFI zboot image: load the kernel in it, %u bytes at %u, "
			"compressed by %.32s",
			wanted, GUINT32_FROM_LE(zboot.payload_size),
			GUINT32_FROM_LE(zboot.payload_offset), zboot.type);
	for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++)
		if (!memcmp(start + formats[i].at, formats[i].magic, formats[i].len))
			return boot_refuse(f, error, "not %s but %s", wanted, formats[i].text);
	return boot_refuse(f, error, "not %s", wanted);
}
