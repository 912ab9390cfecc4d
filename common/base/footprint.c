/* SPDX-License-Identifier: Apache-2.0 */
#include "base/footprint.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Drops read-only segments; the others hold what the dynamic linker wrote. */
static int drop_read_only(struct dl_phdr_info *info, size_t size, void *opaque)
{
	uintptr_t page = sysconf(_SC_PAGESIZE);

	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + p->p_vaddr, end = start + p->p_memsz;

		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
			madvise((void *)(start & -page), end - (start & -page), MADV_DONTNEED);
	}
	return 0;
}

void footprint_trim(void)
{
	malloc_trim(0);
	dl_iterate_phdr(drop_read_only, NULL);
}
