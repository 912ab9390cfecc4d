/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels (of x86, or of arm64 with LAYOUT_ARM64), RAM of a few sizes, command lines. */
#include "tests/fuzz/fuzz.h"

#include "kvm-stub/boot/boot.h"
#include "tests/lib/test.h"

#ifdef LAYOUT_ARM64
#define NAME kernel_arm64
#else
#define NAME kernel
#endif

static char *kernel, *initrd;

static void setup(void)
{
	kernel = fuzz_path("kernel");
	initrd = fuzz_path("initrd");
	g_assert_true(g_file_set_contents(initrd, "070701", 6, NULL));
}

/*
 * Writes a kernel, whose size may be more than its bytes: the rest are zeroes, a hole in the
 * file.
 */
static void write_kernel(struct fuzz_input *in)
{
	uint32_t size = (uint32_t)fuzz_u8(in) << 12;
	FILE *f = fopen(kernel, "we");

	g_assert_nonnull(f);
	fwrite(in->at, 1, in->end - in->at, f);
	if (size > in->end - in->at && ftruncate(fileno(f), size) < 0)
		abort();
	fclose(f);
	in->at = in->end;
}

static void run(struct fuzz_input *in)
{
	static const uint64_t mib[] = { 1, 8, 64, 512, 4096, 5000 };
	g_autoptr(GError) error = NULL;
	g_autoptr(ram) r = ram_new(mib[fuzz_below(in, G_N_ELEMENTS(mib))] << 20, NULL);
	g_autofree char *append = fuzz_string(in);
	uint8_t how = fuzz_u8(in);
	const struct boot_config config = {
		.kernel.path = kernel,
		.initrd.path = how & 1 ? initrd : NULL,
		.append = how & 2 ? append : NULL,
		.cpus = 1 + (how >> 2 & 3),
		.n_slots = how >> 4,
		.gic_version = 2 + (how >> 3 & 1),
	};
	struct vm_entry entry;

	g_assert_nonnull(r);
	write_kernel(in);
	if (!boot_load(r, &config, &entry, &error))
		g_assert_nonnull(error);
}

#define TARGET(name, ...) FUZZ_TARGET(name, __VA_ARGS__)
TARGET(NAME, .setup = setup, .run = run);
