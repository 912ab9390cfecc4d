/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory regions: their sizes, and what the back-end has mapped into them. Its requests are
 * checked here: the caller sees whole pages inside a region that overlap no other mapping.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd_kind.h"
#include "vhost-user/front/vu_front_impl.h"

/* Beyond what a guest's physical addresses have room for. */
#define MAX_SIZE (UINT64_C(1) << 40)
/* Each takes a mapping of this process, of which the kernel grants a limited number. */
#define MAX_MAPPINGS 8192

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

bool vu_front_shm_learn(struct vu_front *f, GError **error)
{
	const struct vu_shmem_config *c = &f->msg.payload.shmem_config;
	uint32_t n = 0;

	memset(f->shm_size, 0, sizeof(f->shm_size));
	if (!vu_front_acked(f, VU_F_SHMEM))
		return true;
	vu_front_request(f, VU_GET_SHMEM_CONFIG);
	if (!vu_front_call(f, error))
		return false;
	if (c->n_regions > VU_MAX_SHMEM_REGIONS)
		return vu_front_fail(f, error, VU_FRONT_ERROR_PROTOCOL,
			"GET_SHMEM_CONFIG: %" PRIu32 " regions (at most %u)", c->n_regions,
			VU_MAX_SHMEM_REGIONS);
	for (unsigned id = 0; id < VU_MAX_SHMEM_REGIONS && n < c->n_regions; id++) {
		if (c->size[id] % page_size() || c->size[id] > MAX_SIZE)
			return vu_front_fail(f, error, VU_FRONT_ERROR_PROTOCOL,
				"GET_SHMEM_CONFIG: invalid size of region %u: %" PRIu64
				" (a multiple of %" PRIu64 " up to %" PRIu64 ")",
				id, c->size[id], page_size(), MAX_SIZE);
		f->shm_size[id] = c->size[id];
		n += c->size[id] != 0;
	}
	return true;
}

uint64_t vu_front_shm_size(const struct vu_front *f, uint8_t id)
{
	return f->shm_size[id];
}

static int check_range(const struct vu_front *f, const struct vu_shmem_map *m)
{
	uint64_t size = f->shm_size[m->id];

	if (!size)
		return ENXIO;
	if (!m->len || m->len % page_size() || m->shm_offset % page_size())
		return EINVAL;
	return m->shm_offset > size || m->len > size - m->shm_offset ? ERANGE : 0;
}

/* Accepts only what is memory: what a file system does not answer for would stop the guest. */
static int check_file(const struct vu_shmem_map *m, int fd)
{
	uint64_t page = page_size(), size;
	enum fd_kind kind = fd_kind(fd);
	struct stat st;

	if (m->fd_offset % page || m->fd_offset > INT64_MAX - m->len)
		return EINVAL;
	if (kind == FD_DMABUF)
		return 0;
	if (kind != FD_MEMORY)
		return ENODEV;
	if (fstat(fd, &st) < 0)
		return errno;
	/* An access beyond the file's last page would be an error of the virtual machine. */
	size = ((uint64_t)st.st_size + page - 1) / page * page;
	return m->fd_offset > size || m->len > size - m->fd_offset ? EOVERFLOW : 0;
}

static bool overlaps(const struct vu_front_mapping *a, const struct vu_shmem_map *b)
{
	return a->id == b->id && a->at < b->shm_offset + b->len && b->shm_offset < a->at + a->len;
}

static int check_free(const struct vu_front *f, const struct vu_shmem_map *m)
{
	if (f->mappings->len == MAX_MAPPINGS)
		return ENOSPC;
	for (unsigned i = 0; i < f->mappings->len; i++)
		if (overlaps(&g_array_index(f->mappings, struct vu_front_mapping, i), m))
			return EEXIST;
	return 0;
}

static int map(struct vu_front *f, const struct vu_shmem_map *m, int fd)
{
	struct vu_front_mapping mapping = {
		.id = m->id,
		.writable = m->flags & VU_SHMEM_WRITABLE,
		.fd = fd,
		.at = m->shm_offset,
		.len = m->len,
		.fd_offset = m->fd_offset,
	};
	int err = m->flags & ~VU_SHMEM_WRITABLE ? EINVAL : check_range(f, m);

	if (!err)
		err = check_file(m, fd);
	if (!err)
		err = check_free(f, m);
	if (!err)
		err = f->options.shm->map(f->options.shm_opaque, &mapping);
	if (err)
		return err;
	mapping.fd = -1; /* the message's, which is closed */
	g_array_append_val(f->mappings, mapping);
	return 0;
}

/* Mappings end as a whole: a range that cuts one is refused. */
static int unmap(struct vu_front *f, const struct vu_shmem_map *m)
{
	const struct vu_front_mapping *mapping = (const void *)f->mappings->data;
	int err = check_range(f, m);

	for (unsigned i = 0; !err && i < f->mappings->len; i++)
		if (overlaps(&mapping[i], m) &&
			(mapping[i].at < m->shm_offset ||
				mapping[i].at + mapping[i].len > m->shm_offset + m->len))
			err = EINVAL;
	if (err)
		return err;
	for (unsigned i = f->mappings->len; i-- > 0;)
		if (overlaps(&mapping[i], m))
			g_array_remove_index_fast(f->mappings, i);
	f->options.shm->unmap(f->options.shm_opaque, m->id, m->shm_offset, m->len);
	return 0;
}

int vu_front_shm_serve(struct vu_front *f, const struct vu_msg *msg)
{
	const struct vu_shmem_map *m = &msg->payload.shmem_map;
	bool is_map = msg->header.request == VU_BACKEND_SHMEM_MAP;
	int err;

	err = is_map ? map(f, m, msg->fds[0]) : unmap(f, m);
	if (err)
		log_limited(&f->channel_log, LOG_LEVEL_WARNING, f->name,
			"%s: region %u, 0x%" PRIx64 " bytes at 0x%" PRIx64 ": %s",
			vu_backend_shape(msg->header.request)->name, m->id, m->len, m->shm_offset,
			g_strerror(err));
	return err;
}

void vu_front_shm_drop(struct vu_front *f)
{
	while (f->mappings->len) {
		uint8_t id = g_array_index(f->mappings, struct vu_front_mapping, 0).id;

		unmap(f, &(struct vu_shmem_map){ .id = id, .len = f->shm_size[id] });
	}
}
