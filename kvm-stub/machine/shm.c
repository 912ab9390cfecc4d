/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory regions: their guest addresses, and what is mapped behind them. */
#include "kvm-stub/machine/shm.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>

#include "base/core_dump.h"
#include "base/log.h"
#include "kvm-stub/layout.h"

/* So that both sides can use large pages. */
#define WINDOW_ALIGN UINT64_C(0x200000)

struct shm_window {
	unsigned slot;
	uint8_t id;
	uint8_t *host;
	uint64_t size;
};

/* Guest addresses for windows, given out from next on. */
struct shm_area {
	uint64_t next, end;
};

struct shm {
	struct vm *vm;
	pthread_mutex_t lock; /* what follows */
	struct shm_area area[2]; /* low addresses first: some guests have no others */
	GArray *windows; /* struct shm_window */
};

struct shm *shm_new(struct vm *vm, const struct ram *r)
{
	const struct mem_region_desc *last = &r->region[r->n_regions - 1];
	struct shm *s = g_new0(struct shm, 1);

	s->vm = vm;
	s->area[0] = (struct shm_area){ SHM_LOW_START, SHM_LOW_END };
	s->area[1].next = MAX(SHM_HIGH_START, last->guest_addr + last->size);
	s->area[1].end = SHM_HIGH_END;
	s->windows = g_array_new(FALSE, FALSE, sizeof(struct shm_window));
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void shm_free(struct shm *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->windows->len; i++) {
		const struct shm_window *w = &g_array_index(s->windows, struct shm_window, i);

		munmap(w->host, w->size);
	}
	g_array_unref(s->windows);
	pthread_mutex_destroy(&s->lock);
	g_free(s);
}

/* Anonymous memory takes none before it is written to. */
static void *map_zeroes(void *at, uint64_t size, int flags)
{
	void *host = mmap(at, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

	return core_dump_exclude(host, size);
}

static bool find_room(struct shm *s, uint64_t size, uint64_t *base)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(s->area); i++) {
		struct shm_area *area = &s->area[i];
		uint64_t start = (area->next + WINDOW_ALIGN - 1) / WINDOW_ALIGN * WINDOW_ALIGN;

		if (start > area->end || size > area->end - start)
			continue;
		area->next = start + size;
		*base = start;
		return true;
	}
	return false;
}

static bool add_window(struct shm *s, struct shm_window *w, uint64_t *base, GError **error)
{
	if (!find_room(s, w->size, base)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
			"no room for %" PRIu64 " bytes in the guest's address space", w->size);
		return false;
	}
	if (!vm_add_memory(s->vm, *base, w->host, w->size, error))
		return false;
	g_array_append_val(s->windows, *w);
	return true;
}

bool shm_reserve(
	struct shm *s, unsigned slot, uint8_t id, uint64_t size, uint64_t *base, GError **error)
{
	struct shm_window w = { .slot = slot, .id = id, .size = size };
	bool ok;

	w.host = map_zeroes(NULL, size, 0);
	if (w.host == MAP_FAILED) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
			"cannot reserve %" PRIu64 " bytes: %s", size, g_strerror(errno));
		return false;
	}
	pthread_mutex_lock(&s->lock);
	ok = add_window(s, &w, base, error);
	pthread_mutex_unlock(&s->lock);
	if (!ok)
		munmap(w.host, size);
	return ok;
}

/* Returns where in this process an offset of a region is. */
static uint8_t *host_address(struct shm *s, unsigned slot, uint8_t id, uint64_t at)
{
	uint8_t *host = NULL;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->windows->len && !host; i++) {
		const struct shm_window *w = &g_array_index(s->windows, struct shm_window, i);

		if (w->slot == slot && w->id == id)
			host = w->host + at;
	}
	pthread_mutex_unlock(&s->lock);
	return host;
}

int shm_map(struct shm *s, unsigned slot, const struct vu_front_mapping *m)
{
	uint8_t *host = host_address(s, slot, m->id, m->at);
	void *mapped = mmap(host, m->len, PROT_READ | (m->writable ? PROT_WRITE : 0),
		MAP_SHARED | MAP_FIXED, m->fd, (off_t)m->fd_offset);
	int err;

	if (core_dump_exclude(mapped, m->len) != MAP_FAILED)
		return 0;
	err = errno;
	/* The kernel may have unmapped what was there. */
	shm_unmap(s, slot, m->id, m->at, m->len);
	return err;
}

void shm_unmap(struct shm *s, unsigned slot, uint8_t id, uint64_t at, uint64_t len)
{
	uint8_t *host = host_address(s, slot, id, at);

	/* The guest must not go on reading the file: without zeroes it finds no memory at all. */
	if (map_zeroes(host, len, MAP_FIXED) == MAP_FAILED) {
		log_warning(NULL, "shared memory region %u of slot %u: cannot map zeroes: %s", id,
			slot, g_strerror(errno));
		munmap(host, len);
	}
}
