// SPDX-License-Identifier: Apache-2.0
/*
 * Verified load on a disk: load DEVICE DEPTH REQUESTS [AREA-MIB]
 *
 * Keeps DEPTH requests of 4 KiB in flight (io_submit, O_DIRECT) on blocks of the disk's first
 * AREA-MIB (8), in turns writing a block's next generation and reading one back, until REQUESTS are
 * done or SIGTERM comes. Every word of a block follows from its offset and generation, so that a
 * lost, torn, stale or misplaced write shows. At the end every block is read and verified. Prints
 *
 *	@ loaded REQUESTS errors ERRORS longest MILLISECONDS
 *
 * and ends with status 0 if there were no errors.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define MAX_DEPTH 128
#define MAX_BLOCKS 65536

struct load_request {
	struct iocb iocb;
	uint64_t *data;
	uint64_t started_ms;
	uint32_t block;
	uint32_t generation; /* in data when a write is done, or when a read was begun */
	bool busy;
};

static struct load_request requests[MAX_DEPTH];
static uint32_t generations[MAX_BLOCKS]; /* on the disk; 0: as it was */
static bool in_flight[MAX_BLOCKS];
static unsigned n_blocks;
static uint64_t done, errors, longest_ms;
static volatile sig_atomic_t stopped;
static aio_context_t context;
static int disk;

static void on_term(int signum)
{
	stopped = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000) + t.tv_nsec / 1000000;
}

static uint32_t random_number(void)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return state >> 33;
}

static uint64_t word(uint32_t block, uint32_t generation, unsigned i)
{
	uint64_t x = ((uint64_t)block << 32 | generation) + i * UINT64_C(0x9e3779b97f4a7c15);

	return (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

static void fill(uint64_t *data, uint32_t block, uint32_t generation)
{
	for (unsigned i = 0; i < BLOCK / 8; i++)
		data[i] = word(block, generation, i);
}

static void verify(const uint64_t *data, uint32_t block, uint32_t generation)
{
	for (unsigned i = 0; generation && i < BLOCK / 8; i++) {
		if (data[i] != word(block, generation, i)) {
			errors++;
			printf("load: block %u, generation %u: wrong at byte %u\n", block,
				generation, i * 8);
			return;
		}
	}
}

/* Returns one that no other request has. */
static uint32_t random_block(void)
{
	uint32_t block;

	do
		block = random_number() % n_blocks;
	while (in_flight[block]);
	return block;
}

/* Makes one ready, on this block. */
static struct iocb *prepare(struct load_request *r, uint32_t block, bool write)
{
	struct iocb *iocb = &r->iocb;

	r->block = block;
	r->generation = generations[r->block] + write;
	if (write)
		fill(r->data, r->block, r->generation);
	*iocb = (struct iocb){
		.aio_data = (uintptr_t)r,
		.aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = disk,
		.aio_buf = (uintptr_t)r->data,
		.aio_nbytes = BLOCK,
		.aio_offset = (int64_t)r->block * BLOCK,
	};
	r->busy = in_flight[r->block] = true;
	r->started_ms = now_ms();
	return iocb;
}

/* Submits all at once, as file systems do. */
static void submit(struct iocb **iocbs, unsigned n)
{
	for (long result; n > 0; iocbs += result, n -= result) {
		result = syscall(SYS_io_submit, context, n, iocbs);
		if (result <= 0)
			die("io_submit");
	}
}

static void complete(struct load_request *r, int64_t result)
{
	uint64_t took = now_ms() - r->started_ms;

	if (result != BLOCK) {
		errors++;
		printf("load: block %u: result %lld\n", r->block, (long long)result);
	} else if (r->iocb.aio_lio_opcode == IOCB_CMD_PREAD) {
		verify(r->data, r->block, r->generation);
	} else {
		generations[r->block] = r->generation;
	}
	if (took > longest_ms)
		longest_ms = took;
	r->busy = in_flight[r->block] = false;
	done++;
}

static unsigned reap(void)
{
	struct io_event events[MAX_DEPTH];
	long n = syscall(SYS_io_getevents, context, 1, MAX_DEPTH, events, NULL);

	if (n < 0 && errno != EINTR)
		die("io_getevents");
	for (long i = 0; i < n; i++)
		complete((struct load_request *)(uintptr_t)events[i].data, events[i].res);
	return n < 0 ? 0 : n;
}

static struct load_request *idle(unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		if (!requests[i].busy)
			return &requests[i];
	return NULL;
}

static void run(unsigned depth, uint64_t count)
{
	uint64_t begun = 0;
	unsigned flying = 0;

	while (flying || (begun < count && !stopped)) {
		struct iocb *iocbs[MAX_DEPTH];
		unsigned n = 0;

		while (flying + n < depth && begun < count && !stopped)
			iocbs[n++] = prepare(idle(depth), random_block(), begun++ % 2 == 0);
		submit(iocbs, n);
		flying += n;
		flying -= reap();
	}
}

/* Verifies as deep as before: what a request takes is counted elsewhere, too. */
static void verify_all(unsigned depth)
{
	unsigned next = 0, flying = 0;

	while (flying || next < n_blocks) {
		struct iocb *iocbs[MAX_DEPTH];
		unsigned n = 0;

		for (; flying + n < depth && next < n_blocks; next++)
			if (generations[next])
				iocbs[n++] = prepare(idle(depth), next, false);
		submit(iocbs, n);
		flying += n;
		if (flying)
			flying -= reap();
	}
}

int main(int argc, char **argv)
{
	unsigned depth;
	uint64_t loaded;

	if (argc < 4 || (depth = strtoul(argv[2], NULL, 10)) - 1 >= MAX_DEPTH) {
		fprintf(stderr, "usage: load DEVICE DEPTH REQUESTS [AREA-MIB]\n");
		return 2;
	}
	n_blocks = (argc > 4 ? strtoul(argv[4], NULL, 10) : 8) * 256;
	if (n_blocks < 2 * MAX_DEPTH || n_blocks > MAX_BLOCKS)
		n_blocks = 2048;
	signal(SIGTERM, on_term);
	disk = open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk < 0)
		die(argv[1]);
	if (syscall(SYS_io_setup, MAX_DEPTH, &context) < 0)
		die("io_setup");
	for (unsigned i = 0; i < depth; i++) {
		if (posix_memalign((void **)&requests[i].data, BLOCK, BLOCK) != 0)
			die("memory");
	}
	run(depth, strtoull(argv[3], NULL, 10));
	loaded = done;
	verify_all(depth);
	printf("@ loaded %llu errors %llu longest %llu\n", (unsigned long long)loaded,
		(unsigned long long)errors, (unsigned long long)longest_ms);
	return errors != 0;
}
