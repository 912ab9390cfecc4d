/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back-end with a shared memory region: when a ring is enabled it maps a file of consecutive
 * numbers at the region's start, before the driver goes on. Usage: shm_backend SOCKET; until a
 * signal ends it. Status 1: a mapping was refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/fake_backend.h"

#define REGION 1
#define REGION_SIZE 0x20000u
#define WORDS 0x4000u

static int make_file(void)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);

	for (uint32_t i = 1; i <= WORDS; i++)
		if (write(fd, &i, sizeof(i)) != sizeof(i))
			return -1;
	return fd;
}

static void map_file(struct fake_backend *b, unsigned ring)
{
	static const struct vu_shmem_map map = { .id = REGION, .len = WORDS * sizeof(uint32_t) };
	int64_t err = fake_shm(b, VU_BACKEND_SHMEM_MAP, &map, *(const int *)b->opaque);

	if (err == 0)
		return;
	fprintf(stderr, "shm_backend: the front-end refused to map: %d\n", (int)err);
	exit(1);
}

int main(int argc, char **argv)
{
	struct fake_backend *b;
	int file = make_file();

	if (argc != 2 || file < 0)
		return 2;
	b = fake_new(argv[1]);
	b->protocol |= VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_SHMEM);
	b->shm.n_regions = 1;
	b->shm.size[REGION] = REGION_SIZE;
	b->enabled = map_file;
	b->opaque = &file;
	fake_up(b);
	for (;;)
		pause();
}
