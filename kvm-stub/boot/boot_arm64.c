/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads Linux's Image (Documentation/arch/arm64/booting.rst): the kernel at text_offset from the
 * start of RAM, the device tree at the next multiple of 2 MiB, and the initrd 2 MiB above it.
 */
#include "kvm-stub/boot/boot_impl.h"

#include <inttypes.h>
#include <string.h>

#include "base/util.h"
#include "kvm-stub/boot/device_tree.h"
#include "kvm-stub/layout.h"

#define IMAGE_MAGIC 0x644d5241u /* "ARM\x64" */
#define FLAG_BIG_ENDIAN 1u
#define ALIGNMENT (UINT64_C(2) << 20)
#define TREE_MAX (UINT64_C(64) << 10)

struct image_header {
	uint32_t code[2];
	uint64_t text_offset, image_size, flags, reserved[3];
	uint32_t magic, pe_offset;
};

static bool read_header(const struct boot_file *f, struct image_header *h, GError **error)
{
	if (!boot_file_read(f, 0, h, sizeof(*h), error))
		return false;
	if (GUINT32_FROM_LE(h->magic) != IMAGE_MAGIC)
		return boot_refuse_format(f, "an arm64 Image", error);
	h->text_offset = GUINT64_FROM_LE(h->text_offset);
	h->image_size = GUINT64_FROM_LE(h->image_size);
	h->flags = GUINT64_FROM_LE(h->flags);
	if (h->flags & FLAG_BIG_ENDIAN)
		return boot_refuse(f, error, "a big-endian kernel (flags 0x%" PRIx64 ")", h->flags);
	if (h->image_size == 0)
		return boot_refuse(f, error, "image_size is 0: from before Linux 3.17");
	if (h->text_offset >= ALIGNMENT)
		return boot_refuse(
			f, error, "text_offset 0x%" PRIx64 " is 2 MiB or more", h->text_offset);
	return true;
}

/*
 * Sets *end to the end of the memory that the kernel occupies, and *cmdline to its command line,
 * which Linux would cut.
 */
static bool load_kernel(const struct ram *r, const struct boot_config *config,
	struct vm_entry *entry, uint64_t *end, const char **cmdline, GError **error)
{
	autobootfile f = BOOT_FILE_NONE;
	struct image_header h;
	uint64_t room;

	if (!boot_file_open(&f, &config->kernel, error) || !read_header(&f, &h, error))
		return false;
	*cmdline = boot_cmdline(config, &f, LINUX_CMDLINE_MAX, error);
	if (!*cmdline)
		return false;
	entry->mode = VM_ENTRY_ARM64;
	entry->pc = RAM_BASE + h.text_offset;
	room = MAX(h.image_size, f.size);
	if (!boot_ram_at(r, entry->pc, room, "kernel", error)) {
		g_prefix_error(error, "%s: image_size %" PRIu64 ": ", f.path, h.image_size);
		return false;
	}
	*end = entry->pc + room;
	return boot_file_load(&f, 0, f.size, r, entry->pc, "kernel", error);
}

bool boot_arch_kernel(const struct ram *r, const struct boot_config *config, struct vm_entry *entry,
	GError **error)
{
	struct device_tree_machine machine = {
		.cpus = config->cpus,
		.n_slots = config->n_slots,
		.gic_version = config->gic_version,
		.ram_size = r->size,
	};
	uint64_t end;
	void *tree;

	if (!load_kernel(r, config, entry, &end, &machine.cmdline, error))
		return false;
	entry->arg = align_up(end, ALIGNMENT);
	if (config->initrd.path) {
		autobootfile f = BOOT_FILE_NONE;

		machine.initrd = entry->arg + ALIGNMENT;
		if (!boot_file_open(&f, &config->initrd, error) ||
			!boot_file_load(&f, 0, f.size, r, machine.initrd, "initrd", error))
			return false;
		machine.initrd_size = f.size;
	}
	tree = boot_ram_at(r, entry->arg, TREE_MAX, "device tree", error);
	return tree && device_tree_build(tree, TREE_MAX, &machine, error);
}

bool boot_arch_selftest(const struct ram *r, struct vm_entry *entry, GError **error)
{
	*entry = (struct vm_entry){ .mode = VM_ENTRY_ARM64, .pc = SELFTEST_ADDR };
	return true;
}
